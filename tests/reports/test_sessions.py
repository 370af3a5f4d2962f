import datetime as dt

import msgspec
import pytest

from centtrack.reports.lake import open_lake
from centtrack.reports.report import make_report
from centtrack.testing import make_event

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def view(minutes, visitor="aa", *, route="/", **columns):
    moment = NOON + dt.timedelta(minutes=minutes)
    return make_event(kind="document", time=moment, visitor_id=visitor, route=route, **columns)


@pytest.fixture
def report(tmp_path):
    """The report on some events."""

    def make(*events):
        path = tmp_path / "events.jsonl"
        path.write_bytes(msgspec.json.Encoder().encode_lines(events))
        return make_report(open_lake(f"jsonl:{path}"), k=1)

    return make


@pytest.mark.parametrize(
    ("events", "visits", "visitors"),
    [
        ([view(0)], 1, 1),
        ([view(0), view(29), view(58)], 1, 1),  # each pause is short
        ([view(0), view(30)], 1, 1),
        ([view(0), view(31)], 2, 1),
        ([view(41), view(0), view(5)], 2, 1),  # whatever their order in the lake
        ([view(0), view(1, "bb")], 2, 2),
        ([view(0, site="a"), view(1, site="b")], 2, 2),  # no identifier works across sites
        ([view(0), view(24 * 60)], 2, 2),  # another day's key is another visitor's
        ([view(0, "c" * 32), view(24 * 60, "c" * 32)], 2, 1),  # a cookie lasts
        ([view(0), view(1, None)], 1, 1),
        ([view(0), view(40, bot=True)], 1, 1),
        ([view(0), view(40, referrer_class="spam")], 1, 1),
        ([view(0, None)], None, None),
        ([view(0, time_precision="hour"), view(60, time_precision="hour")], None, None),
    ],
)
def test_a_visit_ends_after_thirty_minutes(report, events, visits, visitors):
    made = report(*events)
    assert (made.visits, made.visitors) == (visits, visitors)


def test_entry_pages(report):
    made = report(view(0, route="/a"), view(1, route="/b"), view(60, route="/b"), view(2, "bb", route="/a"))
    sections = {section.title: dict(section.rows) for section in made.sections}
    assert sections["Entry pages"] == {"/a": 2, "/b": 1}
    assert sections["Pages"] == {"/a": 2, "/b": 2}


def test_what_bots_come_for(report):
    made = report(view(0, None, bot=True, bot_purpose="training"), view(1, None, bot=True, bot_purpose="search"))
    sections = {section.title: dict(section.rows) for section in made.sections}
    assert sections["What bots come for"] == {"search": 1, "training": 1}
