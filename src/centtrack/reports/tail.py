"""The last events of a lake, and those that come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from centtrack.reports.lake import TABLE, fetch, open_lake

_POLL_S = 0.5

EventRow = dict[str, Any]


def recent_events(url: str, count: int) -> list[EventRow]:
    """The last events, in order of time; within what their precision tells, in no order.

    Raises:
        LakeError: if there is nothing yet.
    """
    newest_first = f"from {TABLE} select * exclude (date) order by time desc, event_id limit {int(count)}"
    found = fetch(open_lake(url), newest_first)
    return [_plain(row) for row in reversed(found.to_pylist())]


def follow_events(url: str) -> Iterator[EventRow]:
    """Events that are delivered from now on, for ever."""
    yield from _follow_lines(url) if url.startswith("jsonl:") else _follow_commits(url)


def _follow_commits(url: str) -> Iterator[EventRow]:
    """Rows of the files that each new commit has added. Compaction adds files too, but no rows."""
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    from centtrack.sinks.delta import table_location

    table = DeltaTable(table_location(url))
    known, seen = set(table.file_uris()), table.version()
    while True:
        time.sleep(_POLL_S)
        table.update_incremental()
        operations = {entry["version"]: entry["operation"] for entry in table.history(table.version() - seen or 1)}
        for version in range(seen + 1, table.version() + 1):
            table.load_as_version(version)
            files = set(table.file_uris())
            for path in sorted(files - known) if operations.get(version) == "WRITE" else ():
                yield from map(_plain, ds.dataset(path).to_table().to_pylist())
            known, seen = files, version


def _follow_lines(url: str) -> Iterator[EventRow]:
    path = Path(url.removeprefix("jsonl:")).expanduser()
    with path.open("rb") as file:
        file.seek(0, 2)
        rest = b""
        while True:
            rest += file.read()
            *lines, rest = rest.split(b"\n")
            yield from (msgspec.json.decode(line) for line in lines)
            time.sleep(_POLL_S)


def _plain(row: EventRow) -> EventRow:
    """Maps come from Arrow as pairs."""
    return {key: dict(value) if isinstance(value, list) else value for key, value in row.items()}
