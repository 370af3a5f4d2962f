"""The event: one flat record a request, version 1. All other schemas are derived from it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta

SCHEMA_VERSION = 1

Kind = Literal["document", "asset", "api", "prefetch", "websocket", "other"]
DataClass = Literal["personal", "pseudonymous", "anonymous"]


def _says(description: str, limit: str | None = None, data: DataClass = "anonymous") -> Meta:
    return Meta(description=description, extra={"limit": limit, "class": data})


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of one request, after reduction to the limits of the policy.

    A column is None where a limit, or the request, leaves nothing. There is no column for anything finer than a
    city, so none can be filled by mistake.
    """

    event_id: Annotated[str, _says("random UUIDv4; carries no time")]
    schema_version: Annotated[int, _says("version of this schema")] = SCHEMA_VERSION
    name: Annotated[str, _says("`request`, or the name of a custom event")] = "request"
    kind: Annotated[Kind, _says("what was asked for: document, asset, api, prefetch, websocket, other")] = "other"
    time: Annotated[dt.datetime, _says("UTC, cut down to `time_precision`", "time")]
    time_precision: Annotated[str, _says("day, hour, minute or second", "time")]
    site: Annotated[str | None, _says("name of the site, from the policy")] = None
    method: Annotated[str | None, _says("HTTP method")] = None
    status: Annotated[int | None, _says("HTTP status; None if the client left before there was one")] = None
    duration_ms: Annotated[float | None, _says("until the last byte was handed to the server", "duration")] = None
    response_bytes: Annotated[
        int | None, _says("bytes of the body; one significant digit if `page` is coarser than path", "page")
    ] = None
    route: Annotated[str | None, _says("template of the route, as in /products/{product}", "page")] = None
    path: Annotated[str | None, _says("path, scrubbed", "page", "personal")] = None
    query: Annotated[str | None, _says("the query's listed keys, scrubbed", "page", "personal")] = None
    referrer_class: Annotated[str | None, _says("internal, search, social, external, spam or none", "referrer")] = None
    referrer_domain: Annotated[str | None, _says("host of the referrer", "referrer")] = None
    referrer_path: Annotated[str | None, _says("path of the referrer, scrubbed", "referrer", "personal")] = None
    channel: Annotated[
        str | None,
        _says("direct, search, social, referral, email, paid, ai_assistant, campaign, internal or spam", "campaign"),
    ] = None
    utm_source: Annotated[str | None, _says("utm_source, scrubbed", "campaign")] = None
    utm_medium: Annotated[str | None, _says("utm_medium, scrubbed", "campaign")] = None
    utm_campaign: Annotated[str | None, _says("utm_campaign, scrubbed", "campaign", "pseudonymous")] = None
    utm_term: Annotated[str | None, _says("utm_term, scrubbed", "campaign", "pseudonymous")] = None
    utm_content: Annotated[str | None, _says("utm_content, scrubbed", "campaign", "pseudonymous")] = None
    ip_network: Annotated[str | None, _says("network of the address, CIDR", "ip", "pseudonymous")] = None
    country_code: Annotated[str | None, _says("ISO 3166-1 alpha-2", "geo")] = None
    region_code: Annotated[str | None, _says("ISO 3166-2, where the database has it", "geo")] = None
    region: Annotated[str | None, _says("name of the region", "geo")] = None
    city: Annotated[str | None, _says("name of the city, without district", "geo")] = None
    geo_precision: Annotated[str | None, _says("country, region or city: the finest that is filled", "geo")] = None
    browser: Annotated[str | None, _says("family of the browser", "browser")] = None
    browser_version: Annotated[str | None, _says("major or full version", "browser", "pseudonymous")] = None
    browser_engine: Annotated[str | None, _says("Blink, Gecko, WebKit, Trident or Presto", "browser")] = None
    os: Annotated[str | None, _says("family of the operating system", "browser")] = None
    os_version: Annotated[str | None, _says("major or full version", "browser", "pseudonymous")] = None
    device_class: Annotated[str | None, _says("desktop, mobile, tablet, bot or other", "browser")] = None
    bot: Annotated[bool | None, _says("whether the client looks automated; None if bots aren't labelled")] = None
    bot_reason: Annotated[str | None, _says("what gave it away")] = None
    bot_name: Annotated[str | None, _says("what it calls itself", "browser")] = None
    bot_operator: Annotated[str | None, _says("who runs it, if it is a known one", "browser")] = None
    bot_purpose: Annotated[
        str | None, _says("what it comes for, as in search, training or user_triggered", "browser")
    ] = None
    language: Annotated[str | None, _says("primary language, ISO 639", "language")] = None
    consent: Annotated[dict[str, str], _says("category → state, in terms of the W3C DPV")] = msgspec.field(
        default_factory=dict
    )
    consent_source: Annotated[
        str | None,
        _says("where the states come from: default, cookie, banner, implied, gpc, dnt; several joined by +"),
    ] = None
    gpc: Annotated[bool | None, _says("whether Sec-GPC was 1")] = None
    dnt: Annotated[bool | None, _says("whether DNT was 1")] = None
    cookies: Annotated[dict[str, int] | None, _says("category or registered name → count, never values", "cookies")] = (
        None
    )
    visitor_id: Annotated[
        str | None, _says("daily key or id of the visitor cookie, hex", "visitor", "pseudonymous")
    ] = None
    policy_version: Annotated[str | None, _says("version of the policy that was in force")] = None
    policy_hash: Annotated[str | None, _says("first 16 hex digits of the policy's SHA-256")] = None
    props: Annotated[dict[str, str | int | float | bool] | None, _says("properties of a custom event")] = None


class Column(NamedTuple):
    """One column of `Event`, as the documentation, the statement and other schemas need it."""

    name: str
    type: Any
    description: str
    limit: str | None
    data_class: DataClass


def _columns() -> tuple[Column, ...]:
    columns = []
    for name, hint in get_type_hints(Event, include_extras=True).items():
        meta: Meta = hint.__metadata__[0]
        extra = meta.extra or {}
        columns.append(Column(name, hint.__origin__, meta.description or "", extra["limit"], extra["class"]))
    return tuple(columns)


COLUMNS = _columns()
