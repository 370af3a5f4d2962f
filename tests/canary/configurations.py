"""The configurations that the canary tries: each limit alone at its finest level, all at once, and profiles."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canary.plants import Place
from centtrack.consent.token import Choice, ConsentTokens
from centtrack.policy import PrivacyPolicy
from centtrack.policy.policy import profile_text
from centtrack.visitor.cookie import VisitorCookie
from policies import FINEST, policy_text

SECRET = "canary-" * 5
RECEIPT = "5ec2e7" * 5 + "aa"
ADDRESSES = ("IPv4", "IPv6")
EXPLAINED = {"X-Centtrack-Explain": "1"}


@dataclass
class Configuration:
    """One configuration.

    Attributes:
        name: what it is called in the report.
        text: of its policy.
        levels: limit → level, of the tier that is in force.
        options: of the middleware.
        client_header: where the client's address is written.
        rewrites_peer: whether the server puts that address in place of the peer's.
        plan: what else the site is told.
        headers: that each request has.
        visitor_id: of the visitor cookie among them.
        kinds: of secrets to plant; None for all.
    """

    name: str
    text: str
    levels: dict[str, str]
    options: dict[str, Any] = field(default_factory=lambda: {"trusted_proxies": 1})
    client_header: str = "X-Forwarded-For"
    rewrites_peer: bool = False
    plan: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    visitor_id: str | None = None
    kinds: tuple[str, ...] | None = None

    def allows(self, place: Place) -> set[str]:
        """The columns in which words of a place may show."""
        return {column for limit, column in place.shown.items() if self._shows(limit, column)}

    def _shows(self, limit: str, column: str) -> bool:
        levels = [*REACHED_BY.get(column, ()), FINEST[limit]]
        return self.levels.get(limit) in levels


# Columns that are there from a coarser level on.
REACHED_BY = {
    "path": ["path"],
    "utm_source": ["source"],
    "utm_medium": ["source"],
    "referrer_domain": ["domain"],
}


def configurations(places: Path) -> list[Configuration]:
    """All of them.

    Args:
        places: a geo database.
    """
    return [
        _profile("strict"),
        _profile("cent"),
        *(_single({limit: FINEST[limit]}, places) for limit in ("page", "campaign", "referrer", "browser")),
        _single({limit: FINEST[limit] for limit in ("geo", "time", "language", "cookies", "duration")}, places),
        *_addresses(places),
        _daily_key(places),
        _cookie(places),
        *_everything(places),
    ]


def _single(levels: dict[str, str], places: Path) -> Configuration:
    name = ", ".join(f"{limit} = {level}" for limit, level in levels.items())
    return Configuration(name, policy_text(levels, places=places), levels)


def _profile(name: str) -> Configuration:
    limits = PrivacyPolicy.profile(name).limits().by_name()
    return Configuration(f"profile {name}", profile_text(name), {limit: level.label for limit, level in limits.items()})


def _addresses(places: Path) -> list[Configuration]:
    """The full address, as each way of hearing of it has it."""
    levels = {"ip": "full"}
    text = policy_text(levels, places=places)
    forwarded = {"trusted_proxies": ["127.0.0.1"], "forwarded_header": "forwarded"}
    return [
        Configuration("ip = full, by hops", text, levels),
        Configuration("ip = full, by Forwarded", text, levels, forwarded, client_header="Forwarded", kinds=ADDRESSES),
        Configuration("ip = full, by the server", text, levels, {}, rewrites_peer=True, kinds=ADDRESSES),
    ]


def _daily_key(places: Path) -> Configuration:
    levels = {"visitor": "daily_key"}
    return Configuration("visitor = daily_key", policy_text(levels, places=places), levels)


def _cookie(places: Path) -> Configuration:
    """With analytics granted, and a visitor cookie."""
    levels = {"visitor": "cookie"}
    text = policy_text({}, consented=levels, places=places)
    visitor_id, cookies = granted(text)
    return Configuration("visitor = cookie", text, levels, headers={"Cookie": cookies}, visitor_id=visitor_id)


def granted(text: str) -> tuple[str, str]:
    """A visitor's id; and the cookies of a visitor who granted analytics under a policy."""
    day = dt.datetime.now(dt.UTC).date().toordinal() - dt.date(1970, 1, 1).toordinal()
    choice = Choice({"analytics": "granted"}, PrivacyPolicy.parse(text).consent_hash, day, RECEIPT)
    consent = ConsentTokens([SECRET.encode()]).sign(choice).decode()
    visitor_id, (_, line) = VisitorCookie([SECRET.encode()], days=1).mint(b"shop.example", "https")
    return visitor_id, f"__Host-centtrack={consent}; {line.decode().partition(';')[0]}"


def _everything(places: Path) -> list[Configuration]:
    text = policy_text(FINEST, places=places)
    debug = {"trusted_proxies": 1, "debug": True}
    blocked = {"blocked": True}
    return [
        Configuration("all finest", text, FINEST),
        Configuration("all finest, explained", text, FINEST, debug, headers=EXPLAINED),
        Configuration("all finest, journal not writable", text, FINEST, plan=blocked),
    ]
