"""A sink of one's own: a table in SQLite. Run it with `uvicorn custom_sink:app` in this folder."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from centtrack import Event, PrivacyPolicy, TelemetryMiddleware
from centtrack.errors import RetryLater


class SqliteSink:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.name = f"sqlite:{self.path}"  # the cursor in the journal goes by this name: keep it

    def write(self, events: Sequence[Event]) -> None:
        rows = [(event.event_id, msgspec.json.encode(event).decode()) for event in events]
        try:
            with closing(sqlite3.connect(self.path)) as database, database:
                database.execute("create table if not exists event (id text primary key, json text not null)")
                database.executemany("insert or ignore into event values (?, ?)", rows)  # a batch may come twice
        except sqlite3.OperationalError as error:  # locked, or the disk is full
            raise RetryLater(str(error)) from error


async def home(request):
    return HTMLResponse("<h1>Shop</h1>")


app = Starlette(routes=[Route("/", home)])
app.add_middleware(TelemetryMiddleware, policy=PrivacyPolicy.profile("gdpr"), sink=SqliteSink(Path("events.db")))
