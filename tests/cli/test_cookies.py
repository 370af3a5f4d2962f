"""`cookies`: what was seen, what of it isn't as declared, and writing it into the policy."""

import json

import pytest

from centtrack import PrivacyPolicy
from centtrack.consent.inventory import CookieSeen
from centtrack.delivery.journal import Journal
from centtrack.delivery.paths import state_folder
from centtrack.delivery.records import Encoded

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
        (CookieSeen("new", "", "/", passed=1), "1 cookie of unknown purpose: new."),
        (CookieSeen("sid", arrived=1), "1 cookie from outside: sid."),
        (CookieSeen("sid", "", "/", passed=1, longest_s=5.0), "1 cookie longer-lived than declared: sid."),
        (CookieSeen("a\x1b[2Jb", "", "/", passed=1), "a\\x1b[2Jb"),  # a name that would clear the screen
        (CookieSeen("[red]x", "", "/", passed=1), "unknown purpose: [red]x."),
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
    assert "3 cookies not named: each arrived in fewer than 10 requests" in shown
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
    assert "visitors who chose are asked again" in shown.out
    assert declared.read_text().startswith(before)
    found = {cookie.name: cookie for cookie in PrivacyPolicy.load(declared).document.cookies}
    assert {name: cookie.category for name, cookie in found.items()} == {
        "sid": "necessary", "_ga_*": "analytics", "own": "unclassified",
    }  # fmt: skip
    assert (found["_ga_*"].domain, found["_ga_*"].lifetime, found["own"].path) == ("shop.example", 30, "/shop")
    written = declared.read_text()
    assert cli("cookies", "--policy", declared, "--declare").code == 1
    assert declared.read_text() == written  # nothing twice
    declared.write_text(written.replace("unclassified", "preferences"))
    assert cli("cookies", "--policy", declared).code == 0


def test_declaring_as_json_prints_json_only(cli, journal, declared):
    journal(GA)
    shown = cli("cookies", "--policy", declared, "--declare", "--json")
    assert (shown.code, [one["category"] for one in json.loads(shown.out)["cookies"]]) == (0, ["analytics"])


def test_which_policy_and_which_journal(cli, journal, declared):
    assert (cli("cookies").code, "nothing has run here yet" in cli("cookies").err) == (2, True)
    first = journal(GA)
    unnamed = cli("cookies", "--declare")
    assert (unnamed.code, "CENTTRACK_POLICY" in unnamed.err) == (2, True)
    journal(SID, app="another")
    unclear = cli("cookies", "--policy", declared)
    assert (unclear.code, "--journal" in unclear.err, str(first) in unclear.err) == (2, True, True)
    assert "_ga_X" in cli("cookies", "--journal", first).out
    assert cli("cookies", "--journal", "nowhere.db").code == 3


def test_nothing_was_seen(cli, journal):
    journal()
    shown = cli("cookies")
    assert (shown.code, "No cookie was seen yet" in shown.out) == (0, True)


def test_status_sums_the_cookies_up(cli, journal):
    journal(SID, GA)
    assert "Cookies: 2 names; 3 passed, 4 removed, 0 expired, 0 arrived" in cli("status").out
    (counts,) = json.loads(cli("status", "--json").out)
    assert counts["cookies"] == {"names": 2, "passed": 3, "removed": 4, "expired": 0, "arrived": 0}
