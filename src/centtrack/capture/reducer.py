"""The limits of one tier, applied: a header goes in, columns of the event come out.

What recurs from request to request (user agents, referrers, languages, addresses) is reduced once and remembered, in
bounded caches in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from centtrack.addresses import Address, embedded_address, reduce_address
from centtrack.capture.bots import BotFields, label_bot
from centtrack.capture.browser import read_agent, reduce_browser
from centtrack.capture.campaign import reduce_campaign
from centtrack.capture.client import TrustedProxies
from centtrack.capture.client_hints import HintLines, apply_hints, read_hints, without_unasked
from centtrack.capture.headers import MAX_USER_AGENT
from centtrack.capture.language import reduce_language
from centtrack.capture.page import PageFields, reduce_page
from centtrack.capture.referrer import normal_host, read_source, reduce_referrer
from centtrack.geo.databases import GeoDatabases
from centtrack.geo.place import PlaceFields, reduce_place
from centtrack.policy.levels import Browser, Geo, Ip, Page, Visitor
from centtrack.policy.limits import Limits
from centtrack.policy.model import Document
from centtrack.scrub.clean import clean

# With every key as long as it may be, the caches of one tier and of the functions called here take 35 MB, as measured;
# those of both tiers, by estimate, no more than twice that.
_CACHED = 4_096
_MAX_KEY = 256  # characters; what is longer isn't remembered


Columns = Mapping[str, Any]
"""Columns of an event, by name. Shared between events, so never changed."""


class ClientColumns(NamedTuple):
    """What is told of a client, and what the daily key is made of: its whole address, which stays in memory."""

    columns: Columns
    address: bytes | None


class Origin(NamedTuple):
    """Site, referrer, channel and campaign of a request, and the kinds of what was scrubbed from them."""

    columns: Columns
    scrubbed: tuple[str, ...]


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
        self._sites = {normal_host(name) or name: name for name in document.controller.site}
        self._main_site = next(iter(document.controller.site), None)
        self._labels_bots = document.bots.record != "keep"
        self._query_keys = frozenset(document.page.query_keys)
        self._scrub_uuids = document.page.scrub_uuids
        self._accept_ch = document.browser.accept_ch
        self._known_visitor = lru_cache(_CACHED)(self._visitor)
        self._known_page = lru_cache(_CACHED)(self._page)
        self._known_origin = lru_cache(_CACHED)(self._origin)

    def visitor(
        self, user_agent: bytes, hints: HintLines, language: bytes, peer: str | None, chain: str
    ) -> ClientColumns:
        """Network, place, software and language of a client.

        Args:
            user_agent: the header.
            hints: the client hints, from `read_hint_lines`.
            language: the header Accept-Language.
            peer: who connected.
            chain: what the proxies wrote.
        """
        # A full address is under a waiver, which may run out at any time: nothing of it is remembered.
        if len(chain) + len(peer or "") > _MAX_KEY or self.limits.ip is Ip.FULL:
            return self._visitor(user_agent[:MAX_USER_AGENT], hints, language[:_MAX_KEY], peer, chain)
        return self._known_visitor(user_agent[:MAX_USER_AGENT], hints, language[:_MAX_KEY], peer, chain)

    def forget(self) -> None:
        """Work all out anew: a geo database was replaced."""
        self._known_visitor = lru_cache(_CACHED)(self._visitor)

    def origin(self, referrer: bytes, host: bytes, query: bytes) -> Origin:
        """Site, referrer, channel and campaign of a request.

        Args:
            referrer: the header Referer.
            host: the header Host.
            query: of the request.
        """
        if len(referrer) + len(host) + len(query) > 2 * _MAX_KEY:
            return self._origin(referrer, host[:_MAX_KEY], query)
        return self._known_origin(referrer, host, query)

    def page(self, route: str | None, path: str, query: bytes) -> PageFields:
        """Route, path and query.

        Args:
            route: the template, if it is known.
            path: as the server decoded it.
            query: of the request.
        """
        level = self.limits.page
        query = query if level >= Page.QUERY else b""
        known = self._page if len(path) + len(query) + len(route or "") > _MAX_KEY else self._known_page
        return known(route, path if level >= Page.PATH else "", query)

    def _page(self, route: str | None, path: str, query: bytes) -> PageFields:
        return reduce_page(route, path, query, self.limits.page, self._query_keys, scrub_uuids=self._scrub_uuids)

    def _visitor(
        self, user_agent: bytes, hint_lines: HintLines, language: bytes, peer: str | None, chain: str
    ) -> ClientColumns:
        limits = self.limits
        text = clean(user_agent.decode("latin-1"), MAX_USER_AGENT)
        hints = read_hints(without_unasked(hint_lines, self._accept_ch))
        agent = apply_hints(read_agent(text), hints) if text else None
        bot = label_bot(text, agent, hints) if self._labels_bots else BotFields()
        if limits.browser < Browser.FAMILY:
            bot = BotFields(bot.bot, bot.bot_reason)
        address = self._proxies.resolve(peer, chain).address
        columns = {
            "ip_network": reduce_address(address, limits.ip) if address else None,
            **self._place(address)._asdict(),
            **reduce_browser(agent, limits.browser)._asdict(),
            **bot._asdict(),
            "language": reduce_language(clean(language.decode("latin-1")), limits.language),
        }
        needs_address = address is not None and limits.visitor is Visitor.DAILY_KEY
        return ClientColumns(columns, address.packed if address and needs_address else None)

    def _place(self, address: Address | None) -> PlaceFields:
        if address is None or self.limits.geo is Geo.NONE:
            return PlaceFields()
        return reduce_place(self._geo.look_up(embedded_address(address)), self.limits.geo)

    def _origin(self, referrer: bytes, host: bytes, query: bytes) -> Origin:
        limits, uuids = self.limits, self._scrub_uuids
        name = normal_host(host.decode(errors="replace"))
        own_hosts = self._sites.keys() | {name} if name else self._sites.keys()
        source = read_source(referrer.decode(errors="replace"), own_hosts)
        came_from = reduce_referrer(source, limits.referrer, limits.page, scrub_uuids=uuids)
        campaign = reduce_campaign(query, source.kind, limits.campaign, scrub_uuids=uuids)
        columns = {"site": self._sites.get(name or "", self._main_site), **came_from._asdict(), **campaign._asdict()}
        del columns["scrubbed"]
        return Origin(columns, came_from.scrubbed + campaign.scrubbed)
