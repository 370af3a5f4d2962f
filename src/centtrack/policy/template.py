"""A commented `privacy.toml`, written from a profile, in English, Russian or Kazakh."""

from __future__ import annotations

import datetime as dt
import textwrap
import tomllib
from importlib.resources import files
from string import Template

from centtrack.policy.limits import LIMIT_NAMES, Limits
from centtrack.policy.model import Language
from centtrack.policy.policy import PrivacyPolicy

_WIDTH = 110


def write_template(
    profile: str, language: Language = "en", *, site: str = "example.org", today: dt.date | None = None
) -> str:
    """The text of a policy file, every line explained.

    Args:
        profile: whose limits to write.
        language: language of the comments: en, ru or kk.
        site: name of the site.
        today: the day that it comes into force; default: today.

    Raises:
        ConfigurationError: if there is no such profile.
    """
    document = PrivacyPolicy.profile(profile).document
    texts = tomllib.loads(_read(f"texts/{language}.toml"))
    comments = {key: _comment(Template(text).substitute(profile=profile)) for key, text in texts.items()}
    today = today or dt.datetime.now(dt.UTC).date()
    jurisdiction = document.consent.jurisdiction
    return Template(_read("template.txt")).substitute(
        comments,
        SITE=site,
        TODAY=today,
        IN_90_DAYS=today + dt.timedelta(days=90),
        DEFAULT_LIMITS=_limits(document.limits.default, comments),
        CONSENTED_LIMITS=_limits(document.limits.consented or document.limits.default, comments),
        MIN_POPULATION=document.geo.min_population,
        JURISDICTION=f'jurisdiction = "{jurisdiction}"' if jurisdiction else '# jurisdiction = "KZ"',
    )


def _read(name: str) -> str:
    return files("centtrack.policy").joinpath(name).read_text(encoding="utf-8")


def _comment(text: str) -> str:
    lines = (textwrap.wrap(line, _WIDTH, break_long_words=False) for line in text.strip().splitlines())
    return "\n".join(f"# {line}" for wrapped in lines for line in wrapped)


def _limits(limits: Limits, comments: dict[str, str]) -> str:
    """One tier: each limit below its explanation."""
    rows = []
    for name in LIMIT_NAMES:
        explained = comments["cookies_limit" if name == "cookies" else name]
        rows.append(f'{explained}\n{name} = "{getattr(limits, name).label}"\n')
    return "".join(rows)
