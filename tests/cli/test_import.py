"""`import`: the same capture as live requests, resumable, bad lines counted and named."""

import gzip
import io
import shutil

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from centtrack.access_log import LineError, read_line
from centtrack.cli.output import COULD_NOT_RUN

CENT = ("--policy", "privacy.toml")


@pytest.fixture(autouse=True)
def _policy(cli):
    assert cli("init", "--profile", "cent").code == 0


@pytest.fixture
def count(cli):
    def events(sink="delta:lake"):
        return int(cli("query", "select count(*) from events", "--sink", sink, "--format", "csv").out.split()[-1])

    return events


def test_lines_are_events_and_rejects(cli, log, count):
    imported = cli("import", log, "--sink", "delta:lake", *CENT)
    assert imported.code == 0
    assert "4 lines = 3 events + 1 rejected" in imported.out
    assert "line 3: neither Combined nor Common Log Format" in imported.out
    assert count() == 3
    assert "The counters close" in cli("status").out


def test_repeating_adds_nothing(cli, log, count):
    for _ in range(3):
        assert cli("import", log, "--sink", "delta:lake", *CENT).code == 0
    assert count() == 3


def test_a_log_that_grew_goes_on_where_it_stood(cli, log, count):
    cli("import", log, "--sink", "delta:lake", *CENT)
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines, lines[0].replace("/plans", "/new"), lines[1]]) + "\n")
    assert "6 lines = 5 events + 1 rejected" in cli("import", log, "--sink", "delta:lake", *CENT).out
    assert count() == 5


def test_a_sink_that_somebody_must_mend_is_said_at_once(cli, log, count, tmp_path):
    """And nothing is lost: what was read is in the journal."""
    write_deltalake(tmp_path / "lake", pa.table({"id": [1]}))
    failed = cli("import", log, "--sink", "delta:lake", *CENT)
    assert failed.code == COULD_NOT_RUN
    assert "takes nothing: ConfigurationError: delta:" in failed.err
    assert "Name another folder" in failed.err
    assert "it is safe in the journal" in failed.err
    shutil.rmtree(tmp_path / "lake")
    assert cli("import", log, "--sink", "delta:lake", *CENT).code == 0
    assert count() == 3


def test_another_log_is_another_import(cli, log, count, tmp_path):
    other = tmp_path / "other.log"
    other.write_text(log.read_text().replace("/plans", "/offers"))
    cli("import", log, "--sink", "delta:lake", *CENT)
    cli("import", other, "--sink", "delta:lake", *CENT)
    assert count() == 6


def test_gzip_is_the_same_log(cli, log, count, tmp_path):
    packed = tmp_path / "access.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    cli("import", packed, "--sink", "delta:lake", *CENT)
    cli("import", log, "--sink", "delta:lake", *CENT)
    assert count() == 3


def test_a_third_party_gets_nothing_of_a_log(cli, log, tmp_path):
    """An access log knows of nobody who consented."""
    (tmp_path / "third.toml").write_text('[[sinks]]\nname = "jsonl:./events.jsonl"\nparty = "third"\n')
    imported = cli("import", log, "--sink", "jsonl:events.jsonl", "--policy", "third.toml")
    assert (imported.code, "All that is imported is withheld" in imported.err) == (0, True)
    assert (tmp_path / "events.jsonl").exists() is False
    status = cli("status")
    assert (status.code, "3 consent" in status.out, "The counters close" in status.out) == (0, True, True)


def test_a_sink_that_the_policy_forbids_gets_nothing_of_a_log(cli, log, tmp_path):
    (tmp_path / "declared.toml").write_text('[recipients]\nundeclared_sinks = "refuse"\n')
    refused = cli("import", log, "--sink", "jsonl:events.jsonl", "--policy", "declared.toml")
    assert (refused.code, "has no entry in [[sinks]]" in refused.err) == (2, True)
    assert not (tmp_path / "events.jsonl").exists()


def test_a_third_partys_name_in_another_spelling_gets_nothing_of_a_log(cli, log, tmp_path):
    declared = '[[sinks]]\nname = "jsonl:elsewhere.jsonl"\nparty = "third"\n'
    (tmp_path / "third.toml").write_text(declared)
    refused = cli("import", log, "--sink", "jsonl:events.jsonl", "--policy", "third.toml")
    assert (refused.code, 'names "jsonl:elsewhere.jsonl" as a third party\'s' in refused.err) == (2, True)
    assert not (tmp_path / "events.jsonl").exists()
    # One of several that are declared is no misspelled one.
    (tmp_path / "third.toml").write_text(f'{declared}[[sinks]]\nname = "jsonl:events.jsonl"\n')
    assert cli("import", log, "--sink", "jsonl:events.jsonl", "--policy", "third.toml").code == 0
    assert (tmp_path / "events.jsonl").exists()


def test_standard_input(cli, log, count, monkeypatch):
    with log.open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        assert cli("import", "-", "--sink", "delta:lake", *CENT).code == 0
    assert count() == 3


def test_damaged_gzip_keeps_what_stood_before(cli, log, tmp_path):
    packed = tmp_path / "cut.gz"
    packed.write_bytes(gzip.compress(log.read_bytes() * 5_000)[:-2_000])
    damaged = cli("import", packed, "--sink", "delta:lake", *CENT)
    assert (damaged.code, "damaged" in damaged.err or "can't read" in damaged.err) == (3, True)


def test_missing_log(cli):
    missing = cli("import", "nowhere.log", "--sink", "delta:lake", *CENT)
    assert (missing.code, "can't read nowhere.log" in missing.err) == (3, True)


def test_under_an_hourly_policy_the_order_of_the_log_is_gone(cli, tmp_path, count):
    line = '203.0.113.7 - - [17/May/2015:10:{:02}:00 +0000] "GET /{} HTTP/1.1" 200 1 "-" "Mozilla/5.0 Firefox/145.0"'
    (tmp_path / "long.log").write_text("\n".join(line.format(n % 60, n) for n in range(300)))
    (tmp_path / "hour.toml").write_text('[limits.default]\ntime = "hour"\npage = "path"\n')
    assert cli("import", "long.log", "--sink", "jsonl:events.jsonl", "--policy", "hour.toml").code == 0
    found = cli("query", "select path, time from events", "--sink", "jsonl:events.jsonl", "--format", "csv").out
    order = [int(row.split(",")[0][1:]) for row in found.splitlines()[1:]]
    assert sorted(order) == list(range(300))
    assert order != sorted(order)
    assert "10:00:00" in found
    assert "10:01" not in found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # Combined and Common, as Apache and nginx write them
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a%20b?x=1 HTTP/1.1" 200 5 "-" "Mozilla"', ("/a b", 200, 5)),
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 304 -', ("/", 304, 0)),
        # an escaped quote in the user agent
        (rb'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "a \"quoted\" agent"', ("/", 200, 5)),
        # what scanners send: an absolute target
        (b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET http://x.example/p HTTP/1.1" 404 5 "-" "-"', ("/p", 404, 5)),
    ],
)
def test_lines_that_are_read(line, expected):
    seen = read_line(line)
    assert (seen.path, seen.status, seen.response_bytes) == expected
    assert seen.peer == "192.0.2.1"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\x00\xff\xfe",
        b"hello",
        rb'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "\x16\x03\x01" 400 0 "-" "-"',  # TLS on a plain port
        b'192.0.2.1 - - [17/May/2015:10:05:03 +0000] "-" 408 0 "-" "-"',  # nothing was sent
        b'192.0.2.1 - - [99/Mai/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "-"',
    ],
)
def test_lines_that_are_rejected(line):
    with pytest.raises(LineError) as error:
        read_line(line)
    assert "192.0.2.1" not in str(error.value)


def test_another_policy_does_not_double_the_lake(cli, log, count):
    assert cli("import", log, "--sink", "delta:lake").code == 0
    again = cli("import", log, "--sink", "delta:lake", *CENT)
    assert "imported before" in again.out
    assert count() == 3


def test_a_line_that_is_still_being_written_is_left_for_the_next_time(cli, log, count):
    lines = log.read_text()
    log.write_text(lines + lines.splitlines()[0][:60])
    assert "4 lines" in cli("import", log, "--sink", "delta:lake", *CENT).out
    log.write_text(lines + lines.splitlines()[0] + "\n")
    assert "5 lines = 4 events" in cli("import", log, "--sink", "delta:lake", *CENT).out
    assert count() == 4
