"""The event: one flat record a request, version 1. All other schemas are derived from it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta

SCHEMA_VERSION = 1

Kind = Literal["document", "asset", "api", "prefetch", "websocket", "other"]
DataClass = Literal["personal", "pseudonymous", "anonymous"]


def _says(
    description: str,
    example: object,
    limit: str | None = None,
    level: str | None = None,
    data: DataClass = "anonymous",
    *,
    unit: str | None = None,
) -> Meta:
    extra = {"limit": limit, "level": level, "class": data, "unit": unit}
    return Meta(description=description, examples=[example], extra=extra)


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of one request, after reduction to the limits of the policy.

    A column is None where a limit, or the request, leaves nothing. There is no column for anything finer than a
    city, so none can be filled by mistake.
    """

    event_id: Annotated[str, _says("random UUIDv4; carries no time", "6a1f0c52-93de-4d2b-8f0e-5b7c41d2a9e3")]
    schema_version: Annotated[int, _says("version of this schema", 1)] = SCHEMA_VERSION
    name: Annotated[str, _says("`request`, or the name of a custom event", "request")] = "request"
    kind: Annotated[Kind, _says("what was asked for: document, asset, api, prefetch, websocket, other", "document")] = (
        "other"
    )
    time: Annotated[dt.datetime, _says("UTC, cut down to `time_precision`", "2026-11-22T15:30:00Z", "time", "day")]
    time_precision: Annotated[str, _says("day, hour, minute or second", "minute", "time", "day")]
    site: Annotated[str | None, _says("name of the site, from the policy", "shop.example")] = None
    method: Annotated[str | None, _says("HTTP method", "GET")] = None
    status: Annotated[int | None, _says("HTTP status; empty if the client left before there was one", 200)] = None
    duration_ms: Annotated[
        float | None, _says("until the last byte was handed to the server", 38.2, "duration", "rounded", unit="ms")
    ] = None
    response_bytes: Annotated[
        int | None,
        _says(
            "size of the body; one significant digit if `page` is coarser than path",
            18_204,
            "page",
            "route",
            unit="bytes",
        ),
    ] = None
    route: Annotated[
        str | None, _says("template of the route, as in /products/{product}", "/products/{product}", "page", "route")
    ] = None
    path: Annotated[str | None, _says("path, scrubbed", "/products/casco", "page", "path", "personal")] = None
    query: Annotated[
        str | None, _says("the query's listed keys, scrubbed", "city=qostanay", "page", "query", "personal")
    ] = None
    referrer_class: Annotated[
        str | None, _says("internal, search, social, external, spam or none", "search", "referrer", "class")
    ] = None
    referrer_domain: Annotated[str | None, _says("host of the referrer", "www.google.kz", "referrer", "domain")] = None
    referrer_path: Annotated[
        str | None, _says("path of the referrer, scrubbed", "/search", "referrer", "path", "personal")
    ] = None
    channel: Annotated[
        str | None,
        _says(
            "direct, search, social, referral, email, paid, ai_assistant, campaign, internal or spam",
            "paid",
            "campaign",
            "channel",
        ),
    ] = None
    utm_source: Annotated[str | None, _says("utm_source, scrubbed", "google", "campaign", "source")] = None
    utm_medium: Annotated[str | None, _says("utm_medium, scrubbed", "cpc", "campaign", "source")] = None
    utm_campaign: Annotated[
        str | None, _says("utm_campaign, scrubbed", "autumn-2026", "campaign", "full", "pseudonymous")
    ] = None
    utm_term: Annotated[str | None, _says("utm_term, scrubbed", "casco online", "campaign", "full", "pseudonymous")] = (
        None
    )
    utm_content: Annotated[str | None, _says("utm_content, scrubbed", "text-2", "campaign", "full", "pseudonymous")] = (
        None
    )
    ip_network: Annotated[
        str | None, _says("network of the address, CIDR", "203.0.113.0/24", "ip", "net16", "pseudonymous")
    ] = None
    country_code: Annotated[str | None, _says("ISO 3166-1 alpha-2", "KZ", "geo", "country")] = None
    region_code: Annotated[str | None, _says("ISO 3166-2, where the database has it", "KZ-39", "geo", "region")] = None
    region: Annotated[str | None, _says("name of the region", "Qostanay Region", "geo", "region")] = None
    city: Annotated[str | None, _says("name of the city, without district", "Qostanay", "geo", "city")] = None
    geo_precision: Annotated[
        str | None, _says("country, region or city: the finest that is filled", "city", "geo", "country")
    ] = None
    browser: Annotated[str | None, _says("family of the browser", "Chrome", "browser", "family")] = None
    browser_version: Annotated[
        str | None, _says("major or full version", "126", "browser", "major", "pseudonymous")
    ] = None
    browser_engine: Annotated[
        str | None, _says("Blink, Gecko, WebKit, Trident or Presto", "Blink", "browser", "family")
    ] = None
    os: Annotated[str | None, _says("family of the operating system", "Windows", "browser", "family")] = None
    os_version: Annotated[str | None, _says("major or full version", "10", "browser", "major", "pseudonymous")] = None
    device_class: Annotated[
        str | None, _says("desktop, mobile, tablet, bot or other", "desktop", "browser", "device")
    ] = None
    bot: Annotated[bool | None, _says("whether the client looks automated; empty if bots aren't labelled", True)] = None
    bot_reason: Annotated[str | None, _says("what gave it away", "known_bot")] = None
    bot_name: Annotated[str | None, _says("what it calls itself", "Googlebot", "browser", "family")] = None
    bot_operator: Annotated[str | None, _says("who runs it, if it is a known one", "Google", "browser", "family")] = (
        None
    )
    bot_purpose: Annotated[
        str | None, _says("what it comes for, as in search, training or user_triggered", "search", "browser", "family")
    ] = None
    language: Annotated[str | None, _says("primary language, ISO 639", "kk", "language", "primary")] = None
    consent: Annotated[
        dict[str, str],
        _says(
            "category → state, in terms of the W3C DPV",
            {"analytics": "given", "marketing": "refused", "preferences": "unknown"},
        ),
    ] = msgspec.field(default_factory=dict)
    consent_source: Annotated[
        str | None,
        _says(
            "where the states come from: default, cookie, banner, implied, gpc, dnt; several joined by +", "cookie+gpc"
        ),
    ] = None
    gpc: Annotated[bool | None, _says("whether Sec-GPC was 1", True)] = None
    dnt: Annotated[bool | None, _says("whether DNT was 1", False)] = None
    cookies: Annotated[
        dict[str, int] | None,
        _says(
            "category or registered name → count, never values",
            {"necessary": 2, "unclassified": 1},
            "cookies",
            "counts",
        ),
    ] = None
    visitor_id: Annotated[
        str | None,
        _says("daily key or id of the visitor cookie, hex", "3f9a1c0e7b42", "visitor", "daily_key", "pseudonymous"),
    ] = None
    policy_version: Annotated[str | None, _says("version of the policy that was in force", "2026-11")] = None
    policy_hash: Annotated[str | None, _says("first 16 hex digits of the policy's SHA-256", "c4bcaa9740ba8b49")] = None
    props: Annotated[
        dict[str, str | int | float | bool] | None,
        _says("properties of a custom event", {"plan": "casco", "months": 12}),
    ] = None


class Column(NamedTuple):
    """One column of `Event`, as the documentation, the statement and other schemas need it.

    Attributes:
        name: of the column.
        type: as Python has it.
        description: what it is.
        limit: of the policy, that it follows.
        data_class: of what it holds.
        level: the coarsest level of its limit at which it is filled.
        unit: of a number, as in `ms`.
        example: a value, as JSON has it.
    """

    name: str
    type: Any
    description: str
    limit: str | None
    data_class: DataClass
    level: str | None
    unit: str | None
    example: object


def _column(name: str, hint: Any) -> Column:
    meta: Meta = hint.__metadata__[0]
    extra, [example] = meta.extra or {}, meta.examples or [None]
    return Column(
        name, hint.__origin__, meta.description or "", extra["limit"], extra["class"], extra["level"], extra["unit"],
        example,
    )  # fmt: skip


COLUMNS = tuple(_column(name, hint) for name, hint in get_type_hints(Event, include_extras=True).items())
