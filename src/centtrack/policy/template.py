"""A commented `privacy.toml`, written from a profile, in English, Russian or Kazakh."""

from __future__ import annotations

import datetime as dt
import textwrap
import tomllib
from importlib.resources import files

from centtrack.policy.model import LIMIT_NAMES, Limits
from centtrack.policy.policy import PrivacyPolicy

LANGUAGES = ("en", "ru", "kk")
_WIDTH = 110


def write_template(
    profile: str, language: str = "en", *, site: str = "example.org", today: dt.date | None = None
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
    texts = tomllib.loads(files("centtrack.policy").joinpath("texts", f"{language}.toml").read_text(encoding="utf-8"))
    say = {key: _comment(text.format(profile=profile)) for key, text in texts.items()}
    consented = document.limits.consented or document.limits.default
    return f"""\
{say["head"]}

{say["version"]}
version = "1"
{say["effective"]}
effective = {today or dt.datetime.now(dt.UTC).date()}
{say["release"]}
release = "bucket"

{say["controller"]}
[controller]
{say["name"]}
name = ""
{say["bin"]}
# bin = "050240010875"
{say["contact"]}
contact = "privacy@{site}"
{say["site"]}
site = ["{site}"]

{say["default_tier"]}
[limits.default]
{_limits(document.limits.default, say)}
{say["consented_tier"]}
[limits.consented]
{_limits(consented, say)}
{say["ceiling"]}
[ceiling]
ip = "net24"
geo = "city"

{say["geo_section"]}
[geo]
{say["databases"]}
databases = []
{say["min_population"]}
min_population = {document.geo.min_population}
{say["geo_language"]}
language = "en"

{say["page_section"]}
[page]
{say["query_keys"]}
query_keys = []
{say["scrub_uuids"]}
scrub_uuids = true

{say["browser_section"]}
[browser]
{say["accept_ch"]}
accept_ch = []

{say["visitor_section"]}
[visitor]
{say["bits"]}
bits = {document.visitor.bits}
{say["visitor_days"]}
days = {document.visitor.days}

{say["purposes"]}
[purposes]
analytics = "{texts["analytics_purpose"]}"

{say["exclude"]}
[exclude]
paths = ["/health", "/metrics"]
methods = ["OPTIONS"]

[bots]
{say["bots"]}
record = "{document.bots.record}"

[disclosure]
{say["disclosure"]}
k = {document.disclosure.k}

{say["cookies_section"]}
{say["example"]}
# [[cookies]]
# name = "session"
# category = "necessary"

{say["waiver"]}
# [waiver.ip]
# reason = ""
# by = ""
# until = {(today or dt.datetime.now(dt.UTC).date()) + dt.timedelta(days=90)}
"""


def _comment(text: str) -> str:
    lines = (textwrap.wrap(line, _WIDTH, break_long_words=False) for line in text.strip().splitlines())
    return "\n".join(f"# {line}" for wrapped in lines for line in wrapped)


def _limits(limits: Limits, say: dict[str, str]) -> str:
    """One tier: each limit below its explanation."""
    rows = []
    for name in LIMIT_NAMES:
        explained = say["cookies_limit" if name == "cookies" else name]
        rows.append(f'{explained}\n{name} = "{getattr(limits, name).label}"\n')
    return "".join(rows)
