"""Which kinds of cookies came with a request: counts, never values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

from centtrack.policy.levels import Cookies
from centtrack.policy.model import Cookie

UNCLASSIFIED = "unclassified"
_MAX_COOKIES = 300


def cookie_names(lines: Sequence[bytes]) -> list[str]:
    """Names of the cookies of a request (RFC 6265, 4.2). Values aren't decoded, kept or looked at."""
    pairs = b";".join(lines).split(b";", _MAX_COOKIES)
    return [
        name.strip(b" \t").decode("latin-1") for name, found, _ in (pair.partition(b"=") for pair in pairs) if found
    ]


def reduce_cookies(lines: Sequence[bytes], registry: Sequence[Cookie], level: Cookies) -> dict[str, int] | None:
    """Category → count, or, at level `names`, entry of the registry → count.

    A cookie that isn't in the registry counts as `unclassified` at both levels: its name could be anything.
    """
    if level is Cookies.NONE:
        return None
    if not lines:
        return {}
    counts: Counter[str] = Counter()
    for name in cookie_names(lines):
        entry = next((entry for entry in registry if fnmatchcase(name, entry.name)), None)
        if entry is None:
            counts[UNCLASSIFIED] += 1
        else:
            counts[entry.name if level is Cookies.NAMES else entry.category] += 1
    return dict(sorted(counts.items()))
