"""`geo info` and `geo fetch`."""

import gzip
import json

import pytest

from mmdb import ALMATY, SEMEY, V4, V6, built, write_mmdb
from web_files import serving

KIND = "DBIP-City-Lite (compat=City)"


@pytest.fixture
def path(tmp_path):
    return write_mmdb(tmp_path / "city.mmdb", {V4: ALMATY, V6: SEMEY}, 6, kind=KIND)


@pytest.fixture
def newer(tmp_path_factory):
    return write_mmdb(tmp_path_factory.mktemp("newer") / "x.mmdb", {V4: SEMEY}, 6, kind=KIND)


def write_policy(folder, *databases):
    names = json.dumps([str(one) for one in databases])
    (folder / "privacy.toml").write_text(f'[limits.default]\ngeo = "city"\n[geo]\ndatabases = {names}\n')
    return folder / "privacy.toml"


def test_info_of_files(cli, path):
    shown = cli("geo", "info", path)
    assert shown.code == 0
    for text in (str(path), KIND, "flat", "0 days ago", "city 100.0%", "IP Geolocation by DB-IP, https://db-ip.com"):
        assert text in shown.out


def test_info_of_the_databases_of_the_policy(cli, path, tmp_path, monkeypatch):
    policy = write_policy(tmp_path, "city.mmdb", "gone.mmdb")
    shown = cli("geo", "info", "--policy", policy)
    assert shown.code == 1
    assert KIND in shown.out
    assert "gone.mmdb" in shown.out
    assert "can't be used" in shown.out
    monkeypatch.setenv("CENTTRACK_POLICY", str(policy))
    assert cli("geo", "info") == shown


def test_info_without_databases(cli):
    shown = cli("geo", "info")
    assert (shown.code, "names no geo databases" in shown.out) == (0, True)


@pytest.mark.parametrize(("age_days", "code"), [(44, 0), (46, 1)])
def test_an_old_database_ends_with_1(cli, path, age_days, code):
    path.write_bytes(built(path.read_bytes(), -age_days * 86_400))
    shown = cli("geo", "info", path)
    assert (shown.code, f"{age_days} days" in shown.out, "days old" in shown.out) == (code, True, bool(code))


def test_info_says_what_a_half_of_a_pair_lacks(cli, tmp_path):
    four = write_mmdb(tmp_path / "4.mmdb", {V4: ALMATY})
    six = write_mmdb(tmp_path / "6.mmdb", {V6: ALMATY}, 6)
    assert "no IPv6 addresses" in cli("geo", "info", four).out
    assert "no IPv4 addresses" in cli("geo", "info", six).out
    assert "warning" not in cli("geo", "info", four, six).out


def test_info_as_json(cli, path, tmp_path):
    (tmp_path / "broken.mmdb").write_bytes(b"broken")
    shown = cli("geo", "info", path, "broken.mmdb", "--json")
    good, broken = json.loads(shown.out)["databases"]
    assert shown.code == 1
    assert (good["path"], good["type"], good["age_days"], good["findings"]) == (str(path), KIND, 0, [])
    assert good["ipv6"] == {"country": 1.0, "region": 1.0, "region_code": 1.0, "city": 1.0}
    assert (broken["path"], broken["built"]) == ("broken.mmdb", None)
    assert broken["findings"]


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_of_the_description_is_cut(cli, path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = cli("geo", "info", path).out
    assert "…" not in shown
    assert max(len(line) for line in shown.splitlines() if line.startswith("  ")) <= width


def test_fetch_from_a_file(cli, path, newer):
    fetched = cli("geo", "fetch", newer, "--to", path)
    assert fetched.code == 0
    assert path.read_bytes() == newer.read_bytes()
    for text in (str(path), KIND, "IP Geolocation by DB-IP", "none needs a restart"):
        assert text in fetched.out


def test_fetch_from_a_server_into_the_database_of_the_policy(cli, path, newer, tmp_path):
    policy = write_policy(tmp_path, "city.mmdb")
    with serving() as site:
        url = site.serve("/x.mmdb.gz", gzip.compress(newer.read_bytes()))
        fetched = cli("geo", "fetch", url + "?key=7", "--policy", policy)
        assert (fetched.code, "isn't there" in fetched.err, "key=7" in fetched.err) == (3, True, False)
        fetched = cli("geo", "fetch", url, "--policy", policy)
    assert (fetched.code, fetched.err) == (0, "")
    assert path.read_bytes() == newer.read_bytes()


def test_fetch_without_a_policy_says_how_to_use_it(cli, newer, tmp_path):
    fetched = cli("geo", "fetch", newer)
    assert fetched.code == 0
    assert (tmp_path / "dbip-city-lite.mmdb").read_bytes() == newer.read_bytes()
    assert f'databases = ["{tmp_path / "dbip-city-lite.mmdb"}"]' in fetched.out


def test_fetch_asks_which_of_several_is_meant(cli, path, newer, tmp_path):
    policy = write_policy(tmp_path, "city.mmdb", "other.mmdb")
    refused = cli("geo", "fetch", newer, "--policy", policy)
    assert (refused.code, "--to" in refused.err) == (2, True)


def test_fetch_does_not_put_another_type_in_the_place_of_the_policy(cli, newer, tmp_path):
    own = write_mmdb(tmp_path / "own.mmdb", {V4: ALMATY}, kind="own")
    policy, before = write_policy(tmp_path, "own.mmdb"), own.read_bytes()
    refused = cli("geo", "fetch", newer, "--policy", policy)
    assert (refused.code, "'own'" in refused.err, own.read_bytes() == before) == (3, True, True)
    assert cli("geo", "fetch", newer, "--policy", policy, "--to", own).code == 0


def test_fetch_warns_of_an_older_one(cli, path, newer, tmp_path):
    (tmp_path / "older").write_bytes(built(newer.read_bytes(), -3_600))
    fetched = cli("geo", "fetch", "older", "--to", path)
    assert (fetched.code, "older than what it replaced" in fetched.out) == (0, True)


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("nowhere.mmdb", 3, "can't be read"),
        ("junk", 3, "no geo database that can be used"),
        ("http://example.org/x.mmdb", 2, "only https"),
    ],
)
def test_fetch_that_fails_changes_nothing(cli, path, tmp_path, source, code, says):
    (tmp_path / "junk").write_bytes(b"<html>")
    before = path.read_bytes(), sorted(tmp_path.iterdir())
    failed = cli("geo", "fetch", source, "--to", path)
    assert (failed.code, says in failed.err) == (code, True)
    assert (path.read_bytes(), sorted(tmp_path.iterdir())) == before
