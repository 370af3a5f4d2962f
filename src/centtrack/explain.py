"""Why an event looks as it does: which address was believed, which limits applied, what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from centtrack.capture.capture import ANALYTICS, Capture, Excluded
from centtrack.capture.client_hints import read_hint_lines
from centtrack.capture.headers import read_headers
from centtrack.capture.observation import Observation
from centtrack.event import COLUMNS, Event
from centtrack.policy.levels import Browser, Geo, Page, Visitor
from centtrack.policy.limits import LIMIT_NAMES, Limits


class LimitRow(NamedTuple):
    """One limit and what it left.

    Attributes:
        limit: name of the limit.
        level: the level in force.
        set_to: the level that the file sets for this tier; finer than `level` if the ceiling or a waiver's end cut it.
        columns: the event's columns under this limit that hold something.
    """

    limit: str
    level: str
    set_to: str
    columns: dict[str, Any]


class Explanation(NamedTuple):
    """The way of one request.

    Attributes:
        address: the address that was believed, as text.
        reason: why.
        tier: `default` or `consented`.
        consent: category → state.
        consent_source: where the consent came from.
        notes: what isn't seen from the limits: what was scrubbed, where the browser's name comes from, and the like.
        limits: each limit that applied.
        event: the event; or why there is none.
    """

    address: str | None
    reason: str
    tier: str
    consent: dict[str, str]
    consent_source: str
    notes: list[str]
    limits: list[LimitRow]
    event: Event | Excluded


def explain(capture: Capture, seen: Observation) -> Explanation:
    """Explain one request under a policy. Nothing is counted."""
    headers = read_headers(seen.headers)
    client = capture.proxies.resolve(seen.peer, capture.proxies.read_chain(headers))
    consent = capture.consent_of(seen.headers)
    consented = consent.allows(ANALYTICS)
    made = capture.make(seen)
    limits = capture.policy.limits(consented=consented)
    tiers = capture.policy.document.limits
    written = (tiers.consented or tiers.default) if consented else tiers.default
    notes = [f"scrubbed: {', '.join(made.scrubbed)}"] if made.scrubbed else []
    notes += _notes(capture, limits, made.event, has_hints=bool(read_hint_lines(headers)))
    return Explanation(
        str(client.address) if client.address else None,
        client.reason,
        "consented" if consented else "default",
        dict(consent.labels),
        consent.source,
        notes,
        [
            LimitRow(name, getattr(limits, name).label, getattr(written, name).label, _columns_under(name, made.event))
            for name in LIMIT_NAMES
        ],
        made.event,
    )


def _notes(capture: Capture, limits: Limits, event: Event | Excluded, *, has_hints: bool) -> Iterator[str]:
    if isinstance(event, Excluded):
        return
    if event.bot:
        yield f"bot: {event.bot_reason}"
    if limits.browser >= Browser.DEVICE and event.device_class:
        yield "browser: from client hints and the user agent" if has_hints else "browser: from the user agent"
    if limits.page >= Page.ROUTE and event.route is None:
        yield "page: no route is known"
    if limits.geo > Geo.NONE:
        yield from _about_place(capture, event)
    if limits.visitor is Visitor.DAILY_KEY and event.visitor_id is None:
        yield "visitor: no daily key: the salt of the day isn't known here, or there is no address"
    if limits.visitor is Visitor.COOKIE and event.visitor_id is None:
        yield "visitor: the request carries no valid visitor cookie"


def _about_place(capture: Capture, event: Event) -> Iterator[str]:
    for path, problem in capture.geo.broken.items():
        yield f"place: the database {path} can't be used as it is now: {problem}"
    if event.geo_precision is None:
        yield "place: no database has this address" if capture.geo.paths else "place: the policy names no geo database"


def _columns_under(limit: str, event: Event | Excluded) -> dict[str, Any]:
    if isinstance(event, Excluded):
        return {}
    values = {column.name: getattr(event, column.name) for column in COLUMNS if column.limit == limit}
    return {name: value for name, value in values.items() if value is not None}


def encode_explanation(explanation: Explanation, *, indent: int | None = None) -> bytes:
    """The explanation as JSON of ASCII only, so that it fits in a header."""
    data = {**explanation._asdict(), "limits": [row._asdict() for row in explanation.limits]}
    if isinstance(explanation.event, Excluded):
        data["event"] = {"excluded": explanation.event.reason}
    separators = (",", ": ") if indent else (",", ":")
    return json.dumps(msgspec.to_builtins(data), indent=indent, separators=separators).encode("ascii")
