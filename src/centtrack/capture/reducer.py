"""The limits of one tier, applied: a header goes in, columns of the event come out.

What recurs from request to request (user agents, referrers, languages, addresses) is reduced once and remembered, in
bounded caches in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from centtrack.capture.bots import BotFields, label_bot
from centtrack.capture.browser import read_agent, reduce_browser
from centtrack.capture.campaign import reduce_campaign
from centtrack.capture.client import TrustedProxies
from centtrack.capture.geo import GeoDatabases
from centtrack.capture.headers import MAX_USER_AGENT, clean
from centtrack.capture.language import reduce_language
from centtrack.capture.network import Address, embedded_address, reduce_address
from centtrack.capture.observation import Observation
from centtrack.capture.page import PageFields, reduce_page
from centtrack.capture.place import PlaceFields, reduce_place
from centtrack.capture.referrer import MAX_REFERRER, read_host, read_source, reduce_referrer
from centtrack.policy.levels import Browser, Geo, Ip
from centtrack.policy.model import Document, Limits

_CACHED = 4_096
_MAX_KEY = 256  # characters; what is longer isn't remembered


Columns = Mapping[str, Any]
"""Columns of an event, by name. Shared between events, so never changed."""


class Reducer:
    """Reduces to one tier's limits.

    Args:
        limits: the tier's limits, capped already.
        document: the policy's other rules.
        geo: where places are looked up.
        proxies: whose word on the client's address is taken.
    """

    def __init__(self, limits: Limits, document: Document, geo: GeoDatabases, proxies: TrustedProxies) -> None:
        self.limits = limits
        self.time_label = limits.time.label
        self._geo = geo
        self._proxies = proxies
        self._sites = {name.lower().removeprefix("www."): name for name in document.controller.site}
        self._main_site = next(iter(document.controller.site), None)
        self._labels_bots = document.bots.record != "keep"
        self._query_keys = frozenset(document.page.query_keys)
        self._scrub_uuids = document.page.scrub_uuids
        self._known_visitor = lru_cache(_CACHED)(self._visitor)
        self._known_origin = lru_cache(_CACHED)(self._origin)

    def visitor(self, user_agent: bytes, language: bytes, peer: str | None, chain: str) -> Columns:
        """Network, place, software and language of a client.

        Args:
            user_agent: the header.
            language: the header Accept-Language.
            peer: who connected.
            chain: what the proxies wrote.
        """
        # A full address is under a waiver, which may run out at any time: nothing of it is remembered.
        if len(chain) > _MAX_KEY or self.limits.ip is Ip.FULL:
            return self._visitor(user_agent[:MAX_USER_AGENT], language[:_MAX_KEY], peer, chain)
        return self._known_visitor(user_agent[:MAX_USER_AGENT], language[:_MAX_KEY], peer, chain)

    def origin(self, referrer: bytes, host: bytes, query: bytes) -> Columns:
        """Site, referrer, channel and campaign of a request.

        Args:
            referrer: the header Referer.
            host: the header Host.
            query: of the request.
        """
        if len(referrer) + len(host) + len(query) > 2 * _MAX_KEY:
            return self._origin(referrer[:MAX_REFERRER], host[:_MAX_KEY], query)
        return self._known_origin(referrer, host, query)

    def page(self, seen: Observation) -> PageFields:
        """Route, path and query."""
        return reduce_page(seen, self.limits.page, self._query_keys, scrub_uuids=self._scrub_uuids)

    def _visitor(self, user_agent: bytes, language: bytes, peer: str | None, chain: str) -> Columns:
        limits = self.limits
        text = clean(user_agent.decode("latin-1"), MAX_USER_AGENT)
        agent = read_agent(text) if text else None
        bot = label_bot(text, agent) if self._labels_bots else BotFields(bot=None)
        if limits.browser < Browser.FAMILY:
            bot = bot._replace(bot_name=None)
        address = self._proxies.resolve(peer, chain).address
        return {
            "ip_network": reduce_address(address, limits.ip) if address else None,
            **self._place(address)._asdict(),
            **reduce_browser(agent, limits.browser)._asdict(),
            **bot._asdict(),
            "language": reduce_language(clean(language.decode("latin-1")), limits.language),
        }

    def _place(self, address: Address | None) -> PlaceFields:
        if address is None or self.limits.geo is Geo.NONE:
            return PlaceFields()
        return reduce_place(self._geo.look_up(embedded_address(address)), self.limits.geo)

    def _origin(self, referrer: bytes, host: bytes, query: bytes) -> Columns:
        limits, uuids = self.limits, self._scrub_uuids
        name = read_host(host)
        own_hosts = self._sites.keys() | {name} if name else self._sites.keys()
        source = read_source(clean(referrer.decode("latin-1"), MAX_REFERRER), own_hosts)
        return {
            "site": self._sites.get(name or "", self._main_site),
            **reduce_referrer(source, limits.referrer, limits.page, scrub_uuids=uuids)._asdict(),
            **reduce_campaign(query, source.kind, limits.campaign, scrub_uuids=uuids)._asdict(),
        }
