"""The limits of `privacy.toml`: how fine each thing may be, with consent and without."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from centtrack.policy import levels
from centtrack.spelling import nearest


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _of(kind: type[levels.Level]) -> BeforeValidator:
    def read(value: object) -> levels.Level:
        if isinstance(value, kind):
            return value
        if isinstance(value, str) and value in kind.labels():
            return kind[value.upper()]
        shown = f'"{value}"' if isinstance(value, str) else str(value)
        allowed = ", ".join(kind.labels())
        hint = nearest(value, kind.labels()) if isinstance(value, str) else ""
        # Braces would be read as a template by pydantic, so all text goes in as context.
        raise PydanticCustomError(
            "level",
            "{shown} is not a level of this limit; allowed: {allowed}.{hint}",
            {"shown": shown, "allowed": allowed, "hint": hint},
        )

    return BeforeValidator(read)


class Limits(Section):
    """How fine each thing may be. What a file leaves out has the coarsest level."""

    ip: Annotated[levels.Ip, _of(levels.Ip)] = levels.Ip.NONE
    geo: Annotated[levels.Geo, _of(levels.Geo)] = levels.Geo.NONE
    time: Annotated[levels.Time, _of(levels.Time)] = levels.Time.DAY
    page: Annotated[levels.Page, _of(levels.Page)] = levels.Page.NONE
    campaign: Annotated[levels.Campaign, _of(levels.Campaign)] = levels.Campaign.NONE
    referrer: Annotated[levels.Referrer, _of(levels.Referrer)] = levels.Referrer.NONE
    browser: Annotated[levels.Browser, _of(levels.Browser)] = levels.Browser.NONE
    language: Annotated[levels.Language, _of(levels.Language)] = levels.Language.NONE
    cookies: Annotated[levels.Cookies, _of(levels.Cookies)] = levels.Cookies.NONE
    visitor: Annotated[levels.Visitor, _of(levels.Visitor)] = levels.Visitor.NONE
    duration: Annotated[levels.Duration, _of(levels.Duration)] = levels.Duration.NONE

    def by_name(self) -> dict[str, levels.Level]:
        """Name of the limit → level."""
        return {name: getattr(self, name) for name in LIMIT_NAMES}

    def capped(self, ceiling: Limits) -> Limits:
        """These limits, none finer than the ceiling."""
        return self.model_copy(
            update={name: min(level, getattr(ceiling, name)) for name, level in self.by_name().items()}
        )


LIMIT_NAMES = tuple(Limits.model_fields)
LEVELS: dict[str, type[levels.Level]] = {name: type(level) for name, level in Limits().by_name().items()}
FINEST = Limits.model_validate({name: kind.finest() for name, kind in LEVELS.items()})


class Tiers(Section):
    """Limits for visitors who granted nothing, and for those who granted analytics."""

    default: Limits = Limits()
    consented: Limits | None = None

    @model_validator(mode="after")
    def _no_visitor_cookie_without_consent(self) -> Self:
        if self.default.visitor == levels.Visitor.COOKIE:
            raise PydanticCustomError(
                "rule",
                '"cookie" needs analytics consent: it may stand in [limits.consented] only',
                {"at": "default.visitor"},
            )
        return self
