"""What a request does in each mode: where the response waits for the commit, and where it doesn't."""

from __future__ import annotations

import asyncio
from contextlib import closing, contextmanager

import apsw
import pytest

from asgi import Recording, Wire, body, sending, start
from centtrack import consent_of, track
from centtrack.delivery.journal.counters import read_counts
from centtrack.errors import JournalError
from centtrack.testing import make_scope

WAITING = ["confirmed", "durable"]
PAGE = (start(), body(b"hello"))
TRAILERS = {"type": "http.response.trailers", "headers": [], "more_trailers": False}


class Told(Wire):
    """A connection that notes how many events are in the journal when a message arrives."""

    def __init__(self, journal, *incoming):
        super().__init__(*incoming)
        self.committed = []
        self._journal = journal

    async def send(self, message):
        self.committed.append(committed(self._journal))
        await super().send(message)


def committed(journal):
    try:
        return sum(worker.accepted for worker in read_counts(journal).workers)
    except JournalError:
        return 0  # there is none yet


@contextmanager
def held(journal):
    """Nobody else can write to the journal; who is writing just now finishes before."""
    with closing(apsw.Connection(str(journal))) as other:
        other.set_busy_timeout(60_000)
        other.execute("begin immediate")
        yield
        other.execute("rollback")


@pytest.fixture
def recording(tmp_path):
    made = []

    def make(app, **options):
        made.append(Recording(tmp_path / str(len(made)), app, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def warm(recording):
    """An app whose recorder is ready: nothing of what is awaited takes as long as that."""

    def make(app, **options):
        recorded = recording(app, **options)
        recorded.app.pipeline.start()
        assert recorded.app.pipeline.flush(60)
        return recorded

    return make


ANSWERS = {
    "page": PAGE,
    "stream": (start(), body(b"a", more=True), body(b"b", more=True), body()),
    "pathsend": (start(content_length="9"), {"type": "http.response.pathsend", "path": "/srv/a"}),
    "zerocopysend": (start(), {"type": "http.response.zerocopysend", "file": 3}),
    "trailers": (start(), {"type": "http.response.future", "more_body": True}, TRAILERS),
    "websocket": ({"type": "websocket.accept"}, {"type": "websocket.send", "text": "a"}, {"type": "websocket.close"}),
    "refused": ({"type": "websocket.close"},),
    "denied": (
        {"type": "websocket.http.response.start", "status": 401, "headers": []},
        {"type": "websocket.http.response.body", "body": b"no"},
    ),
}


@pytest.mark.parametrize("mode", WAITING)
@pytest.mark.parametrize("name", ANSWERS)
def test_the_last_message_comes_after_the_commit_and_no_other_waits(warm, mode, name):
    messages = ANSWERS[name]
    recorded = warm(sending(*messages), mode=mode)
    kind = "websocket" if messages[0]["type"].startswith("websocket") else "http"
    for number in range(5):
        wire = Told(recorded.journal)
        assert wire.serve(recorded.app, make_scope(kind=kind)) == list(messages)
        waited = wire.committed == [number] * (len(messages) - 1) + [number + 1]
        assert waited or recorded.app.pipeline.state().unconfirmed
        assert recorded.app.pipeline.flush(60)
    assert len(recorded.events()) == 5


@pytest.mark.parametrize("mode", ["relaxed", *WAITING])
def test_the_event_is_the_same_in_each_mode(recording, mode):
    async def app(scope, _receive, send):
        track(scope, "undeclared")
        assert not consent_of(scope).allows("analytics")
        for message in ANSWERS["stream"]:
            await send(message)

    recorded = recording(app, mode=mode)
    recorded.serve(make_scope("/a"))
    event = recorded.event()
    assert (event.path, event.status, event.response_bytes) == ("/a", 200, 2)
    assert recorded.dropped() == {"undeclared": 1}


@pytest.mark.parametrize("mode", WAITING)
def test_a_websocket_that_is_closed_has_its_status(recording, mode):
    for messages, status in ((ANSWERS["websocket"], 101), (ANSWERS["refused"], 403), (ANSWERS["denied"], 401)):
        recorded = recording(sending(*messages), mode=mode)
        recorded.serve(make_scope(kind="websocket"))
        assert recorded.event().status == status


@pytest.mark.parametrize("mode", WAITING)
def test_what_an_app_raises_comes_after_the_commit(warm, mode):
    """The server answers with 500 then."""

    async def app(_scope, _receive, _send):
        raise error

    error = ValueError()
    recorded, wire = warm(app, mode=mode), Wire()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - it is this one
        wire.serve(recorded.app)
    assert caught.value is error
    assert committed(recorded.journal) == 1 or recorded.app.pipeline.state().unconfirmed
    assert recorded.event().status == 500


@pytest.mark.parametrize("mode", WAITING)
def test_a_commit_that_takes_too_long_is_counted_and_the_response_goes_on(warm, mode):
    recorded = warm(sending(*PAGE), mode=mode)
    with held(recorded.journal):
        assert recorded.serve() == list(PAGE)
        assert recorded.app.pipeline.state().unconfirmed == 1
    assert len(recorded.events()) == 1
    [worker] = recorded.counts().workers
    assert (worker.accepted, worker.noted) == (1, {"unconfirmed": 1})


@pytest.mark.parametrize("mode", WAITING)
def test_who_is_cancelled_while_waiting_is_cancelled(warm, mode):
    async def app(_scope, _receive, send):
        await send(PAGE[0])
        begins.set()
        await send(PAGE[1])
        await asyncio.Event().wait()

    async def main():
        nonlocal begins
        begins, wire = asyncio.Event(), Wire()
        task = asyncio.create_task(recorded.app(make_scope(), wire.receive, wire.send))
        await begins.wait()
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled(), wire.sent

    begins = None
    recorded = warm(app, mode=mode)
    with held(recorded.journal):
        assert asyncio.run(main()) == (True, [PAGE[0]])
    assert len(recorded.events()) == 1


@pytest.mark.parametrize("mode", WAITING)
def test_without_a_journal_the_response_goes_on(recording, tmp_path, mode):
    """And is recorded once there is one."""
    (tmp_path / "file").write_text("no folder")
    recorded = recording(sending(*PAGE), mode=mode, journal=tmp_path / "file" / "journal.db")
    for _ in range(3):
        assert recorded.serve() == list(PAGE)
    assert recorded.app.pipeline.state().unconfirmed == 3
    (tmp_path / "file").unlink()
    assert len(recorded.events()) == 3
