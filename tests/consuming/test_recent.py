"""Events that come twice."""

import pytest

from centtrack.consuming import recent
from centtrack.consuming.entries import Entry
from centtrack.consuming.recent import RecentIds


def entry(name, key=None, line=None):
    return Entry(0, line or b'{"event_id":"%s","schema_version":1}' % name, key if key is not None else name)


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        (entry(b"a"), True),
        (entry(b"b"), False),
        (entry(b"b", key=b"a"), False),  # a key of somebody else's making, as a site's name
        (Entry(0, entry(b"a").line), False),  # no key
        (Entry(0, b"", b"a"), False),  # a probe, or nothing
        (entry(b"a", line=b'{"schema_version":1,"event_id":"a"}'), False),  # not written by the sink: unsure is kept
    ],
)
def test_repeated(again, expected):
    ids = RecentIds()
    assert ids.is_repeated(entry(b"a")) is False
    assert ids.is_repeated(again) is expected


def test_only_so_many_are_kept_in_mind(monkeypatch):
    monkeypatch.setattr(recent, "WINDOW", 3)
    ids = RecentIds()
    for name in (b"a", b"b", b"c", b"d"):
        assert not ids.is_repeated(entry(name))
    assert [ids.is_repeated(entry(name)) for name in (b"b", b"c", b"d")] == [True, True, True]
    assert not ids.is_repeated(entry(b"a"))
