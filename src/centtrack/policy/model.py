"""The shape of `privacy.toml`, checked strictly by pydantic: an unknown key or level is an error, never a guess."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from centtrack.event import COLUMNS
from centtrack.policy import levels
from centtrack.policy.identifiers import has_valid_check_digit
from centtrack.policy.limits import FINEST, LEVELS, Limits, Section, Tiers
from centtrack.spelling import nearest

MAX_COOKIE_DAYS = 400  # browsers cut longer lifetimes (RFC 6265bis, 5.5)
MAX_CONSENT_DAYS = 182
MAX_PROPERTIES = 32
UNCLASSIFIED = "unclassified"

ALWAYS_SENT = (
    "event_id", "schema_version", "name", "kind", "time", "time_precision",  # what it is, and when
    "consent", "consent_source", "gpc", "dnt", "policy_version", "policy_hash",  # what it may be used for
)  # fmt: skip
"""Columns that each sink gets, whatever its `fields` are: no event can be told, kept or passed on rightly without."""

Category = Literal["necessary", "preferences", "analytics", "marketing"]
AskedCategory = Literal["preferences", "analytics", "marketing"]
Purpose = Literal["analytics", "security", "preferences", "marketing", "statistics"]
DEFAULT_PURPOSE: Purpose = "analytics"  # of a sink that says none
Language = Literal["en", "ru", "kk"]
Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Date = Annotated[dt.date, Field(strict=True)]
Text = str | dict[Language, str]
_PURPOSES: dict[Purpose, Text] = {"analytics": "Improve the service"}
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


def _column(name: str) -> str:
    names = [column.name for column in COLUMNS]
    if name not in names:
        raise PydanticCustomError(
            "level",
            '"{name}" is no column of an event: `centtrack policy show` lists them.{hint}',
            {"name": name, "hint": nearest(name, names)},
        )
    return name


class Controller(Section):
    """Who is responsible (clauses 1 and 4.7)."""

    name: str = ""
    bin: str | None = None
    contact: str | None = None
    affiliates: tuple[str, ...] = ()
    site: tuple[str, ...] = ()

    @field_validator("bin")
    @classmethod
    def _check_digit(cls, value: str | None) -> str | None:
        if value is not None and not has_valid_check_digit(value):
            raise PydanticCustomError("rule", "a BIN has 12 digits, the last of which is a check digit; this has not")
        return value


class Waiver(Section):
    """Why a limit that needs a reason is lifted, by whom and until when (that day included, UTC)."""

    reason: Annotated[str, Field(min_length=1)]
    by: Annotated[str, Field(min_length=1)]
    until: Date


class Waivers(Section):
    """The limits that can be waived."""

    ip: Waiver | None = None


class Geo(Section):
    """Where places come from."""

    databases: tuple[Path, ...] = ()
    min_population: Annotated[int, Field(strict=True, ge=0)] = 15_000
    language: Language = "en"


class PageRules(Section):
    """What of a URL is kept where the level `query` or `path` allows it."""

    query_keys: tuple[str, ...] = ()
    scrub_uuids: StrictBool = True


class Cookie(Section):
    """One entry of the cookie registry: what it is for, and which cookies it is about.

    `name`, `domain` and `path` may be patterns; without domain or path it is about any. `lifetime` is in days, 0 for a
    session. `unclassified` is for what nobody has judged yet: such a cookie counts as unknown.
    """

    name: Annotated[str, Field(pattern=r"^[!#-+.-:<>-~-]{1,128}$")]
    category: Literal[Category, "unclassified"]
    domain: str | None = None
    path: str | None = None
    purpose: Text = ""
    lifetime: Annotated[int, Field(strict=True, ge=0, le=MAX_COOKIE_DAYS)] | None = None


class Banner(Section):
    """Another banner, whose cookie is read: category → what the banner calls it. The visitor could have written it.

    Without `categories` the banner's own names count; klaro and django-cookie-consent have none.
    """

    kind: Literal["klaro", "vanilla-cookieconsent", "c15t", "django-cookie-consent", "onetrust", "cookiebot"]
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] | None = None
    categories: dict[AskedCategory, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    revision: Annotated[int, Field(strict=True, ge=0)] | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if self.kind in {"klaro", "django-cookie-consent"} and not self.categories:
            raise PydanticCustomError(
                "rule",
                "{kind} has no names of its own for categories: say which names of the site's stand for which, "
                "as in categories = {example}",
                {"at": "kind", "kind": self.kind, "example": '{ analytics = ["matomo"] }'},
            )
        if self.revision is not None and self.kind != "vanilla-cookieconsent":
            raise PydanticCustomError(
                "rule",
                "the cookie of {kind} has no revision: only that of vanilla-cookieconsent does",
                {"at": "revision", "kind": self.kind},
            )
        return self


class ConsentRules(Section):
    """How a choice is asked for, which signals count, and what happens to cookies without consent."""

    mode: Literal["opt_in", "implied"] = "opt_in"
    days: Annotated[int, Field(strict=True, ge=1, le=MAX_CONSENT_DAYS)] = MAX_CONSENT_DAYS
    gpc: tuple[AskedCategory, ...] = ("marketing",)
    dnt: StrictBool = False
    choice_outranks_signal: StrictBool = False
    gate: Literal["observe", "declared", "enforce"] = "observe"
    hide: StrictBool = False
    domain: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")] | None = None
    jurisdiction: Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")] | None = None
    banner: Banner | None = None


class Change(Section):
    """One entry of the change log that visitors can read."""

    version: Annotated[str, Field(min_length=1)]
    effective: Date
    summary: Text


class SinkRules(Section):
    """What the policy says of a sink. A third party's gets only what was consented to. `retention` is in days.

    `fields` are the columns that it gets beside ALWAYS_SENT; None: all. `sample` is its share of the events.
    """

    name: Annotated[str, Field(min_length=1)]
    party: Literal["first", "third"] = "first"
    country: Country | None = None
    purposes: Annotated[tuple[Purpose, ...], Field(min_length=1)] = (DEFAULT_PURPOSE,)
    fields: tuple[Annotated[str, AfterValidator(_column)], ...] | None = None
    sample: Annotated[float, Field(strict=True, gt=0, le=1)] = 1.0
    retention: Annotated[int, Field(strict=True, ge=1)] | None = None


class Recipients(Section):
    """Which sinks there may be: any, or those of `[[sinks]]` only; and in which countries those with personal data."""

    undeclared_sinks: Literal["allow", "refuse"] = "allow"
    personal_data_in: Annotated[tuple[Country, ...], Field(min_length=1)] | None = None


class CustomEvent(Section):
    """A custom event: property → "integer", "number", "boolean", or the list of words it may hold (no free text)."""

    name: Name
    properties: Annotated[
        dict[Name, Literal["integer", "number", "boolean"] | tuple[str, ...]], Field(max_length=MAX_PROPERTIES)
    ] = Field(default_factory=dict)


class Disclosure(Section):
    """Reports show no group of fewer than `k` visitors or views."""

    k: Annotated[int, Field(strict=True, ge=1)] = 10


class Exclude(Section):
    """Requests that aren't recorded. `paths` are globs."""

    paths: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


class BrowserRules(Section):
    """What the site asks browsers for, in the response header Accept-CH, beyond what they send by themselves."""

    accept_ch: tuple[Literal["Sec-CH-UA-Full-Version-List", "Sec-CH-UA-Platform-Version"], ...] = ()


class VisitorRules(Section):
    """`bits` of a daily key: fewer make visitors share one. `days` that the visitor cookie lasts (CNIL: 13 months)."""

    bits: Annotated[int, Field(strict=True, ge=16, le=128, multiple_of=4)] = 48
    days: Annotated[int, Field(strict=True, ge=1, le=MAX_COOKIE_DAYS)] = 390


class Bots(Section):
    """`keep`: record as any client; `label`: say so in the event; `drop`: count and drop."""

    record: Literal["keep", "label", "drop"] = "label"


class Document(Section):
    """The whole file."""

    version: Annotated[str, Field(min_length=1)] = "1"
    effective: Date | None = None
    release: Literal["bucket", "at_once"] = "bucket"
    controller: Controller = Controller()
    limits: Tiers = Tiers()
    ceiling: Limits = FINEST
    waiver: Waivers = Waivers()
    geo: Geo = Geo()
    page: PageRules = PageRules()
    browser: BrowserRules = BrowserRules()
    visitor: VisitorRules = VisitorRules()
    purposes: dict[Purpose, Text] = Field(default_factory=lambda: dict(_PURPOSES))
    cookies: tuple[Cookie, ...] = ()
    consent: ConsentRules = ConsentRules()
    changes: tuple[Change, ...] = ()
    sinks: tuple[SinkRules, ...] = ()
    recipients: Recipients = Recipients()
    events: tuple[CustomEvent, ...] = ()
    disclosure: Disclosure = Disclosure()
    exclude: Exclude = Exclude()
    bots: Bots = Bots()

    @field_validator("ceiling", mode="before")
    @classmethod
    def _absent_is_no_cap(cls, value: object) -> object:
        """A limit that the ceiling doesn't name isn't capped by it."""
        if isinstance(value, dict):
            return {**{name: kind.finest() for name, kind in LEVELS.items()}, **value}
        return value

    @model_validator(mode="after")
    def _full_address_needs_a_waiver(self) -> Self:
        for tier in ("default", "consented"):
            limits = getattr(self.limits, tier)
            if limits and limits.ip is levels.Ip.FULL and self.waiver.ip is None:
                raise PydanticCustomError(
                    "rule",
                    '"full" needs a waiver: a table [waiver.ip] with reason, by and until',
                    {"at": f"limits.{tier}.ip", "unless": "waiver"},
                )
        return self

    @model_validator(mode="after")
    def _third_parties_need_consent(self) -> Self:
        for number, sink in enumerate(self.sinks):
            if sink.party == "third" and "security" in sink.purposes:
                raise PydanticCustomError(
                    "rule",
                    'a third party only gets what visitors consented to, and nobody is asked about "security"',
                    {"at": f"sinks.{number}.purposes"},
                )
        return self

    @model_validator(mode="after")
    def _purposes_are_declared(self) -> Self:
        for number, sink in enumerate(self.sinks):
            for purpose in sink.purposes:
                if purpose not in self.purposes:
                    raise PydanticCustomError(
                        "rule",
                        '"{purpose}" is a purpose that [purposes] does not declare',
                        {"at": f"sinks.{number}.purposes", "purpose": purpose},
                    )
        return self
