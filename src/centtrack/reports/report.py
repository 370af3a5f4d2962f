"""The report: page views over time, pages, referrers, places, browsers, bots.

A page view is a document that isn't a bot's. Groups smaller than the policy's `[disclosure] k` are shown as one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from centtrack.errors import MissingExtraError
from centtrack.reports.lake import TABLE, fetch
from centtrack.reports.sessions import count_visits, entry_views

if TYPE_CHECKING:
    import duckdb
    import ibis.expr.types as ir

TOP = 10
_HOURLY_UP_TO = dt.timedelta(days=2)
_MINUTELY_UP_TO = dt.timedelta(hours=2)


_IBIS_TYPES = {
    "bool": "boolean",
    "double": "float64",
    "timestamp[us, tz=UTC]": "timestamp('UTC')",
    "date32[day]": "date",
}


class Row(NamedTuple):
    """A group and how often it occurred."""

    label: str
    total: int


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the report.

    Attributes:
        title: what it shows.
        unit: what is counted.
        rows: the groups that are large enough, the largest first (over time: in order of time).
        others: what is counted in groups that are shown as one: too small, or beyond the top ten.
        small: how many of these groups are too small to show.
    """

    title: str
    unit: str
    rows: list[Row]
    others: int = 0
    small: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """All sections, and what they are about.

    Attributes:
        events: all of them.
        views: page views.
        visits: None where they can't be told: without ids of visitors, with times coarser than a minute, or if there
            are fewer visitors than `k`.
        visitors: as for visits.
        bots: events of bots.
        begin: time of the first event.
        end: time of the last.
        sections: the tables.
        implied_views: page views that rest on implied consent: nobody chose. None where that isn't shown: they, or
            all others, are fewer than `k`.
        notes: what must be known to read the report.
    """

    events: int
    views: int
    visits: int | None
    visitors: int | None
    bots: int
    begin: dt.datetime | None
    end: dt.datetime | None
    sections: list[Section]
    implied_views: int | None
    notes: list[str]


def make_report(connection: duckdb.DuckDBPyConnection, *, k: int = 10) -> Report:
    """Answer the usual questions.

    Args:
        connection: from `open_lake`.
        k: the smallest group that is shown.

    Raises:
        MissingExtraError: if Ibis isn't installed.
    """
    try:
        import ibis
    except ImportError:
        raise MissingExtraError("Reports", "reports") from None
    from centtrack.schema.arrow import event_schema

    def ask(question: ir.Table) -> list[tuple[Any, ...]]:
        rows = fetch(connection, str(ibis.to_sql(question, dialect="duckdb"))).to_pylist()
        return [tuple(row.values()) for row in rows]

    columns = {field.name: _IBIS_TYPES.get(str(field.type), str(field.type)) for field in event_schema()}
    events = ibis.table(columns, name=TABLE)
    views = page_views(events)
    total, bots, begin, end = ask(_totals(events))[0]
    span = end - begin if total else dt.timedelta()
    sections = [_over_time(ask(_by_moment(views, span)), span, k)]
    for title, unit, read_label in QUESTIONS:
        label = read_label({"events": events, "views": views, "visits": entry_views(views)}[unit])
        sections.append(_section(title, unit, [Row(*row) for row in ask(_by_label(label))], k))
    ((viewed, implied),) = ask(_count_views(views))
    ((visits, visitors),) = ask(count_visits(views))
    shown = [one for one in sections if one.rows or one.others]
    visits, visitors = (visits, visitors) if visitors >= k else (None, None)
    implied_views, notes = _about_implied(int(implied or 0), viewed, k)
    return Report(total, viewed, visits, visitors, int(bots or 0), begin, end, shown, implied_views, notes)


def _count_views(views: ir.Table) -> ir.Table:
    is_implied = ("+" + views.consent_source.fill_null("") + "+").contains("+implied+")
    return views.aggregate(views=views.count(), implied=is_implied.cast("int").sum())


def _about_implied(implied: int, views: int, k: int) -> tuple[int | None, list[str]]:
    """How many views rest on implied consent, and the sentence about it. Neither side of the share may be small."""
    if not implied:
        return 0, []
    if implied < k or 0 < views - implied < k:
        return None, [f"Some page views rest on implied consent (nobody chose); groups smaller than {k} aren't shown"]
    return implied, [f"{100 * implied / views:.0f} % of the page views rest on implied consent (nobody chose)"]


def _totals(events: ir.Table) -> ir.Table:
    bots = events.bot.fill_null(False).cast("int").sum()
    return events.aggregate(events=events.count(), bots=bots, begin=events.time.min(), end=events.time.max())


def page_views(events: ir.Table) -> ir.Table:
    """Documents that aren't a bot's, and weren't asked for to leave an advertisement in the list of referrers."""
    is_spam = (events.referrer_class == "spam").fill_null(False)
    return events.filter(events.kind == "document", ~events.bot.fill_null(False), ~is_spam)


def _pages(views: ir.Table) -> ir.StringValue:
    return views.route.coalesce(views.path)


def _referrers(views: ir.Table) -> ir.StringValue:
    came_from_outside = views.referrer_class.isin(["search", "social", "external"])
    return came_from_outside.ifelse(views.referrer_domain.coalesce(views.referrer_class), None)


def _places(views: ir.Table) -> ir.StringValue:
    region = views.region.coalesce(views.region_code)
    same = views.city == region  # of a city that is a region of its own, the name would stand there twice
    city = same.fill_null(False).ifelse(None, views.city)
    return (
        views.country_code
        + region.isnull().ifelse("", " · " + region.fill_null(""))
        + city.isnull().ifelse("", " · " + city.fill_null(""))
    )


def _bots(events: ir.Table) -> ir.StringValue:
    return events.bot.fill_null(False).ifelse(events.bot_name.coalesce(events.bot_reason), None)


QUESTIONS: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("Pages", "views", _pages),
    ("Entry pages", "visits", _pages),
    ("Channels", "views", lambda views: views.channel),
    ("Referrers", "views", _referrers),
    ("Places", "views", _places),
    ("Browsers", "views", lambda views: views.browser),
    ("Systems", "views", lambda views: views.os),
    ("Devices", "views", lambda views: views.device_class),
    ("Bots", "events", _bots),
    ("What bots come for", "events", lambda events: events.bot_purpose),
]


def _by_label(label: ir.StringValue) -> ir.Table:
    """Groups, the largest first."""
    table = label.name("label").as_table()
    table = table.filter(table.label.notnull())
    groups = table.group_by("label").aggregate(count=table.count())
    return groups.order_by(groups["count"].desc(), "label")


def _by_moment(views: ir.Table, span: dt.timedelta) -> ir.Table:
    """Views a minute, hour or day, in order of time."""
    unit = "D" if span > _HOURLY_UP_TO else "h" if span > _MINUTELY_UP_TO else "m"
    moments = views.time.truncate(unit).name("moment").as_table()
    return moments.group_by("moment").aggregate(count=moments.count()).order_by("moment")


def _section(title: str, unit: str, rows: list[Row], k: int) -> Section:
    return _suppressed(title, unit, rows, [row for row in rows if row.total >= k][:TOP], k)


def _over_time(groups: list[tuple[Any, ...]], span: dt.timedelta, k: int) -> Section:
    form = "%Y-%m-%d" if span > _HOURLY_UP_TO else "%Y-%m-%d %H:00" if span > _MINUTELY_UP_TO else "%H:%M"
    rows = [Row(moment.strftime(form), count) for moment, count in groups]
    return _suppressed("Page views over time (UTC)", "views", rows, [row for row in rows if row.total >= k], k)


def _suppressed(title: str, unit: str, rows: list[Row], shown: list[Row], k: int) -> Section:
    """A section without the groups that are too small.

    If that is a single one, the next smallest goes with it: alone, its size could be told from the sum.
    """
    small = sum(row.total < k for row in rows)
    if small == 1 and len(rows) - len(shown) == 1 and shown:
        shown.remove(min(shown, key=lambda row: row.total))
    hidden = sum(row.total for row in rows) - sum(row.total for row in shown)
    return Section(title, unit, shown, hidden, small)
