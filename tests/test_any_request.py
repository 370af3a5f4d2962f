"""Whatever a server passes on, and whatever an app does: nothing of ours raises, the response is as the app made it.

And each request makes one event, or is counted as dropped.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi import Recording, Wire, body
from centtrack import PrivacyPolicy, consent_of, track
from centtrack.policy import PROFILES
from centtrack.testing import make_scope
from policies import FINEST, policy_text
from strategies import examples, scopes, wrong_scopes

RAW_HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"content-type", b"Content-Type", b"content-length", b"set-cookie", b"x"]) | st.binary(),
        st.sampled_from([b"text/html", b"0", b"-1", b"a=b; Path=/"]) | st.binary(max_size=20),
    ),
    max_size=4,
)
BODIES = st.lists(st.binary(max_size=30), max_size=3)


@st.composite
def http_answers(draw):
    """What an app sends, and whether it raises when that is sent."""
    begin = {"type": "http.response.start", "status": draw(st.sampled_from([200, 302, 404, 500, 103]))}
    if draw(st.integers(0, 4)):
        begin["headers"] = draw(RAW_HEADERS)
    messages = [begin, *(body(part, more=True) for part in draw(BODIES)), body()]
    return messages[: draw(st.integers(0, len(messages)))], draw(st.booleans())


SAID = [
    {"type": "websocket.accept"},
    {"type": "websocket.send", "text": "hello"},
    {"type": "websocket.send", "bytes": b"\xff"},
    {"type": "websocket.close"},
]
REFUSED = [
    {"type": "websocket.http.response.start", "status": 403, "headers": []},
    {"type": "websocket.http.response.body", "body": b"no"},
]


@st.composite
def websocket_answers(draw):
    """The same for a WebSocket: accepted, refused, or refused with a response."""
    messages = draw(st.sampled_from([SAID, [{"type": "websocket.close"}], REFUSED]))
    return messages[: draw(st.integers(0, len(messages)))], draw(st.booleans())


class AppError(Exception):
    """What the app raises."""


class Answering:
    """An app that gives the answer it is told to, tracks an event, and asks for consent."""

    def __init__(self):
        self.messages, self.raises = [], None

    async def __call__(self, scope, _receive, send):
        track(scope, "quote_made", product="motor")
        for message in self.messages:
            await send(message)
        assert not consent_of(scope).allows("analytics")  # asked before, it would make the response private
        if self.raises:
            raise self.raises


def serve(recording: Recording, app: Answering, scope: dict, messages: list, *, raises: bool) -> list:
    """Serve one request; what was sent. What the app raised must arrive as the same object."""
    app.messages, app.raises = messages, AppError() if raises else None
    wire, raised = Wire(), None
    try:
        asyncio.run(recording.app(scope, wire.receive, wire.send))
    except AppError as error:
        raised = error
    assert raised is app.raises
    return wire.sent


def recorded(recording: Recording) -> tuple[int, int, dict[str, int]]:
    """What was offered, what was accepted, and what was dropped why."""
    counts = recording.counts()
    assert counts.closes
    [worker] = counts.workers
    return worker.offered, worker.accepted, worker.dropped


CONFIGURATIONS = {
    **{profile: {"policy": PrivacyPolicy.profile(profile)} for profile in PROFILES},
    "all finest": {"policy": PrivacyPolicy.parse(policy_text(FINEST)), "trusted_proxies": 1},
    "bots dropped": {"policy": PrivacyPolicy.profile("cent").changed(bots={"record": "drop"})},
}


@pytest.mark.parametrize("scopes", [scopes(), wrong_scopes()], ids=["right types", "wrong types"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_request_breaks_anything_or_is_lost(tmp_path, name, scopes):
    app, served = Answering(), 0
    recording = Recording(tmp_path, app, **CONFIGURATIONS[name])

    @examples(30)
    @given(scope=scopes, http=http_answers(), websocket=websocket_answers())
    def check(scope, http, websocket):
        nonlocal served
        messages, raises = http if scope["type"] == "http" else websocket
        assert serve(recording, app, scope, messages, raises=raises) == messages
        served += 1

    check()
    offered, accepted, dropped = recorded(recording)
    declared = 2 if name == "all finest" else 1  # only that policy declares the custom event
    assert offered == 2 * served
    assert dropped.keys() <= {"undeclared", "bot"}
    assert accepted + dropped.get("bot", 0) == declared * served
    assert len(recording.sink.events) == accepted


WRONG = [
    {"headers": [(b"host",)]},
    {"headers": None},
    {"headers": 5},
    {"headers": [("host", "shop.example"), (b"x", None)]},
    {"client": 5},
    {"client": {}},
    {"client": []},
    {"client": "203.0.113.7"},
    {"path": b"/x"},
    {"query_string": None},
    {"method": 5},
    {"root_path": None},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_a_server_gets_wrong_costs_no_event(tmp_path, wrong):
    app = Answering()
    recording = Recording(tmp_path, app, policy=PrivacyPolicy.parse(policy_text(FINEST)))
    assert serve(recording, app, {**make_scope(), **wrong}, [body()], raises=False) == [body()]
    assert recorded(recording) == (2, 2, {})


EDITING = policy_text(FINEST, rest='[browser]\naccept_ch = ["Sec-CH-UA-Platform-Version"]\n')


@pytest.mark.parametrize("scopes", [scopes(), wrong_scopes()], ids=["right types", "wrong types"])
def test_headers_are_only_added_where_the_policy_asks_for_them(tmp_path, scopes):
    app = Answering()
    policy = PrivacyPolicy.parse(EDITING).changed(
        limits={"default": FINEST, "consented": {**FINEST, "visitor": "cookie"}}
    )
    recording = Recording(tmp_path, app, policy=policy, secret="s" * 32, debug=False)

    @examples(30)
    @given(scope=scopes, http=http_answers())
    def check(scope, http):
        scope["type"] = "http"
        messages, raises = http
        sent = serve(recording, app, scope, messages, raises=raises)
        for ours, theirs in zip(sent, messages, strict=True):
            added = list(ours.get("headers", ()))[len(theirs.get("headers", ())) :]
            assert {**ours, "headers": None} == {**theirs, "headers": None}
            assert list(ours.get("headers", ()))[: len(theirs.get("headers", ()))] == list(theirs.get("headers", ()))
            assert {name for name, _ in added} <= {b"accept-ch", b"set-cookie"}

    check()
    assert recorded(recording)[2].keys() <= {"undeclared"}
