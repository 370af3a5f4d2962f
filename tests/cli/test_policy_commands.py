"""`init`, `policy check` and `policy show`."""

import json
import re
from itertools import pairwise
from typing import get_args

import pytest

from centtrack.event import Event
from centtrack.policy import PROFILES, PrivacyPolicy
from centtrack.policy.model import ALWAYS_SENT, Language
from centtrack.policy.template import write_template

LANGUAGES = get_args(Language)
SECTIONS = (
    "geo", "page", "browser", "visitor", "disclosure", "bots", "release", "sinks", "recipients", "events",
)  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("profile", PROFILES)
def test_written_policy_has_the_limits_of_its_profile(profile, language):
    written = PrivacyPolicy.parse(write_template(profile, language))
    for consented in (False, True):
        assert written.limits(consented=consented) == PrivacyPolicy.profile(profile).limits(consented=consented)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("profile", PROFILES)
def test_all_else_is_that_of_the_profile_too_but_for_the_gate(profile, language):
    """The gate removes what is declared: adding the middleware must not break a login."""
    written = PrivacyPolicy.parse(write_template(profile, language)).document
    expected = PrivacyPolicy.profile(profile).document
    assert written.consent == expected.consent.model_copy(update={"gate": "declared"})
    for section in SECTIONS:
        assert getattr(written, section) == getattr(expected, section), section


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_examples_in_comments_are_valid_and_show_every_key(language):
    text = write_template("gdpr", language)
    examples = re.findall(r"^# (\[\[\w+\]\]\n(?:# \w+ = .*\n)+)", text, re.MULTILINE)
    document = PrivacyPolicy.parse(text + "".join(example.replace("\n# ", "\n") for example in examples)).document
    [cookie], [change], [sink] = document.cookies, document.changes, document.sinks
    assert cookie.model_fields_set == set(type(cookie).model_fields)
    assert change.model_fields_set == set(type(change).model_fields)
    assert sink.model_fields_set == set(type(sink).model_fields)
    assert cookie.purpose.keys() == change.summary.keys() == set(LANGUAGES)


@pytest.mark.parametrize(("language", "word"), [("en", "Limits for visitors"), ("ru", "Пределы"), ("kk", "шектер")])
def test_every_line_is_explained_in_the_language(cli, tmp_path, language, word):
    assert cli("init", "--profile", "kz", "--lang", language).code == 0
    lines = (tmp_path / "privacy.toml").read_text().splitlines()
    assert word in "\n".join(lines)
    explained = ("#", "[", 'ip = "net24"', "paths =")  # a comment, a table, or the line before in a table with one
    for above, line in pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert above.startswith(explained), f"unexplained: {line}"


def test_init_does_not_overwrite(cli, tmp_path):
    (tmp_path / "privacy.toml").write_text("version = '7'")
    refused = cli("init")
    assert (refused.code, "--force" in refused.err) == (2, True)
    assert (tmp_path / "privacy.toml").read_text() == "version = '7'"
    assert cli("init", "--force").code == 0


def test_check_shows_all_errors_and_ends_with_1(cli, tmp_path):
    (tmp_path / "privacy.toml").write_text('version = "1"\n[limits.default]\ngeo = "citty"\ntyme = "hour"\n')
    checked = cli("policy", "check")
    assert checked.code == 1
    assert "line 3" in checked.out
    assert 'Did you mean "city"?' in checked.out
    assert "line 4" in checked.out
    assert 'Did you mean "time"?' in checked.out


def test_check_warns_of_what_singles_people_out(cli, tmp_path):
    limits = 'geo = "city"\ntime = "minute"\nbrowser = "full"'
    (tmp_path / "privacy.toml").write_text(f"[limits.default]\n{limits}\n")
    checked = cli("policy", "check")
    assert checked.code == 0
    assert "single a person out" in checked.out


def test_check_says_what_the_gate_does_without_a_registry(cli, tmp_path):
    (tmp_path / "privacy.toml").write_text('[consent]\ngate = "enforce"\n')
    checked = cli("policy", "check")
    assert (checked.code, "every cookie of the app is removed" in checked.out) == (0, True)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_init_writes_needs_no_warning_but_for_places(cli, profile):
    """Databases of places aren't known yet."""
    assert cli("init", "--profile", profile).code == 0
    warnings = [line for line in cli("policy", "check").out.splitlines() if line.startswith("warning")]
    assert warnings == ["warning: geo.databases is empty: places stay empty"]


def test_missing_file(cli):
    missing = cli("policy", "check", "nowhere.toml")
    assert (missing.code, "centtrack init" in missing.err) == (2, True)


def test_show_lists_every_column(cli):
    shown = json.loads(cli("policy", "show", "--profile", "strict", "--json").out)
    assert shown["limits"]["default"]["geo"] == "region"
    assert shown["release_bucket_s"] == 3_600
    assert {"name": "city", "limit": "geo"}.items() <= next(f for f in shown["fields"] if f["name"] == "city").items()
    table = cli("policy", "show", "--profile", "strict").out
    assert all(field["name"] in table for field in shown["fields"])


def test_check_says_what_the_ceiling_cuts(cli, tmp_path):
    (tmp_path / "privacy.toml").write_text('[limits.default]\ngeo = "city"\n[ceiling]\ngeo = "country"\n')
    assert 'limits.default.geo = "city" is cut to "country"' in cli("policy", "check").out


def test_show_tells_what_each_sink_gets(cli, tmp_path):
    """Of two entries for one sink what they say together."""
    third = (
        '[[sinks]]\nname = "https://hooks.example:443/x"\nparty = "third"\ncountry = "IE"\nfields = ["route", "city"]\n'
    )
    own = '[[sinks]]\nname = "https://hooks.example:443/x"\nfields = ["route"]\nsample = 0.5\nretention = 9\n'
    (tmp_path / "privacy.toml").write_text(
        third + own + '[[sinks]]\nname = "delta:[red]lake\x1b[31m"\n'.replace("\x1b", "\\u001b")
    )
    narrow, whole = json.loads(cli("policy", "show", "--json").out)["sinks"]
    assert narrow["name"] == "https://hooks.example:443/x"
    assert (narrow["party"], narrow["countries"], narrow["sample"], narrow["retention"]) == ("third", ["IE"], 0.5, 9)
    assert {*narrow["fields"]} == {"route", *ALWAYS_SENT}
    assert (whole["party"], whole["countries"], {*whole["fields"]}) == ("first", [], {*Event.__struct_fields__})
    shown = cli("policy", "show").out
    assert "Sinks, and what they get" in shown
    assert "\x1b" not in shown
    assert "Sinks" not in cli("policy", "show", "--profile", "strict").out
