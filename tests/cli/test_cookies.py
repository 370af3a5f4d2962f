"""`cookies`: what was seen, what of it isn't as declared, and writing it into the policy."""

import json

import pytest

from centtrack import PrivacyPolicy
from centtrack.consent.inventory import CookieSeen
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.records import Encoded
from centtrack.folders import state_folder

DAY_S = 86_400


@pytest.fixture
def journal(tmp_path):
    """A journal in the user's state folder, in which some cookies were seen."""

    def make(*seen, app="app"):
        path = state_folder() / app / "journal.db"
        one = Journal(path)
        one.open()
        one.append(Encoded(0, b"", []), worker="w", counts={}, cookies=seen)
        one.close()
        return path

    return make


@pytest.fixture
def declared(tmp_path):
    path = tmp_path / "privacy.toml"
    path.write_text('# by hand\n[[cookies]]\nname = "sid"\ncategory = "necessary"\nlifetime = 0\n')
    return path


SID = CookieSeen("sid", "", "/", passed=3)
GA = CookieSeen("_ga_X", "shop.example", "/", removed=4, longest_s=30 * DAY_S)


def test_all_is_as_declared(cli, journal, declared):
    path = journal(SID, CookieSeen("sid", arrived=2))
    shown = cli("cookies", "--policy", declared)
    assert (shown.code, "Every cookie is as it was declared" in shown.out, str(path) in shown.out) == (0, True, True)


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (CookieSeen("new", "", "/", passed=1), "1 cookie not in the registry: new."),
        (CookieSeen("sid", arrived=1), "1 cookie from outside: sid."),
        (CookieSeen("sid", "", "/", passed=1, longest_s=5.0), "1 cookie longer-lived than declared: sid."),
        (CookieSeen("a\x1b[2Jb", "", "/", passed=1), "a\\x1b[2Jb"),  # a name that would clear the screen
        (CookieSeen("[red]x", "", "/", passed=1), "not in the registry: [red]x."),
    ],
)
def test_findings(cli, journal, declared, seen, says):
    journal(seen)
    shown = cli("cookies", "--policy", declared)
    assert (shown.code, says in shown.out) == (1, True), shown.out


def test_what_an_officer_should_know(cli, journal, declared):
    journal(
        SID._replace(name="other", longest_s=500 * DAY_S),
        *(CookieSeen(f"junk{number}", arrived=9) for number in range(3)),
    )
    shown = cli("cookies", "--policy", declared).out
    assert "set for more than 400 days: other" in shown
    assert "declared, but never seen: sid" in shown
    assert "3 cookies not named. Such a name arrived in fewer than 10 requests" in shown
    assert "junk" not in shown


def test_as_json(cli, journal, declared):
    path = journal(SID, GA)
    shown = cli("cookies", "--policy", declared, "--json")
    data = json.loads(shown.out)
    assert (shown.code, data["journal"], data["has_findings"]) == (1, str(path), True)
    assert {one["name"]: (one["category"], one["seen"], one["blocked"], one["remarks"]) for one in data["cookies"]} == {
        "_ga_X": (None, 0, 4, ["unclassified"]),
        "sid": ("necessary", 3, 0, []),
    }


def test_declaring(cli, journal, declared):
    journal(SID, GA, CookieSeen("own", "", "/shop", passed=1, longest_s=DAY_S))
    before = declared.read_text()
    shown = cli("cookies", "--policy", declared, "--declare")
    assert shown.code == 1  # `own` has yet to be judged
    assert 'name = "_ga_*"' in shown.out
    assert "Visitors who chose are asked again: give the policy a new version (it is still 1)" in shown.out
    assert declared.read_text().startswith(before)
    found = {cookie.name: cookie for cookie in PrivacyPolicy.load(declared).document.cookies}
    assert {name: cookie.category for name, cookie in found.items()} == {
        "sid": "necessary", "_ga_*": "analytics", "own": "unclassified",
    }  # fmt: skip
    assert (found["_ga_*"].domain, found["_ga_*"].lifetime, found["own"].path) == ("shop.example", 30, "/shop")
    written = declared.read_text()
    again = cli("cookies", "--policy", declared, "--declare")
    assert declared.read_text() == written  # nothing twice
    assert (again.code, "nothing to declare" in again.out, "`--declare`" in again.out) == (1, True, False)
    assert f"own. Such a cookie counts as not declared: change its category in {declared}" in again.out
    declared.write_text(written.replace("unclassified", "preferences"))
    assert cli("cookies", "--policy", declared).code == 0


def test_declaring_as_json_prints_json_only(cli, journal, declared):
    journal(GA)
    shown = cli("cookies", "--policy", declared, "--declare", "--json")
    assert (shown.code, [one["category"] for one in json.loads(shown.out)["cookies"]]) == (0, ["analytics"])


def test_a_tracker_that_lasts_too_long_is_declared_and_remarked_upon(cli, journal, declared):
    journal(
        CookieSeen("_ga", passed=1, longest_s=395 * DAY_S),
        CookieSeen("PHPSESSID", passed=1, longest_s=395 * DAY_S),
        CookieSeen("own", passed=1, longest_s=390 * DAY_S),
    )
    shown = cli("cookies", "--policy", declared, "--declare").out
    assert {one.name: one.lifetime for one in PrivacyPolicy.load(declared).document.cookies[1:]} == {
        "_ga": 395, "PHPSESSID": 395, "own": 390,
    }  # fmt: skip
    assert "_ga: 395 days. The CNIL allows" in shown
    assert shown.count("CNIL") == 1  # not for what is necessary


def test_what_no_entry_can_name_is_not_offered(cli, journal, declared):
    journal(CookieSeen("a,b", passed=1))
    shown = cli("cookies", "--policy", declared)
    assert (shown.code, "not in the registry: a,b" in shown.out, "`--declare`" in shown.out) == (1, True, False)


def test_what_visitors_send_is_not_declared_as_necessary(cli, journal, declared):
    journal(CookieSeen("PHPSESSID", arrived=50), CookieSeen("ivan@example.org", arrived=50))
    shown = cli("cookies", "--policy", declared, "--declare")
    assert [(one.name, one.category) for one in PrivacyPolicy.load(declared).document.cookies[1:]] == [
        ("PHPSESSID", "unclassified")
    ]
    assert "ivan" not in shown.out + shown.err + declared.read_text()
    assert "1 cookie not named" in shown.out


@pytest.mark.parametrize(
    ("options", "variable", "source"),
    [
        ([], None, "privacy.toml"),  # the app's folder
        ([], "other.toml", "other.toml"),
        (["--policy", "third.toml"], "other.toml", "third.toml"),
    ],
)
def test_which_policy(cli, journal, declared, monkeypatch, options, variable, source):
    for name in ("other.toml", "third.toml"):
        declared.with_name(name).write_text(declared.read_text())
    if variable:
        monkeypatch.setenv("CENTTRACK_POLICY", variable)
    journal(GA)
    assert json.loads(cli("cookies", "--json", *options).out)["policy"] == source
    assert cli("cookies", "--declare", *options).code == 0
    assert "_ga_*" in declared.with_name(source).read_text()


@pytest.mark.parametrize("options", [[], ["--declare"], ["--json"]])
def test_a_profile_has_no_registry(cli, journal, options):
    journal(GA)
    unnamed = cli("cookies", *options)
    assert (unnamed.code, "which policy is meant?" in unnamed.err, "CENTTRACK_POLICY" in unnamed.err) == (2, True, True)


def test_which_journal(cli, journal, declared):
    first = journal(GA)
    journal(SID, app="another")
    unclear = cli("cookies", "--policy", declared)
    assert (unclear.code, "--journal" in unclear.err, str(first) in unclear.err) == (2, True, True)
    assert "_ga_X" in cli("cookies", "--journal", first).out
    assert cli("cookies", "--journal", "nowhere.db").code == 3


@pytest.mark.parametrize("options", [[], ["--declare"], ["--json"]])
def test_nothing_has_run_yet(cli, options):
    """As `status` says it."""
    shown = cli("cookies", *options)
    assert shown == (0, cli("status").out, "")
    assert "nothing has run here yet" in shown.out


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_a_terminal(cli, journal, declared, monkeypatch, columns):
    """Nothing is cut off; a long name is folded."""
    monkeypatch.setenv("COLUMNS", str(columns))
    name = "a_long_name_of_an_application_server"
    journal(
        SID._replace(passed=1_234_567),
        CookieSeen("sid", arrived=23_456_789),
        CookieSeen(name, "", "/", passed=1, longest_s=500 * DAY_S),
        CookieSeen("gone", "", "/", expired=1),
    )
    table = cli("cookies", "--policy", declared).out.split("not in the registry")[0]
    rows = [line.split() for line in table.splitlines()]
    assert ["cookie", "category", "set", "removed", "arrived", "longest", "findings"] in rows
    assert ["sid", "necessary", "1,234k", "0", "23,456k", "session"] in rows
    assert ["gone", "—", "0", "0", "0", "—", "only", "deleted"] in rows
    assert "not declared" in table
    assert "over 400 days" in table
    assert "…" not in table
    assert name in "".join(table.split()).replace("—100500dnotdeclared", "").replace("over400days", "")


def test_nothing_was_seen(cli, journal, declared):
    journal()
    shown = cli("cookies")
    assert (shown.code, "No cookie was seen yet" in shown.out) == (0, True)


def test_status_sums_the_cookies_up(cli, journal):
    journal(SID, GA)
    assert "Cookies by name: 2; 3 passed, 4 removed, 0 expired, 0 arrived" in cli("status").out
    (counts,) = json.loads(cli("status", "--json").out)
    assert counts["cookies"] == {"names": 2, "passed": 3, "removed": 4, "expired": 0, "arrived": 0}
