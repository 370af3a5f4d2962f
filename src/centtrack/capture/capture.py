"""From an observation to an event: each part read, reduced to its limit, and put into its columns."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from centtrack.capture import bots, browser
from centtrack.capture.client import TrustedProxies
from centtrack.capture.clock import reduce_duration, reduce_time
from centtrack.capture.cookies import CookieRegistry
from centtrack.capture.custom import check_custom
from centtrack.capture.event_ids import random_id
from centtrack.capture.geo import GeoDatabases
from centtrack.capture.headers import Headers, read_headers
from centtrack.capture.observation import Observation, RawHeaders, coerced
from centtrack.capture.page import read_kind, reduce_method, reduce_size
from centtrack.capture.reducer import Reducer
from centtrack.consent.state import Consent, ConsentReader
from centtrack.event import Event
from centtrack.policy.levels import Geo, Ip
from centtrack.policy.policy import PrivacyPolicy

logger = logging.getLogger(__name__)

ANALYTICS = "analytics"


class Excluded(NamedTuple):
    """Why a request makes no event."""

    reason: str


class Capture:
    """Everything that turns observations into events under one policy. One a process; used by several threads.

    Args:
        policy: the limits.
        proxies: whose word on the client's address is taken.
    """

    def __init__(self, policy: PrivacyPolicy, proxies: TrustedProxies | None = None) -> None:
        self.policy = policy
        self.proxies = proxies or TrustedProxies()
        document = policy.document
        tiers = {consented: policy.limits(consented=consented) for consented in (False, True)}
        needs_floor = any(limits.geo is Geo.CITY for limits in tiers.values())
        self.geo = GeoDatabases(
            policy.geo_databases,
            min_population=document.geo.min_population if needs_floor else 0,
            language=document.geo.language,
        )
        self.consent = ConsentReader(document.consent)
        self._reducers = {tier: Reducer(limits, document, self.geo, self.proxies) for tier, limits in tiers.items()}
        self._waived = any(limits.ip is Ip.FULL for limits in tiers.values())
        self._cookies = CookieRegistry(document.cookies)
        self._excluded_paths = document.exclude.paths
        self._excluded_methods = frozenset(method.upper() for method in document.exclude.methods)
        self._drops_bots = document.bots.record == "drop"
        self._policy_version, self._policy_hash = policy.version, policy.hash
        self._warned = False

    def warm(self) -> None:
        """Build engines and open databases, in the process that will use them. Takes up to a second."""
        browser.warm()
        bots.warm()
        self.geo.open()

    def capture(self, seen: Observation) -> Event | Excluded:
        """The event of an observation, or the reason why there is none."""
        try:
            return self._capture(seen)
        except (AttributeError, TypeError):
            return self._capture(coerced(seen))  # a server got a type of the scope wrong

    def _capture(self, seen: Observation) -> Event | Excluded:
        if seen.method in self._excluded_methods or (self._excluded_paths and self._is_excluded(seen.path)):
            return Excluded("excluded")
        headers = read_headers(seen.headers)
        consent = self._consent(headers)
        return self._event(seen, headers, consent, self._reducer(consent))

    def consent_of(self, headers: RawHeaders) -> Consent:
        """What the visitor of a request with these headers allows."""
        return self._consent(read_headers(headers))

    def _consent(self, headers: Headers) -> Consent:
        return self.consent.read(gpc=has_signal(headers, b"sec-gpc"), dnt=has_signal(headers, b"dnt"))

    def check_custom(self, name: str, props: Mapping[str, object]) -> str | None:
        """What is wrong with a custom event; None if the policy declares it so."""
        return check_custom(self.policy.document.events, name, props)

    def _is_excluded(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self._excluded_paths)

    def _reducer(self, consent: Consent) -> Reducer:
        reducer = self._reducers[consented := consent.allows(ANALYTICS)]
        if self._waived and (limits := self.policy.limits(consented=consented)) != reducer.limits:
            reducer.limits = limits  # the waiver has run out since
        return reducer

    def _event(self, seen: Observation, headers: Headers, consent: Consent, reducer: Reducer) -> Event | Excluded:
        limits = reducer.limits
        visitor = reducer.visitor(
            headers.get(b"user-agent", b""), headers.get(b"accept-language", b""), seen.peer, self._chain(headers)
        )
        if self._drops_bots and visitor["bot"]:
            return Excluded("bot")
        page = reducer.page(seen)
        return Event(
            event_id=random_id(),
            kind=read_kind(seen, headers),
            time=reduce_time(seen.time, limits.time),
            time_precision=reducer.time_label,
            method=reduce_method(seen.method),
            status=seen.status,
            duration_ms=reduce_duration(seen.duration_s, limits.duration),
            response_bytes=reduce_size(seen.response_bytes, limits.page),
            route=page.route,
            path=page.path,
            query=page.query,
            consent=dict(consent.labels),
            consent_source=consent.source,
            gpc=consent.source == "gpc" or has_signal(headers, b"sec-gpc"),
            cookies=self._cookies.reduce(headers.get(b"cookie", b""), limits.cookies),
            policy_version=self._policy_version,
            policy_hash=self._policy_hash,
            **visitor,
            **reducer.origin(headers.get(b"referer", b""), headers.get(b"host", b""), seen.query),
        )

    def _chain(self, headers: Headers) -> str:
        if not self.proxies and not self._warned and (b"x-forwarded-for" in headers or b"forwarded" in headers):
            self._warned = True
            logger.warning(
                "forwarding headers arrive, but no proxy is trusted, so the peer counts as the client; "
                "if a proxy stands in front, name it in trusted_proxies"
            )
        return self.proxies.read_chain(headers)


def has_signal(headers: Headers, name: bytes) -> bool:
    """Whether Sec-GPC or DNT is on: a value that is exactly `1`."""
    value = headers.get(name)
    return value is not None and any(part.strip(b" \t") == b"1" for part in value.split(b"\n"))
