"""`centtrack dead`: what a sink refused, looked at, tried again, deleted."""

import json

import pytest

from centtrack.delivery.journal.counters import read_counts
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.paths import default_journal
from journals import accept

LETTERS = [
    ("picky", "rejected: no such column", '{"event_id": "a", "path": "/қала"}'.encode()),
    ("picky", "unreadable: \x1b[31m[bold]red[/bold]", b"half a \x1b[31mline \xff"),
    ("other", "rejected: too long", b'{"event_id": "c", "path": "\\ud800\\u202e"}'),
]


@pytest.fixture
def journal():
    """A journal in the user's state folder with two dead letters of a sink, and one of another."""
    path = default_journal("", ["picky", "other"])
    opened = Journal(path)
    opened.open()
    for sink in ("picky", "other"):
        opened.register(sink)
    accept(opened, b"{}", b"{}", b"{}")
    for sink in ("picky", "other"):
        dead = [(reason, event) for name, reason, event in LETTERS if name == sink]
        last = opened.next_batch(sink, 10).last
        opened.advance(sink, last, 3 - len(dead), dead)
    opened.close()
    return path


def sinks(path):
    return {sink.name: sink for sink in read_counts(path).sinks}


def test_nothing_yet(cli):
    assert "nothing has run here yet" in cli("dead", "list").out
    assert json.loads(cli("dead", "list", "--json").out) == []
    assert cli("dead", "retry", "--all").code == 2


def test_list(cli, journal):
    found = json.loads(cli("dead", "list", "--json").out)
    assert [(one["id"], one["sink"], one["reason"], one["size"]) for one in found] == [
        (number, sink, reason, len(event)) for number, (sink, reason, event) in enumerate(LETTERS, start=1)
    ]
    of_one = json.loads(cli("dead", "list", "--sink", "other", "--json", "--journal", journal).out)
    assert [one["id"] for one in of_one] == [3]
    wrong = cli("dead", "list", "--sink", "third")
    assert wrong.code == 2
    assert "other" in wrong.err


def test_a_table_that_no_terminal_obeys(cli, journal, monkeypatch):
    for columns in ("80", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        out = cli("dead", "list").out
        assert ("\x1b" in out, "[bold]red" in out.replace("\n", "")) == (False, True)
        assert max(map(len, out.splitlines())) <= int(columns)


def test_show(cli, journal):
    assert '"path": "/қала"' in cli("dead", "show", 1).out
    assert r"half a \x1b[31mline \xff" in cli("dead", "show", 2).out
    assert r'"path": "\xd800\x202e"' in cli("dead", "show", 3).out
    shown = json.loads(cli("dead", "show", 3, "--json").out)
    assert (shown["id"], shown["sink"], shown["event"]) == (3, "other", {"event_id": "c", "path": "\ud800\u202e"})
    missing = cli("dead", "show", 9)
    assert (missing.code, "has no dead letter 9" in missing.err) == (3, True)


@pytest.mark.parametrize(
    ("options", "code", "back"),
    [
        (["1"], 0, {"picky": 1, "other": 0}),
        (["1", "2", "3"], 0, {"picky": 2, "other": 1}),
        (["1", "9"], 1, {"picky": 1, "other": 0}),
        (["3", "--sink", "picky"], 1, {"picky": 0, "other": 0}),
        (["--all"], 0, {"picky": 2, "other": 1}),
        (["--all", "--sink", "picky"], 0, {"picky": 2, "other": 0}),
        ([], 2, {"picky": 0, "other": 0}),
        (["1", "--all"], 2, {"picky": 0, "other": 0}),
    ],
)
def test_retry(cli, journal, options, code, back):
    before = {name: sink.dead_lettered for name, sink in sinks(journal).items()}
    assert cli("dead", "retry", *options).code == code
    after = sinks(journal)
    assert {name: sink.pending for name, sink in after.items()} == back
    assert {name: sink.dead_lettered for name, sink in after.items()} == {
        name: count - back[name] for name, count in before.items()
    }
    assert all(sink.closes for sink in after.values())


def test_drop(cli, journal):
    asked = cli("dead", "drop", "--all", "--sink", "picky")
    assert (asked.code, "2 dead letters would be deleted" in asked.err, "--yes" in asked.err) == (2, True, True)
    assert sinks(journal)["picky"].dead_lettered == 2
    assert cli("dead", "drop", "1", "--yes").code == 0
    assert cli("dead", "drop", "1", "--yes").code == 1  # it is gone
    found = sinks(journal)["picky"]
    assert (found.dead_lettered, found.lost, found.closes) == (1, {"dropped": 1}, True)
    assert cli("dead", "drop", "--yes").code == 2


def test_several_journals(cli, journal):
    other = Journal(default_journal("", ["another"]))
    other.open()
    other.close()
    found = cli("dead", "list")
    assert (found.code, "--journal" in found.err) == (2, True)
    assert cli("dead", "list", "--journal", journal).code == 0
