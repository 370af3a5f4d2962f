import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.errors import ConfigurationError, PolicyError
from centtrack.policy import PrivacyPolicy
from centtrack.policy.levels import Ip, Visitor
from centtrack.policy.limits import LEVELS

WAIVED = '[limits.default]\nip = "full"\n[waiver.ip]\nreason = "fraud"\nby = "CISO"\nuntil = 2026-03-31\n'
SOME_LEVELS = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(list(kind)) for name, kind in LEVELS.items()}
)  # fmt: skip


def table(name, levels):
    return "\n".join([f"[{name}]", *(f'{limit} = "{level.label}"' for limit, level in levels.items()), ""])


def test_what_a_file_leaves_out_has_the_coarsest_level():
    limits = PrivacyPolicy.parse("").limits().by_name()
    assert limits == {name: kind(0) for name, kind in LEVELS.items()}


def test_one_tier_serves_both_if_there_is_no_other():
    policy = PrivacyPolicy.parse('[limits.default]\ngeo = "region"\n')
    assert policy.limits(consented=True) == policy.limits()


def test_the_consented_tier_takes_nothing_from_the_default_one():
    policy = PrivacyPolicy.parse('[limits.default]\ngeo = "region"\n[limits.consented]\ntime = "hour"\n')
    assert policy.limits(consented=True).geo.label == "none"


@given(default=SOME_LEVELS, consented=SOME_LEVELS, ceiling=SOME_LEVELS)
def test_the_ceiling_caps_both_tiers_and_nothing_else(default, consented, ceiling):
    default.pop("visitor", None)  # `cookie` is refused there
    waiver = '[waiver.ip]\nreason = "x"\nby = "x"\nuntil = 2999-12-31\n'
    policy = PrivacyPolicy.parse(
        table("limits.default", default) + table("limits.consented", consented) + table("ceiling", ceiling) + waiver
    )
    for tier, set_levels in ((False, default), (True, consented)):
        for name, level in policy.limits(consented=tier).by_name().items():
            wanted = set_levels.get(name, LEVELS[name](0))
            assert level == min(wanted, ceiling.get(name, LEVELS[name].finest()))


def test_nothing_in_code_raises_the_ceiling():
    policy = PrivacyPolicy.parse('[ceiling]\nip = "net16"\n')
    changed = policy.changed(limits={"default": {"ip": "net24"}})
    assert changed.limits().ip is Ip.NET16


@pytest.mark.parametrize(
    ("today", "level"),
    [
        (dt.date(2026, 3, 30), Ip.FULL),
        (dt.date(2026, 3, 31), Ip.FULL),  # that day included
        (dt.date(2026, 4, 1), Ip.NONE),  # falls to none, not to net24
        (dt.date(2030, 1, 1), Ip.NONE),
    ],
)
@pytest.mark.parametrize("consented", [False, True])
def test_when_a_waiver_has_run_out_the_level_falls_to_none(today, level, consented):
    assert PrivacyPolicy.parse(WAIVED).limits(consented=consented, today=today).ip is level


def test_the_end_of_a_waiver_takes_nothing_else():
    before, after = (PrivacyPolicy.parse(WAIVED + '[limits.consented]\nip = "full"\ngeo = "city"\n').limits(
        consented=True, today=dt.date(2026, month, 1)) for month in (3, 4))  # fmt: skip
    assert before.model_copy(update={"ip": Ip.NONE}) == after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('[limits.default]\ntime = "day"', 86_400),
        ('[limits.default]\ntime = "hour"', 3_600),
        ('[limits.default]\ntime = "minute"', None),
        ('[limits.default]\ntime = "second"', None),
        # the coarser of both tiers, or one would tell the other's time
        ('[limits.default]\ntime = "day"\n[limits.consented]\ntime = "second"', 86_400),
        ('[limits.default]\ntime = "second"\n[ceiling]\ntime = "hour"', 3_600),
        ('release = "at_once"\n[limits.default]\ntime = "day"', None),
    ],
)
def test_events_of_a_time_coarser_than_a_minute_wait_for_its_end(text, seconds):
    assert PrivacyPolicy.parse(text).bucket_s == seconds


def test_the_hash_is_of_what_it_says_not_of_how_it_looks():
    one = PrivacyPolicy.parse('version = "1"\n[geo]\nlanguage = "ru"\n')
    two = PrivacyPolicy.parse('# comment\ngeo.language = "ru"\nversion  =  "1"\n', source="elsewhere")
    assert one.hash == two.hash
    assert len(one.hash) == 16


@pytest.mark.parametrize(
    "text",
    [
        'version = "2"',
        '[limits.default]\ngeo = "city"',
        '[limits.consented]\ngeo = "city"',
        '[ceiling]\ngeo = "none"',
        "[geo]\nmin_population = 1",
        '[[sinks]]\nname = "s"\nretention = 30',
        '[[sinks]]\nname = "s"\nfields = ["route"]',
        '[[sinks]]\nname = "s"\nsample = 0.5',
        '[recipients]\nundeclared_sinks = "refuse"',
        "[consent]\ndnt = true",
    ],
)
def test_any_change_changes_the_hash(text):
    assert PrivacyPolicy.parse(text).hash != PrivacyPolicy.parse("").hash


@pytest.mark.parametrize(
    "sections",
    [
        {"bots": {"record": "dorp"}},
        {"limits": {"default": {"ip": "full"}}},
        {"no_such_section": {}},
    ],
)
def test_a_change_in_code_is_checked_as_a_file_is(sections):
    with pytest.raises(PolicyError):
        PrivacyPolicy.parse("").changed(**sections)


def test_a_change_leaves_the_rest():
    policy = PrivacyPolicy.profile("cent")
    changed = policy.changed(bots={"record": "drop"})
    assert changed.limits() == policy.limits()
    assert changed.document.bots.record == "drop"
    assert policy.document.bots.record == "label"


@pytest.mark.parametrize("given_as", ["path", "text", "variable", "policy"])
def test_where_a_policy_comes_from(tmp_path, monkeypatch, given_as):
    path = tmp_path / "privacy.toml"
    path.write_text('version = "mine"\n[geo]\ndatabases = ["geo/city.mmdb"]\n')
    monkeypatch.delenv("CENTTRACK_POLICY", raising=False)
    if given_as == "variable":
        monkeypatch.setenv("CENTTRACK_POLICY", str(path))
    source = {"path": path, "text": str(path), "variable": None, "policy": PrivacyPolicy.load(path)}[given_as]
    policy = PrivacyPolicy.resolve(source)
    assert policy.version == "mine"
    assert policy.geo_databases == (tmp_path / "geo" / "city.mmdb",)  # relative to the file


def test_a_policy_that_is_missing_is_an_error_never_the_builtin_one(monkeypatch, tmp_path):
    monkeypatch.setenv("CENTTRACK_POLICY", str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigurationError):
        PrivacyPolicy.resolve(None)


def test_the_levels_are_those_of_the_reference():
    assert {name: ", ".join(kind.labels()) for name, kind in LEVELS.items()} == {
        "ip": "none, net16, net24, full",
        "geo": "none, country, region, city",
        "time": "day, hour, minute, second",
        "page": "none, route, path, query",
        "campaign": "none, channel, source, full",
        "referrer": "none, class, domain, path",
        "browser": "none, device, family, major, full",
        "language": "none, primary",
        "cookies": "none, counts, names",
        "visitor": "none, daily_key, cookie",
        "duration": "none, rounded, exact",
    }


def test_a_visitor_cookie_needs_consent():
    policy = PrivacyPolicy.parse('[limits.consented]\nvisitor = "cookie"\n')
    assert policy.limits().visitor is Visitor.NONE
    assert policy.limits(consented=True).visitor is Visitor.COOKIE


def test_code_can_lower_the_ceiling_and_not_raise_it():
    policy = PrivacyPolicy.parse('[limits.default]\ngeo = "city"\n[ceiling]\ngeo = "region"\n')
    assert policy.changed(ceiling={}).limits().geo.label == "region"
    assert policy.changed(ceiling={"geo": "country"}).limits().geo.label == "country"


THIRD = '[[sinks]]\nname = "s"\nparty = "third"\n'
FIRST = '[[sinks]]\nname = "s"\n'


@pytest.mark.parametrize(
    ("before", "after", "is_asked_again"),
    [
        # what a third party gets is what was consented to
        (THIRD, f'{THIRD}fields = ["route"]', True),
        (f'{THIRD}fields = ["route"]', f'{THIRD}fields = ["route", "city"]', True),
        (f'{THIRD}fields = ["route", "city"]', f'{THIRD}fields = ["city", "route", "city"]', False),
        (f'{THIRD}fields = ["route"]', f'{THIRD}fields = ["route", "time"]', False),  # that goes along anyway
        # limits aren't: they change for all recipients alike, mostly to something coarser
        (THIRD, f'[limits.consented]\npage = "path"\n{THIRD}', False),
        # several entries hold together: another one may say what a third party gets
        (f'{THIRD}{FIRST}fields = ["route"]', f'{THIRD}{FIRST}fields = ["route", "city"]', True),
        # what the site's own get of it isn't
        (FIRST, f'{FIRST}fields = ["route"]', False),
        # how many events, whoever's
        (f"{THIRD}sample = 0.1", THIRD, False),
        # whoever the recipients are, and where
        (THIRD, FIRST, True),
        (THIRD, f'{THIRD}country = "KZ"', True),
        ("", '[recipients]\nundeclared_sinks = "refuse"\npersonal_data_in = ["KZ"]', False),
    ],
)
def test_when_visitors_are_asked_again_for_a_change_of_recipients(before, after, is_asked_again):
    hashes = {PrivacyPolicy.parse(text).consent_hash for text in (before, after)}
    assert (len(hashes) == 2) is is_asked_again
