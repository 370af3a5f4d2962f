"""A report says how much of it rests on implied consent."""

from __future__ import annotations

import msgspec
import pytest

from centtrack.cli.report import print_report
from centtrack.reports.lake import open_lake
from centtrack.reports.report import make_report
from centtrack.testing import make_event


def views(count, source, **columns):
    return [make_event(kind="document", consent_source=source, **columns) for _ in range(count)]


HIDDEN = "Some page views rest on implied consent (nobody chose); groups smaller than 10 aren't shown"
SHARE = "{} % of the page views rest on implied consent (nobody chose)"


@pytest.mark.parametrize(
    ("events", "implied", "notes"),
    [
        (views(20, "cookie"), 0, []),
        (views(20, None), 0, []),
        ([], 0, []),
        (views(12, "implied") + views(88, "cookie"), 12, [SHARE.format(12)]),
        (views(6, "implied") + views(6, "implied+gpc") + views(36, "default"), 12, [SHARE.format(25)]),
        (views(10, "implied"), 10, [SHARE.format(100)]),
        (views(9, "implied") + views(90, "cookie"), None, [HIDDEN]),
        (views(90, "implied") + views(9, "cookie"), None, [HIDDEN]),  # the others could be told from the sum
        (views(20, "cookie") + views(20, "implied", bot=True), 0, []),  # no page views
    ],
)
def test_share_of_implied_consent(tmp_path, capfd, events, implied, notes):
    path = tmp_path / "events.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(events))
    made = make_report(open_lake(f"jsonl:{path}"), k=10)
    assert (made.implied_views, made.notes) == (implied, notes)
    print_report(made, 10)
    printed = " ".join(capfd.readouterr().out.split())
    assert ("implied" in printed) == bool(notes)
    assert all(note in printed for note in notes)
