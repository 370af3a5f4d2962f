"""From an observation to an event: each part read, reduced to its limit, and put into its columns."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from centtrack.asgi import RawHeaders
from centtrack.capture import bots, browser, referrer
from centtrack.capture.client import TrustedProxies
from centtrack.capture.client_hints import read_hint_lines
from centtrack.capture.clock import reduce_duration, reduce_time
from centtrack.capture.cookies import CookieCounter
from centtrack.capture.custom import CustomEvent, check_custom, scrub_props
from centtrack.capture.event_ids import random_id
from centtrack.capture.headers import MAX_USER_AGENT, Headers, read_headers
from centtrack.capture.observation import Observation, coerced, coerced_headers
from centtrack.capture.page import MAX_QUERY, read_kind, reduce_method, reduce_size
from centtrack.capture.reducer import Reducer
from centtrack.capture.referrer import MAX_REFERRER
from centtrack.consent.inventory import Inventory
from centtrack.consent.registry import registry_of
from centtrack.consent.signals import Signals, read_signals
from centtrack.consent.state import Consent, ConsentReader
from centtrack.consent.token import ConsentTokens
from centtrack.cookies import read_names
from centtrack.event import Event
from centtrack.geo.databases import GeoDatabases
from centtrack.policy.levels import Geo, Ip, Visitor
from centtrack.policy.policy import PrivacyPolicy
from centtrack.scrub.clean import MAX_TEXT
from centtrack.visitor.ids import VisitorIds

logger = logging.getLogger(__name__)

ANALYTICS = "analytics"
_WAIT_FOR_SALT_S = 1.0
_WRONG_TYPES = (AttributeError, TypeError, ValueError)  # what comes of it when a server got a type of the scope wrong


class Excluded(NamedTuple):
    """Why a request makes no event."""

    reason: str


class Made(msgspec.Struct, frozen=True, gc=False):
    """What came of an observation.

    Attributes:
        event: the event, or the reason why there is none.
        scrubbed: kinds of personal data that were removed from it, one entry for each time.
        noted: what went wrong, without costing the event.
        cookies: names of those that came, each with a `=` behind it.
    """

    event: Event | Excluded
    scrubbed: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()
    cookies: bytes = b""


class Capture:
    """Everything that turns observations into events under one policy. One a process; used by several threads.

    Args:
        policy: the limits.
        proxies: whose word on the client's address is taken.
        secrets: what our cookies are signed with, oldest to newest; without one nobody can have consented.

    Attributes:
        secrets: the keys, oldest to newest.
        inventory: which cookies were seen, for the recorder to write down.
        visitors: makes and reads their ids.
        is_warm: whether engines are built and databases open.
    """

    def __init__(
        self, policy: PrivacyPolicy, proxies: TrustedProxies | None = None, secrets: Sequence[bytes] = ()
    ) -> None:
        self.policy = policy
        self.secrets = tuple(secrets)
        self.proxies = proxies or TrustedProxies()
        document = policy.document
        tiers = {consented: policy.limits(consented=consented) for consented in (False, True)}
        needs_floor = any(limits.geo is Geo.CITY for limits in tiers.values())
        self.geo = GeoDatabases(
            policy.geo_databases,
            min_population=document.geo.min_population if needs_floor else 0,
            language=document.geo.language,
        )
        tokens = ConsentTokens(secrets, document.consent.domain) if secrets else None
        self.consent = ConsentReader(document.consent, policy.consent_hash, tokens)
        self._reducers = {tier: Reducer(limits, document, self.geo, self.proxies) for tier, limits in tiers.items()}
        self._waived = any(limits.ip is Ip.FULL for limits in tiers.values())
        registry = registry_of(policy)
        self._cookies = CookieCounter(registry)
        self.inventory = Inventory(registry, document.disclosure.k)
        self._excluded_paths = document.exclude.paths
        self._excluded_methods = frozenset(method.upper() for method in document.exclude.methods)
        self._drops_bots = document.bots.record == "drop"
        self._policy_version, self._policy_hash = policy.version, policy.hash
        self._warned = False
        self.is_warm = False
        self._scrubbed: Counter[str] = Counter()
        self._noted: Counter[str] = Counter()
        self._noting = threading.Lock()  # requests note what went wrong, too
        self.visitors = VisitorIds({limits.visitor for limits in tiers.values()}, document.visitor, secrets)

    def warm(self) -> None:
        """Build engines and open databases, in the process that will use them. Takes up to a second."""
        browser.warm()
        bots.warm()
        referrer.warm()
        self.geo.open()
        self.visitors.wait(_WAIT_FOR_SALT_S)
        self.is_warm = True

    def refresh(self) -> None:
        """Look for geo databases that were replaced. Cheap when there is nothing."""
        if self.geo.refresh():
            for reducer in self._reducers.values():
                reducer.forget()

    def totals(self) -> dict[tuple[str, str], int]:
        """What was counted since the process began: (`scrubbed`, kind) and (`noted`, what went wrong)."""
        with self._noting:
            noted = self._noted + Counter(geo_lookup_failed=self.geo.failures)
        totals = {("scrubbed", kind): total for kind, total in self._scrubbed.items()}
        return totals | {("noted", what): total for what, total in noted.items()}

    def capture(self, seen: Observation) -> Event | Excluded:
        """The event of an observation, or the reason why there is none. What was scrubbed and noted is counted."""
        made = self.make(seen)
        if made.scrubbed:
            self._scrubbed.update(made.scrubbed)
        for what in made.noted:
            self.note(what)
        self._take_stock(seen, made)
        return made.event

    def note(self, what: str) -> None:
        """Count something that went wrong, without costing an event."""
        with self._noting:
            self._noted[what] += 1

    def begin_anew(self) -> None:
        """In the child of a fork: nobody there could release the lock, and the parent keeps what it counted."""
        self._noting = threading.Lock()
        self.inventory.forget()

    def _take_stock(self, seen: Observation, made: Made) -> None:
        """Note which cookies came, and which the app set."""
        if made.cookies:
            self.inventory.arrive(made.cookies)
        for line in seen.passed_cookies:
            self.inventory.set(line, passed=True)
        for line in seen.removed_cookies:
            self.inventory.set(line, passed=False)

    def make(self, seen: Observation) -> Made:
        """What comes of an observation. Nothing is counted."""
        try:
            return self._make(seen)
        except _WRONG_TYPES:
            return self._make(coerced(seen))

    def _make(self, seen: Observation) -> Made:
        if seen.method in self._excluded_methods or (self._excluded_paths and self._is_excluded(seen.path)):
            return Made(Excluded("excluded"))
        headers = read_headers(seen.headers)
        signals = read_signals(headers)
        return self._event(seen, headers, signals, self._consent(headers, signals))

    def consent_of(self, headers: RawHeaders) -> Consent:
        """What the visitor of a request with these headers allows."""
        read = self._read(headers)
        return self._consent(read, read_signals(read))

    @staticmethod
    def _read(headers: RawHeaders) -> Headers:
        try:
            return read_headers(headers)
        except _WRONG_TYPES:
            return read_headers(coerced_headers(headers))

    def _consent(self, headers: Headers, signals: Signals) -> Consent:
        cookies, host = headers.get(b"cookie", b""), headers.get(b"host", b"")
        return self.consent.read(gpc=signals.gpc, dnt=signals.dnt, cookies=cookies, host=host)

    def check_custom(self, name: str, props: Mapping[str, object]) -> str | None:
        """What is wrong with a custom event; None if the policy declares it so."""
        return check_custom(self.policy.document.events, name, props)

    def with_custom(self, event: Event, custom: CustomEvent) -> Event:
        """The event of a custom event: that of its request, with a name and properties of its own."""
        props, scrubbed = scrub_props(custom.props)
        self._scrubbed.update(scrubbed)
        return msgspec.structs.replace(event, name=custom.name, props=props)

    def _is_excluded(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self._excluded_paths)

    def _reducer(self, consent: Consent) -> Reducer:
        reducer = self._reducers[consented := consent.allows(ANALYTICS)]
        if self._waived and (limits := self.policy.limits(consented=consented)) != reducer.limits:
            reducer.limits = limits  # the waiver has run out since
        return reducer

    def _event(self, seen: Observation, headers: Headers, signals: Signals, consent: Consent) -> Made:
        reducer = self._reducer(consent)
        limits = reducer.limits
        agent, language = headers.get(b"user-agent", b""), headers.get(b"accept-language", b"")
        client = reducer.visitor(agent, read_hint_lines(headers), language, seen.peer, self._chain(headers))
        if self._drops_bots and client.columns["bot"]:
            return Made(Excluded("bot"))
        cookies = read_names(headers.get(b"cookie", b""))
        page = reducer.page(seen.route, seen.path, seen.query)
        origin = reducer.origin(headers.get(b"referer", b""), headers.get(b"host", b""), seen.query)
        site = origin.columns["site"]
        visitor_id = self._visitor_id(seen, headers, limits.visitor, client.address, site) if limits.visitor else None
        event = Event(
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
            gpc=signals.gpc,
            dnt=signals.dnt,
            cookies=self._cookies.reduce(cookies, limits.cookies),
            visitor_id=visitor_id,
            policy_version=self._policy_version,
            policy_hash=self._policy_hash,
            **client.columns,
            **origin.columns,
        )
        noted = self._noted_of(consent, client.address, visitor_id)
        if _is_cut(seen, headers, agent):
            noted = (*noted, "truncated")
        return Made(event, page.scrubbed + origin.scrubbed, noted, cookies.looked_at)

    def _noted_of(self, consent: Consent, address: bytes | None, visitor_id: str | None) -> tuple[str, ...]:
        """What went wrong: an address is only told where a daily key is to be made of it."""
        lacks_salt = address is not None and visitor_id is None and self.visitors.salts is not None
        noted = ("no_salt",) if lacks_salt else ()
        return (*noted, "invalid_consent_cookie") if consent.has_invalid_cookie else noted

    def _visitor_id(
        self, seen: Observation, headers: Headers, level: Visitor, address: bytes | None, site: str | None
    ) -> str | None:
        if level is Visitor.COOKIE:
            return seen.minted_id or self.visitors.read_cookie(headers)
        if level is Visitor.DAILY_KEY:
            return self.visitors.make_key(seen.time, site, address, headers.get(b"user-agent", b""))
        return None

    def _chain(self, headers: Headers) -> str:
        if self.proxies:
            return self.proxies.read_chain(headers)
        if not self._warned and (b"x-forwarded-for" in headers or b"forwarded" in headers):
            self._warned = True
            logger.warning(
                "forwarding headers arrive, but no proxy is trusted, so the peer counts as the client; "
                "if a proxy stands in front, name it in trusted_proxies"
            )
        return ""


def _is_cut(seen: Observation, headers: Headers, agent: bytes) -> bool:
    """Whether something came that is longer than what is looked at, or kept."""
    return (
        len(seen.path) > MAX_TEXT
        or len(seen.query) > MAX_QUERY
        or len(agent) > MAX_USER_AGENT
        or len(headers.get(b"referer", b"")) > MAX_REFERRER
    )
