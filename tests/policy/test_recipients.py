"""Which sinks a policy allows, and what it says of each."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack import PrivacyPolicy
from centtrack.errors import ConfigurationError
from centtrack.event import COLUMNS
from centtrack.policy.limits import LEVELS
from centtrack.policy.model import ALWAYS_SENT
from centtrack.policy.recipients import (
    check_sinks,
    find_idle_limits,
    find_refusals,
    find_unmatched,
    personal_columns,
    recipient_of,
    refuse_forbidden,
)

WAIVER = '[waiver.ip]\nreason = "x"\nby = "x"\nuntil = 2999-12-31\n'
PATHS = '[limits.default]\npage = "path"\n'
ONLY_KZ = '[recipients]\npersonal_data_in = ["KZ"]\n'


def policy(*entries, rest=""):
    """A policy with these tables: `policy("name = 'a'")`."""
    return PrivacyPolicy.parse("\n".join([rest, *(f"[[sinks]]\n{entry}\n" for entry in entries)]))


def problems_of(rules, name="s"):
    return [refusal.problem for refusal in find_refusals(rules, name)]


@pytest.mark.parametrize(
    ("written", "party", "name", "is_third"),
    [
        ("memory:", "third", "memory:", True),
        ("memory:", "first", "memory:", False),
        ("other", "third", "memory:", False),
        ("my_app.sinks.send", "third", "my_app.sinks.send", True),
        ("delta:s3://bucket/table", "third", "delta:s3://bucket/table", True),
        ("delta:./telemetry", "third", "delta:{here}/telemetry", True),  # as it is given to sink=
        ("delta:telemetry", "third", "delta:{here}/telemetry", True),
        ("jsonl:telemetry", "third", "delta:{here}/telemetry", False),
        ("jsonl:telemetry", "third", "jsonl:{here}/a/../telemetry", True),  # the same file, by another path
        ("jsonl:a/../telemetry", "third", "jsonl:{here}/telemetry", True),
        ("jsonl:telemetry", "third", "jsonl:{here}/link/telemetry", True),
        ("jsonl:link/telemetry", "third", "jsonl:{here}/telemetry", True),
        ("jsonl:-", "third", "jsonl:-", True),
    ],
)
def test_which_sink_an_entry_is_about(tmp_path, monkeypatch, written, party, name, is_third):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    rules = policy(f'name = "{written}"\nparty = "{party}"')
    assert recipient_of(rules.document, name.format(here=tmp_path)).is_third is is_third


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], None),
        (['name = "s"'], None),
        (['name = "other"\nretention = 3'], None),
        (['name = "s"\nretention = 30'], 30),
        (['name = "s"\nretention = 30', 'name = "s"\nretention = 7', 'name = "s"'], 7),
    ],
)
def test_how_long_events_may_wait(entries, expected):
    assert recipient_of(policy(*entries).document, "s").retention == expected


def test_a_sink_without_an_entry_gets_all_for_analytics():
    found = recipient_of(policy('name = "other"\nfields = []').document, "s")
    assert (found.purposes, found.countries, found.sample, found.is_third) == (("analytics",), (), 1.0, False)
    assert found.columns == tuple(column.name for column in COLUMNS)


def test_of_several_entries_the_strictest_holds():
    entries = (
        'name = "s"\nfields = ["path", "route"]\nsample = 0.5\ncountry = "KZ"',
        'name = "s"\nfields = ["route"]\nsample = 0.7\ncountry = "DE"\npurposes = ["statistics"]\nparty = "third"',
    )
    rules = policy(*entries, rest='[purposes]\nanalytics = "a"\nstatistics = "s"\n')
    found = recipient_of(rules.document, "s")
    assert {*found.columns} - {*ALWAYS_SENT} == {"route"}
    assert (found.sample, found.countries) == (0.5, ("KZ", "DE"))
    assert (found.purposes, found.is_third) == (("analytics", "statistics"), True)


# Personal data: which columns hold any under the limits in force.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ('[limits.default]\npage = "route"\nreferrer = "domain"', []),
        ('[limits.default]\npage = "path"', ["path"]),
        ('[limits.default]\npage = "query"\nreferrer = "path"', ["path", "query", "referrer_path"]),
        ('[limits.consented]\npage = "path"', ["path"]),  # of some visitors
        ('[limits.consented]\npage = "path"\n[ceiling]\npage = "route"', []),
        ('[limits.default]\nip = "net24"', []),
        (f'[limits.default]\nip = "full"\n{WAIVER}', ["ip_network"]),
        (f'[limits.default]\nip = "full"\n{WAIVER}'.replace("2999", "2020"), []),
        (f'{PATHS}[[sinks]]\nname = "s"\nfields = ["route"]', []),
        (f'{PATHS}[[sinks]]\nname = "s"\nfields = ["path"]', ["path"]),
    ],
)
def test_which_columns_with_personal_data_a_sink_gets(text, expected):
    rules = PrivacyPolicy.parse(text)
    assert list(personal_columns(rules, recipient_of(rules.document, "s"))) == expected


@given(
    levels=st.fixed_dictionaries({}, optional={name: st.sampled_from(kind.labels()) for name, kind in LEVELS.items()})
)
def test_each_personal_column_counts_where_its_limit_lets_it_be_filled(levels):
    levels.pop("visitor", None)
    rules = PrivacyPolicy.parse("[limits.default]\n" + "".join(f'{k} = "{v}"\n' for k, v in levels.items()) + WAIVER)
    found = personal_columns(rules, recipient_of(rules.document, "s"))
    for name, limit, coarsest in (("path", "page", 2), ("query", "page", 3), ("referrer_path", "referrer", 3)):
        assert (name in found) == (rules.limits().by_name()[limit] >= coarsest)


# Countries (clause 4.6).


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], ["path", "KZ", "no country is stated"]),
        (['name = "s"'], ["no country is stated"]),
        (['name = "s"\ncountry = "DE"'], ["it is in DE"]),
        (['name = "s"\ncountry = "DE"\nparty = "third"'], ["it is in DE"]),
        (['name = "s"\ncountry = "KZ"', 'name = "s"\ncountry = "DE"'], ["it is in KZ, DE"]),
        (['name = "s"\ncountry = "KZ"'], None),
        (['name = "s"\ncountry = "KZ"', 'name = "s"'], None),
        (['name = "s"\ncountry = "DE"\nfields = ["route"]'], None),
        (['name = "s"\nfields = ["route"]'], None),
    ],
)
def test_personal_data_goes_only_where_the_policy_lets_it(entries, words):
    rules = policy(*entries, rest=PATHS + ONLY_KZ)
    found = problems_of(rules)
    assert bool(found) is (words is not None)
    assert [word for word in words or () if word not in found[0]] == []
    assert problems_of(policy(*entries, rest=ONLY_KZ)) == []  # under limits that leave no personal data
    assert problems_of(policy(*entries, rest=PATHS)) == []  # without such a rule


# Sinks that aren't declared.


def test_sinks_that_are_not_declared_may_be_refused():
    rest = '[recipients]\nundeclared_sinks = "{}"\n'
    check_sinks(policy('name = "a"', rest=rest.format("allow")), ["a", "b"])
    check_sinks(policy('name = "a"', rest=rest.format("refuse")), ["a"])
    with pytest.raises(ConfigurationError, match=r"policy forbids these sinks:\n  b has no entry in \[\[sinks\]\]"):
        check_sinks(policy('name = "a"', rest=rest.format("refuse")), ["a", "b"])


def test_a_sink_without_a_purpose_is_refused():
    """Clause 5: what has no entry is for analytics, and that must be declared."""
    rules = PrivacyPolicy.parse('[purposes]\nsecurity = "Fraud"\n')
    [problem] = problems_of(rules)
    assert "s has no purpose" in problem
    assert problems_of(policy('name = "s"\npurposes = ["security"]', rest='[purposes]\nsecurity = "Fraud"\n')) == []


REFUSED = [
    policy(rest=PATHS + ONLY_KZ),
    policy('name = "s"', rest=PATHS + ONLY_KZ),
    policy('name = "s"\ncountry = "DE"', rest=PATHS + ONLY_KZ),
    policy(rest='[recipients]\nundeclared_sinks = "refuse"\n'),
    policy(rest='[purposes]\nsecurity = "Fraud"\n'),
]


@pytest.mark.parametrize("rules", REFUSED)
@pytest.mark.parametrize("name", ["s", 'delta:/a "quoted" \\ path', "a\nb"])
def test_what_it_says_to_write_mends_it(rules, name):
    renamed = [entry.model_dump(exclude_unset=True) | {"name": name} for entry in rules.document.sinks]
    rules = rules.changed(sinks=renamed)
    [refusal] = find_refusals(rules, name)
    written = tomllib.loads(refusal.fix)
    entries = [renamed[0] | written] if renamed else written["sinks"]
    assert [entry["name"] for entry in entries] == [name]
    mended = rules.changed(sinks=entries)
    refuse_forbidden(mended, [name])


def test_everything_that_is_wrong_at_once():
    rules = policy(rest=PATHS + '[recipients]\nundeclared_sinks = "refuse"\npersonal_data_in = ["KZ", "UZ"]\n')
    with pytest.raises(ConfigurationError) as raised:
        refuse_forbidden(rules, ["a", "b"])
    assert str(raised.value).count("has no entry") == 2
    assert str(raised.value).count("to KZ, UZ only") == 2


# Clause 5: no field without a purpose.


@pytest.mark.parametrize(
    ("limits", "fields", "expected"),
    [
        ("", [], []),
        ('geo = "city"\npage = "route"', [], ["geo", "page"]),
        ('geo = "city"\npage = "route"', ["city"], ["page"]),
        ('geo = "city"\npage = "route"', ["country_code", "response_bytes"], []),
        ('time = "second"', [], []),  # always goes along
    ],
)
def test_what_is_recorded_and_no_sink_gets(limits, fields, expected):
    rules = policy(f'name = "s"\nfields = {fields}', rest=f"[limits.consented]\n{limits}\n")
    assert sorted(find_idle_limits(rules, ["s"])) == expected
    assert find_idle_limits(rules, ["s", "other"]) == []  # which gets all


# Names that none of the sinks has.


def test_names_that_no_sink_bears():
    rules = policy('name = "a"', 'name = "b"', 'name = "c"\nparty = "third"').document
    assert [entry.name for entry in find_unmatched(rules, ["b", "d"])] == ["a", "c"]


@pytest.mark.parametrize(
    ("entry", "is_limiting"),
    [
        ('party = "third"', True),
        ("fields = []", True),
        ("sample = 0.1", True),
        ('purposes = ["marketing"]', True),
        ('country = "KZ"\nretention = 3\nsample = 1.0', False),
    ],
)
def test_what_limits_a_sink_that_is_misspelled_must_not_be_overlooked(entry, is_limiting):
    rest = '[purposes]\nanalytics = "a"\nmarketing = "m"\n'
    rules = policy(f'name = "misspelled"\n{entry}', rest=rest)
    if not is_limiting:
        check_sinks(rules, ["s"])
        return
    with pytest.raises(ConfigurationError, match=r'"misspelled".*but the sinks here are named s, t\. .* give s and t'):
        check_sinks(rules, ["s", "t"])


def test_an_entry_for_a_sink_of_another_app_stops_none_whose_sinks_are_all_declared():
    """One policy for an app that delivers to Kafka, and for the consumer that delivers from there."""
    rules = policy('name = "kafka://k/events"', 'name = "https://partner/"\nparty = "third"')
    check_sinks(rules, ["kafka://k/events"])
    check_sinks(rules, ["https://partner/"])
    with pytest.raises(ConfigurationError, match=r'names "https://partner/" as a third party\'s'):
        check_sinks(rules, ["kafka://k/event"])
