"""Visits, derived from ids of visitors: a visit ends after 30 minutes without a page.

A daily key is another one tomorrow, so with it a visit over midnight (UTC) counts as two, and visitors are counted a
day. Where times are kept by the hour or the day, no visits can be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir

GAP_S = 30 * 60
_COOKIE_DIGITS = 32
_FINE_ENOUGH = ("minute", "second")


def entry_views(views: ir.Table) -> ir.Table:
    """The first page view of each visit.

    Args:
        views: page views.
    """
    import ibis

    known = views.filter(views.visitor_id.notnull(), views.time_precision.isin(_FINE_ENOUGH))
    before = ibis.window(group_by=[known.site, known.visitor_id], order_by=known.time)
    gap = (known.time.epoch_seconds() - known.time.lag(1).over(before).epoch_seconds()).name("gap")
    timed = known.mutate(gap)
    return timed.filter(timed.gap.isnull() | (timed.gap > GAP_S))


def count_visits(views: ir.Table) -> ir.Table:
    """One row: visits, and visitors (with daily keys: visitors of each day, summed up)."""
    entries = entry_views(views)
    is_cookie = entries.visitor_id.length() == _COOKIE_DIGITS
    day = is_cookie.ifelse("", entries.time.date().cast("string"))  # another day's key is another visitor's
    known = entries.site.fill_null("") + " " + day + " " + entries.visitor_id
    return entries.aggregate(visits=entries.count(), visitors=known.nunique())
