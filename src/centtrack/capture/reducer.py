"""The limits of one tier, applied: a header goes in, columns of the event come out.

What recurs from request to request (user agents, referrers, languages, addresses) is reduced once and remembered, in
bounded caches in memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from centtrack.capture.bots import BotFields, label_bot
from centtrack.capture.browser import BrowserFields, read_agent, reduce_browser
from centtrack.capture.campaign import CampaignFields, reduce_campaign
from centtrack.capture.client import TrustedProxies
from centtrack.capture.geo import GeoDatabases
from centtrack.capture.headers import MAX_USER_AGENT, clean
from centtrack.capture.language import reduce_language
from centtrack.capture.network import embedded_address, reduce_address
from centtrack.capture.observation import Observation
from centtrack.capture.page import PageFields, reduce_page
from centtrack.capture.place import PlaceFields, reduce_place
from centtrack.capture.referrer import MAX_REFERRER, ReferrerFields, read_source, reduce_referrer
from centtrack.policy.levels import Browser, Geo, Ip
from centtrack.policy.model import Document, Limits

_CACHED = 4_096
_MAX_KEY = 256  # characters; what is longer isn't remembered


class Software(NamedTuple):
    """Who or what sent the request, as far as the limits let it be told."""

    browser: BrowserFields
    bot: BotFields


class Origin(NamedTuple):
    """Where the request came from."""

    referrer: ReferrerFields
    kind: str


class Whereabouts(NamedTuple):
    """Network and place of an address."""

    network: str | None
    place: PlaceFields


_NOWHERE = Whereabouts(None, PlaceFields())


class Reducer:
    """Reduces to one tier's limits.

    Args:
        limits: the tier's limits, capped already.
        document: the policy's other rules.
        geo: where places are looked up.
        proxies: whose word on the client's address is taken.
        own_hosts: names of the site, without `www.`.
    """

    def __init__(
        self,
        limits: Limits,
        document: Document,
        geo: GeoDatabases,
        proxies: TrustedProxies,
        own_hosts: frozenset[str],
    ) -> None:
        self.limits = limits
        self._proxies = proxies
        self._geo = geo
        self._own_hosts = own_hosts
        self._labels_bots = document.bots.record != "keep"
        self._query_keys = frozenset(document.page.query_keys)
        self._scrub_uuids = document.page.scrub_uuids
        self.software = lru_cache(_CACHED)(self._software)
        self.origin = lru_cache(_CACHED)(self._origin)
        self.language = lru_cache(_CACHED)(self._language)
        self._known_whereabouts = lru_cache(_CACHED)(self._whereabouts)
        self._is_waived = limits.ip is Ip.FULL  # it may run out at any time: nothing of it is remembered

    def _software(self, user_agent: bytes) -> Software:
        text = clean(user_agent[:MAX_USER_AGENT].decode("latin-1"), MAX_USER_AGENT)
        agent = read_agent(text) if text else None
        bot = label_bot(text, agent) if self._labels_bots else BotFields(bot=None)
        if self.limits.browser < Browser.FAMILY:
            bot = bot._replace(bot_name=None)
        return Software(reduce_browser(agent, self.limits.browser), bot)

    def _origin(self, referrer: bytes, host: str | None) -> Origin:
        own_hosts = self._own_hosts | {host} if host else self._own_hosts
        source = read_source(clean(referrer.decode("latin-1"), MAX_REFERRER), own_hosts)
        limits = self.limits
        fields = reduce_referrer(source, limits.referrer, limits.page, scrub_uuids=self._scrub_uuids)
        return Origin(fields, source.kind)

    def _language(self, accept_language: bytes) -> str | None:
        return reduce_language(clean(accept_language.decode("latin-1"), 256), self.limits.language)

    def _whereabouts(self, peer: str | None, chain: str) -> Whereabouts:
        address = self._proxies.resolve(peer, chain).address
        if address is None:
            return _NOWHERE
        places = self.limits.geo is not Geo.NONE
        place = reduce_place(self._geo.look_up(embedded_address(address)), self.limits.geo) if places else PlaceFields()
        return Whereabouts(reduce_address(address, self.limits.ip), place)

    def whereabouts(self, peer: str | None, chain: str) -> Whereabouts:
        """Network and place of the client: of the peer, or of whom the proxies name."""
        remembered = len(chain) <= _MAX_KEY and not self._is_waived
        return (self._known_whereabouts if remembered else self._whereabouts)(peer, chain)

    def campaign(self, query: bytes, source_kind: str) -> CampaignFields:
        """Channel and UTM values."""
        return reduce_campaign(query, source_kind, self.limits.campaign, scrub_uuids=self._scrub_uuids)

    def page(self, seen: Observation) -> PageFields:
        """Route, path and query."""
        return reduce_page(seen, self.limits.page, self._query_keys, scrub_uuids=self._scrub_uuids)
