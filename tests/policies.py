"""Policies of a test, by their levels."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from centtrack.capture.capture import Capture
from centtrack.policy import PrivacyPolicy
from centtrack.policy.limits import LEVELS

FINEST = {name: kind.finest().label for name, kind in LEVELS.items()} | {"visitor": "none"}
COARSEST = {name: kind(0).label for name, kind in LEVELS.items()}

# Glob → category, in order: what the column `cookies` may say.
REGISTRY = {"session": "necessary", "_ga*": "analytics", "_gid": "analytics", "theme": "preferences"}
OWN_COOKIES = {
    "__Host-centtrack": "necessary", "centtrack": "necessary",
    "__Host-centtrack-visitor": "analytics", "centtrack-visitor": "analytics",
}  # fmt: skip
QUERY_KEYS = ("q", "page")


def policy_text(
    levels: dict[str, str] = COARSEST,
    *,
    consented: dict[str, str] | None = None,
    release: str = "bucket",
    places: Path | None = None,
    site: str = "shop.example",
    rest: str = "",
) -> str:
    """A `privacy.toml` with these levels; limits that aren't named are at their coarsest."""
    databases = [str(places)] if places else []
    cookies = "".join(f'[[cookies]]\nname = "{name}"\ncategory = "{category}"\n' for name, category in REGISTRY.items())
    return f"""
release = "{release}"
[controller]
site = ["{site}"]
{_tier("default", levels)}
{_tier("consented", consented or levels)}
[waiver.ip]
reason = "tests"
by = "tests"
until = 2999-12-31
[geo]
databases = {databases}
[page]
query_keys = {list(QUERY_KEYS)}
{cookies}
[[events]]
name = "quote_made"
properties = {{ product = ["motor", "home"], premium = "integer", ratio = "number", renewed = "boolean" }}
{rest}
"""


def _tier(name: str, levels: dict[str, str]) -> str:
    lines = [f'{limit} = "{level}"' for limit, level in {**COARSEST, **levels}.items()]
    return "\n".join([f"[limits.{name}]", *lines])


@cache
def capture_under(text: str) -> Capture:
    """The `Capture` of a policy's text, ready to use. Engines are shared, so this is cheap."""
    capture = Capture(PrivacyPolicy.parse(text))
    capture.warm()
    return capture
