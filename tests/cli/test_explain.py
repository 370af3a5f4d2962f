"""`explain`: which address was believed and why, each limit that applied, the event."""

import json

import pytest

from mmdb import ALMATY, V4, write_mmdb

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"


@pytest.fixture(autouse=True)
def _policy(cli):
    assert cli("init", "--profile", "cent").code == 0


@pytest.fixture
def explain(cli):
    def call(*arguments):
        explained = cli("explain", *arguments, "--policy", "privacy.toml", "--json")
        assert explained.code == 0, explained.err
        return json.loads(explained.out)

    return call


def test_the_proxys_word_is_taken_if_it_is_trusted(explain):
    line = "curl -H 'X-Forwarded-For: 1.2.3.4, 203.0.113.9' https://shop.example/"
    believed = explain(line, "--peer", "10.0.0.5", "--trusted-proxy", "10.0.0.0/8")
    assert believed["address"] == "203.0.113.9"
    assert "entry 1 from the right" in believed["reason"]
    ignored = explain(line, "--peer", "10.0.0.5")
    assert ignored["address"] == "10.0.0.5"
    assert "no proxy is trusted" in ignored["reason"]


def test_each_limit_and_what_it_left(explain):
    explained = explain(f"curl -A '{FIREFOX}' -e https://www.google.com/ 'https://shop.example/a@b.kz?q=1'")
    limits = {row["limit"]: row for row in explained["limits"]}
    assert limits["page"] == {"limit": "page", "level": "path", "set_to": "path", "columns": {"path": "/[email]"}}
    assert limits["browser"]["columns"] == {
        "browser": "Firefox", "browser_version": "145", "browser_engine": "Gecko", "os": "Windows", "os_version": "10",
        "device_class": "desktop",
    }  # fmt: skip
    assert explained["event"]["referrer_domain"] == "google.com"
    assert explained["tier"] == "default"


def test_a_limit_that_the_ceiling_cut(explain, tmp_path):
    policy = tmp_path / "privacy.toml"
    policy.write_text('[limits.default]\ngeo = "city"\n[ceiling]\ngeo = "country"\n')
    row = next(row for row in explain("curl https://x.example/")["limits"] if row["limit"] == "geo")
    assert (row["level"], row["set_to"]) == ("country", "city")


def test_a_scope_as_json(explain, tmp_path):
    scope = {"type": "http", "method": "GET", "path": "/plans", "client": ["203.0.113.4", 5], "headers": [["DNT", "1"]]}
    (tmp_path / "scope.json").write_text(json.dumps(scope))
    explained = explain("--scope", "scope.json")
    assert explained["event"]["path"] == "/plans"
    assert explained["event"]["ip_network"] == "203.0.113.0/24"


@pytest.mark.parametrize("content", [None, b"not a database"], ids=["missing", "broken"])
def test_a_database_that_cannot_be_used(explain, tmp_path, content):
    """A note says so, also where another database knows the place."""
    if content:
        (tmp_path / "city.mmdb").write_bytes(content)
    write_mmdb(tmp_path / "whole.mmdb", {V4: ALMATY})
    (tmp_path / "privacy.toml").write_text(
        '[limits.default]\ngeo = "city"\n[geo]\nmin_population = 0\ndatabases = ["city.mmdb", "whole.mmdb"]\n'
    )
    explained = explain("curl https://x.example/", "--peer", "203.0.113.7")
    [note] = [note for note in explained["notes"] if note.startswith("place")]
    assert "city.mmdb can't be used" in note
    assert explained["event"]["city"] == "Almaty"


def test_as_text(cli):
    shown = cli("explain", "curl https://x.example/a@b.kz", "--policy", "privacy.toml").out
    assert "127.0.0.1: the peer: no proxy is trusted" in shown
    assert "path = /[email]" in shown


def test_why_there_is_no_event(cli):
    assert "none: excluded" in cli("explain", "curl https://x.example/health", "--policy", "privacy.toml").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "curl-like line"),
        (("curl https://x.example", "--scope", "scope.json"), "curl-like line"),
        (("curl https://x.example", "--hops", "1", "--trusted-proxy", "10.0.0.0/8"), "not both"),
        (("curl https://x.example", "--peer", "nobody"), "no address"),
        (("curl -H 'A: b'",), "no URL"),
        (("curl --frobnicate https://x.example",), "--frobnicate"),
        (("curl https://x.example", "--trusted-proxy", "10.0.0.0/99"), "no network"),
        (("curl https://x.example", "--forwarded-header", "x-real-ip"), "x-forwarded-for, forwarded"),
        (("curl 'https://x.example",), "quot"),
    ],
)
def test_wrong_use(cli, arguments, message):
    refused = cli("explain", *arguments)
    assert (refused.code, message in refused.err) == (2, True)
