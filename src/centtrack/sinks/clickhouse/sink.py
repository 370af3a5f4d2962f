"""`clickhouse://HOST/DATABASE` inserts events into a table of ClickHouse, over its HTTP interface."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from centtrack.errors import CenttrackError, ConfigurationError
from centtrack.event import Event
from centtrack.schema.clickhouse import WINDOW, quote
from centtrack.schema.fields import EVENT_FIELDS
from centtrack.sinks import tls
from centtrack.sinks.base import Batch
from centtrack.sinks.clickhouse.calls import ClickHouseCalls, DeniedError, MissingError
from centtrack.sinks.clickhouse.limits import refuse_misfits
from centtrack.sinks.clickhouse.table import DEFAULT_TABLE, Target, find_missing
from centtrack.sinks.finding import Finding
from centtrack.sinks.http_calls import need_httpx
from centtrack.sinks.url import SinkUrl, read_url

_SCHEME = "clickhouse"
_OPTIONS = ("table", "create", "retention", "tls", *tls.OPTIONS)
_PORT, _TLS_PORT = 8123, 8443
_OLDEST = (23, 3)
_REPLICATED = ("Replicated", "Shared")  # engines that remember inserts without being told
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window = [1-9]")
_COLUMNS = ", ".join(quote(field.name) for field in EVENT_FIELDS)  # not the date: the server works it out

_Look = tuple[str | None, str | None]  # what is wrong, and what mends it
_GOOD: _Look = (None, None)


class ClickHouseSink:
    """Inserts batches, each with a token, so that the table recognises one that comes again."""

    linger_s = 1.0  # each insert makes a part of the table, and the server then has to merge it with others
    timeout_s = 60.0

    def __init__(self, url: str) -> None:
        need_httpx("The clickhouse: sink", "clickhouse")
        parts = _read(url)
        self._target = target = Target.read(parts)
        table = f"?table={target.table}" if target.table != DEFAULT_TABLE else ""
        self.name = f"{_SCHEME}://{parts.servers}/{target.database}{table}"
        self._calls = ClickHouseCalls(self.name, parts, target.database, self.timeout_s - 10)

    def open(self) -> None:
        """Look whether the table is there; make it, or the columns that it lacks, if that is allowed.

        Raises:
            ConfigurationError: if something is missing, or isn't permitted.
            RetryLater: if the server can't be reached.
        """
        self._calls.open()
        missing = find_missing(self.name, self._target, self._calls)
        if missing and not self._target.may_create:
            raise missing
        for statement in missing.statements if missing else ():
            self._calls.ask(statement, "make the table or its columns")

    def write(self, events: Sequence[Event]) -> None:
        """Insert a batch, unless the table has it already.

        Raises:
            Rejected: if a value doesn't fit the table.
            ConfigurationError: if something is missing, or isn't permitted.
            RetryLater: if it may work later.
        """
        batch = events if isinstance(events, Batch) else Batch(events)
        refuse_misfits(batch)
        self._insert(batch.lines, _token(batch) if batch.stream else None)

    def close(self) -> None:
        """Close the connection."""
        self._calls.close()

    def check(self) -> Iterator[Finding]:
        """What `centtrack sink check` tells. A table that the sink may make is made; no row is written or read."""
        looks = {
            "reaches a server that is new enough": self._look_at_version,
            f"finds table {self._target.quoted}": self._look_at_table,
            "stores a batch once that is sent again": self._look_at_window,
            "may insert": self._look_at_permission,
        }
        if self._target.retention_days is not None:
            looks["deletes old rows"] = self._look_at_retention
        what = ""
        try:
            for what, look in looks.items():
                problem, fix = look()
                yield Finding(what, problem, fix)
        except MissingError as error:
            yield Finding(what, error.problem, error.fix)
        except DeniedError as error:
            rights = "insert, create table, alter add column" if self._target.may_create else "insert"
            yield Finding(what, error.problem, f"grant {rights} on {self._target.quoted} to USER")
        except CenttrackError as error:
            yield Finding(what, str(error))
        finally:
            self.close()

    def _insert(self, lines: bytes, token: str | None) -> None:
        self._calls.insert(f"insert into {self._target.quoted} ({_COLUMNS}) format JSONEachRow", lines, token)

    def _look_at_version(self) -> _Look:
        [[version]] = self._calls.ask("select version()", "read the version")
        if tuple(map(int, version.split(".")[:2])) < _OLDEST:
            return f"its version is {version}, and this needs {'.'.join(map(str, _OLDEST))} or newer", None
        return _GOOD

    def _look_at_table(self) -> _Look:
        self.open()
        return _GOOD

    def _look_at_window(self) -> _Look:
        engine, definition = self._definition()
        if not engine.endswith("MergeTree"):
            return f"the table's engine, {engine}, remembers no inserts: events come twice after a failure", None
        if engine.startswith(_REPLICATED) or _WINDOW.search(definition):
            return _GOOD
        setting = f"non_replicated_deduplication_window = {WINDOW}"
        return "the table remembers no inserts", f"alter table {self._target.quoted} modify setting {setting}"

    def _look_at_retention(self) -> _Look:
        days = self._target.retention_days
        if re.search(rf"\btoIntervalDay\({days}\)", self._definition()[1]):
            return _GOOD
        change = f"alter table {self._target.quoted} modify ttl date + toIntervalDay({days})"
        return f"the table isn't made to delete them after {days} days", change

    def _look_at_permission(self) -> _Look:
        self._insert(b"", None)
        return _GOOD

    def _definition(self) -> tuple[str, str]:
        """The table's engine, and that with all that belongs to it."""
        [[engine, definition]] = self._calls.ask(
            "select engine, engine_full from system.tables "
            "where database = {database:String} and name = {table:String}",
            "see the table's definition",
            database=self._target.database,
            table=self._target.table,
        )
        return engine, definition


def _read(url: str) -> SinkUrl:
    """The parts of a URL; the port depends on TLS.

    Raises:
        ConfigurationError: if it isn't one of this sink.
    """
    parts = read_url(url, schemes=(_SCHEME,), port=_PORT, options=_OPTIONS)
    if len(parts.hosts) > 1:
        raise ConfigurationError("clickhouse: takes one host: name one that stands for all, as a load balancer")
    if parts.is_on("tls", default=False):
        return read_url(url, schemes=(_SCHEME,), port=_TLS_PORT, options=_OPTIONS)
    for option in tls.OPTIONS:
        if option in parts.options:
            raise ConfigurationError(f"clickhouse: option {option} needs tls=yes")
    return parts


def _token(batch: Batch) -> str:
    """What the table knows a batch by. Of a stream that numbers events the first too: there bounds may shift."""
    first = "" if batch.first is None else f"\0{batch.first}"
    return hashlib.sha256(f"{batch.stream}\0{batch.sequence}{first}".encode()).hexdigest()
