"""`report`, `query` and `tail` on a lake."""

import json

import pytest


def test_report_counts_people_not_bots(cli, lake):
    report = json.loads(cli("report", lake, "--k", 1, "--json").out)
    assert (report["events"], report["views"], report["bots"]) == (3, 1, 2)
    sections = {section["title"]: section["rows"] for section in report["sections"]}
    assert sections["Pages"] == [["/plans", 1]]
    assert sections["Referrers"] == [["google.com", 1]]
    assert sections["Browsers"] == [["Firefox", 1]]
    assert ["GPTBot", 1] in sections["Bots"]


def test_report_hides_small_groups(cli, lake):
    shown = cli("report", lake).out
    assert "/plans" not in shown
    assert "too small to show" in shown


def test_report_prints_bars(cli, lake):
    assert "█" in cli("report", lake, "--k", 1).out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--format", "csv"), "path,n\n/plans,2\n"),
        (("--format", "json"), '{"path":"/plans","n":2}\n'),
        ((), "/plans"),
    ],
)
def test_query_formats(cli, lake, arguments, expected):
    sql = "select path, count(*) as n from events where path = '/plans' group by path"
    answered = cli("query", sql, "--sink", lake, *arguments)
    assert (answered.code, expected in answered.out) == (0, True)


def test_csv_is_safe_in_a_spreadsheet(cli, lake):
    out = cli("query", "select '=1+1' as a, '@x' as b, -1 as c", "--sink", lake, "--format", "csv").out
    assert out.splitlines()[1] == "'=1+1,'@x,-1"


@pytest.mark.parametrize(
    "sql",
    [
        "selec 1",
        "select * from read_csv('/etc/passwd')",
        "copy events to 'stolen.csv'",
        "install httpfs",
        "set enable_external_access = true",
    ],
)
def test_query_reads_the_lake_and_nothing_else(cli, lake, tmp_path, sql):
    refused = cli("query", sql, "--sink", lake)
    assert refused.code == 3
    assert refused.err
    assert not (tmp_path / "stolen.csv").exists()


def test_tail(cli, lake):
    shown = cli("tail", lake, "-n", 2).out.splitlines()
    assert len(shown) == 2
    assert "/logo.png" in shown[-1]
    rows = [json.loads(line) for line in cli("tail", lake, "-n", 5, "--json").out.splitlines()]
    assert [row["path"] for row in rows] == ["/plans", "/plans", "/logo.png"]
    assert rows[0]["consent"] == {"analytics": "unknown", "marketing": "unknown", "preferences": "unknown"}


@pytest.mark.parametrize("command", ["report", "tail"])
def test_no_lake_yet(cli, command):
    missing = cli(command, "delta:nothing-here")
    assert (missing.code, "nothing was delivered there" in missing.err) == (3, True)


@pytest.mark.parametrize("command", ["report", "tail"])
def test_no_sink_named(cli, command):
    unnamed = cli(command)
    assert (unnamed.code, "CENTTRACK_SINK" in unnamed.err) == (2, True)


def test_lines_are_read_too(cli, log):
    cli("init", "--profile", "cent")
    assert cli("import", log, "--sink", "jsonl:events.jsonl", "--policy", "privacy.toml").code == 0
    assert len(cli("tail", "jsonl:events.jsonl").out.splitlines()) == 3
    assert json.loads(cli("report", "jsonl:events.jsonl", "--json").out)["events"] == 3


def test_half_a_line_at_the_end_is_left_out(cli, log, tmp_path):
    cli("init", "--profile", "cent")
    cli("import", log, "--sink", "jsonl:events.jsonl", "--policy", "privacy.toml")
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"event_id": "cut')
    assert json.loads(cli("report", "jsonl:events.jsonl", "--json").out)["events"] == 3


@pytest.mark.parametrize("command", ["report", "tail"])
def test_what_is_no_lake(cli, tmp_path, command):
    (tmp_path / "other.txt").write_text("hello\n")
    for lake in ("jsonl:other.txt", f"jsonl:{tmp_path}"):
        assert cli(command, lake).code == 3


@pytest.mark.parametrize("command", ["report", "tail"])
def test_an_empty_lake_says_where_the_events_are(cli, tmp_path, command):
    (tmp_path / "events.jsonl").touch()
    shown = cli(command, "jsonl:events.jsonl")
    assert (shown.code, "centtrack status" in shown.err) == (0, True)
