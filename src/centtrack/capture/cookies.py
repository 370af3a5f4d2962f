"""Which kinds of cookies came with a request: counts, never values."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from centtrack.consent.registry import CookieRegistry
from centtrack.cookies import NO_NAMES, Names
from centtrack.policy.levels import Cookies
from centtrack.policy.model import UNCLASSIFIED

_MAX_NAME = 128
_MAX_KEY = 1_024  # bytes of names; what is longer isn't remembered


def _split(names: bytes) -> list[str]:
    return [name.strip(" \t")[:_MAX_NAME] for name in names.decode("latin-1").split("=")[:-1]]


class CookieCounter:
    """Counts the cookies of requests by the registry. It remembers which names it has counted together, never values.

    A request doesn't say for which domain and path a cookie was set, so of several entries for a name the first counts.

    Args:
        registry: tells what a name is for.
    """

    def __init__(self, registry: CookieRegistry) -> None:
        self._registry = registry
        self._known = lru_cache(maxsize=1_024)(self._count)  # at worst 3 MB

    def reduce(self, names: Names, level: Cookies) -> dict[str, int] | None:
        """Category → count, or, at level `names`, entry of the registry → count.

        A cookie that isn't in the registry, or that nobody has judged yet, counts as `unclassified` at both levels: its
        name could be anything. So do those behind the hundredth, whose names aren't looked at.
        """
        if level is Cookies.NONE:
            return None
        if names is NO_NAMES:
            return {}
        count = self._known if len(names.looked_at) <= _MAX_KEY else self._count
        return dict(count(names, level))

    def _count(self, names: Names, level: Cookies) -> dict[str, int]:
        counts = Counter(self._key(name, level) for name in _split(names.looked_at))
        return dict(sorted((counts + Counter({UNCLASSIFIED: names.rest})).items()))

    def _key(self, name: str, level: Cookies) -> str:
        fitting = self._registry.fitting(name)
        if not fitting or fitting[0].category == UNCLASSIFIED:
            return UNCLASSIFIED
        return fitting[0].name if level is Cookies.NAMES else fitting[0].category
