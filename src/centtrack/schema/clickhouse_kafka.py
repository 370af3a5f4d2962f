"""ClickHouse reads events from Kafka by itself: its table on a topic, and the view that empties it."""

from __future__ import annotations

from centtrack.schema.clickhouse import column_type, literal, quote, table_name
from centtrack.schema.fields import EVENT_FIELDS

_IS_EVENT = "empty(_error) and notEmpty(event_id)"  # other JSON is read as an event with nothing in it


def create_queue(
    table: str, *, brokers: str, topic: str, group: str = "clickhouse", database: str | None = None
) -> list[str]:
    """The statements that let a table of events be filled from a topic.

    They make TABLE_queue, a consumer of the topic, and TABLE_from_queue, the view that moves events from there into
    the table. It is the only view: a server that starts may read before it has found a second one, whose rows would
    be lost. Messages that are no events are passed over. An event may come twice after a crash; the table leaves one
    of them when it merges parts.

    Args:
        table: name of the table of events, which is there.
        brokers: `host:port`, several with commas.
        topic: its name.
        group: consumer group.
        database: where the tables are; the connection's own if None.
    """
    queue, view = table_name(f"{table}_queue", database), table_name(f"{table}_from_queue", database)
    columns = ",\n".join(f"  {quote(field.name)} {column_type(field)}" for field in EVENT_FIELDS)
    names = ",\n".join(f"  {quote(field.name)}" for field in EVENT_FIELDS)
    settings = ",\n".join(f"  {key} = {literal(value)}" for key, value in _settings(brokers, topic, group).items())
    return [
        f"create table if not exists {queue} (\n{columns}\n)\nengine = Kafka\nsettings\n{settings}",
        f"create materialized view if not exists {view} to {table_name(table, database)} as\n"
        f"select\n{names}\nfrom {queue}\nwhere {_IS_EVENT}",
    ]


def _settings(brokers: str, topic: str, group: str) -> dict[str, str]:
    return {
        "kafka_broker_list": brokers,
        "kafka_topic_list": topic,
        "kafka_group_name": group,
        "kafka_format": "JSONEachRow",
        "kafka_handle_error_mode": "stream",  # one message that is no event must not stop those behind it
        "date_time_input_format": "best_effort",
    }
