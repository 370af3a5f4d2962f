"""The table of profiles in the reference, cell by cell: default tier / consented tier; one entry means both."""

import pytest

from centtrack.errors import ConfigurationError
from centtrack.policy import PROFILES, PrivacyPolicy
from centtrack.policy.policy import profile_text

COLUMNS = ["ip", "geo", "min_population", "time", "page", "campaign", "referrer", "browser"]
COLUMNS += ["language", "cookies", "visitor", "duration"]
TABLE = """
strict | none / none   | region / region | 100000 | hour   | route        | channel / source | class / domain | family | none    | counts | none               | rounded
gdpr   | none / net24  | region / city   | 15000  | minute | route / path | source           | domain         | major  | primary | counts | daily_key / cookie | rounded
kz     | net16 / net24 | region / city   | 15000  | minute | route / path | source           | domain         | major  | primary | counts | none / cookie      | rounded
cent   | net24 / net24 | city / city     | 15000  | second | path         | source / full    | domain / path  | major  | primary | counts | none / cookie      | exact
"""  # noqa: E501 - a table
ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
CELLS = [(profile, column, cell) for profile, *cells in ROWS for column, cell in zip(COLUMNS, cells, strict=True)]


def test_every_profile_is_in_the_table():
    assert [row[0] for row in ROWS] == list(PROFILES)


@pytest.mark.parametrize(("profile", "column", "cell"), CELLS)
def test_cell(profile, column, cell):
    policy = PrivacyPolicy.profile(profile)
    if column == "min_population":
        assert policy.document.geo.min_population == int(cell)
        return
    default, _, consented = cell.partition(" / ")
    assert getattr(policy.limits(), column).label == default
    assert getattr(policy.limits(consented=True), column).label == (consented or default)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_names_every_limit_in_both_tiers(profile):
    tiers = PrivacyPolicy.profile(profile).document.limits
    assert tiers.default.model_fields_set == tiers.consented.model_fields_set == set(COLUMNS) - {"min_population"}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_asks_no_waiver_and_keeps_the_safe_switches(profile):
    document = PrivacyPolicy.profile(profile).document
    assert document.waiver.ip is None
    assert document.consent.mode == "opt_in"
    assert document.release == "bucket"
    assert document.page.scrub_uuids
    assert document.page.query_keys == ()
    assert document.disclosure.k >= 10


def test_the_builtin_policy_is_strict(monkeypatch):
    monkeypatch.delenv("CENTTRACK_POLICY", raising=False)
    assert PrivacyPolicy.resolve(None).hash == PrivacyPolicy.profile("strict").hash


@pytest.mark.parametrize("name", ["Strict", "strikt", "../strict", ""])
def test_an_unknown_profile_is_an_error_never_a_guess(name):
    with pytest.raises(ConfigurationError, match="strict, gdpr, kz, cent"):
        profile_text(name)


def test_the_error_names_the_nearest_profile():
    with pytest.raises(ConfigurationError, match='Did you mean "strict"'):
        PrivacyPolicy.profile("strickt")
