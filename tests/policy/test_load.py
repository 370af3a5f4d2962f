"""Mistakes in a policy file: all of them at once, each with line, value, what is allowed, and the nearest spelling."""

# ruff: noqa: E501 - real headers and rows of a table stay on a line

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.errors import ConfigurationError, PolicyError
from centtrack.policy import PROFILES, PrivacyPolicy
from centtrack.policy.limits import LEVELS
from centtrack.policy.policy import profile_text


def problems(text):
    with pytest.raises(PolicyError) as raised:
        PrivacyPolicy.parse(text)
    return raised.value.problems


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ('[limits.default]\ngeo = "City"', 2, "limits.default.geo", ['"City"', "none, country, region, city", 'mean "city"']),
        ('[limits.default]\nip = "net42"', 2, "limits.default.ip", ['"net42"', "none, net16, net24, full", 'mean "net24"']),
        ("[limits.default]\nip = 24", 2, "limits.default.ip", ["24", "none, net16, net24, full"]),
        ("[limits.default]\ntime = true", 2, "limits.default.time", ["day, hour, minute, second"]),
        ('[limits.default]\ngeo = "district"', 2, "limits.default.geo", ['"district"']),
        ('[limits.default]\ntime = "none"', 2, "limits.default.time", ["day, hour, minute, second"]),
        ('[limits.default]\n\nbrwser = "none"', 3, "limits.default.brwser", ["unknown key", 'mean "browser"']),
        ('[limits.defalt]\nip = "none"', 1, "limits.defalt", ["unknown key", 'mean "default"']),
        ("[geos]", 1, "geos", ["unknown key", 'mean "geo"']),
        ('[ceiling]\nip = "ful"', 2, "ceiling.ip", ['"ful"', 'mean "full"']),
        ('[bots]\nrecord = "lable"', 2, "bots.record", ['"lable"', "keep, label, drop", 'mean "label"']),
        ('[consent]\nmode = "optin"', 2, "consent.mode", ['"optin"', 'mean "opt_in"']),
        ("[consent]\ndays = 183", 2, "consent.days", ["182", "183"]),
        ('[consent]\ngpc = ["necessary"]', 2, "consent.gpc[0]", ['"necessary"', "preferences, analytics, marketing"]),
        ('[consent.banner]\nkind = "klaro"', 2, "consent.banner.kind", ["klaro", 'categories = { analytics = ["matomo"] }']),
        ('[consent.banner]\nkind = "django-cookie-consent"\ncookie = "x"', 2, "consent.banner.kind", ["categories"]),
        ('[consent.banner]\nkind = "Klaro!"', 2, "consent.banner.kind", ['mean "klaro"', "cookiebot"]),
        ('[consent.banner]\nkind = "c15t"\nrevision = 1', 3, "consent.banner.revision", ["c15t", "vanilla-cookieconsent"]),
        ('[consent.banner]\nkind = "c15t"\ncategories = { analytics = [] }', 3, "consent.banner.categories.analytics", []),
        ('[consent.banner]\nkind = "c15t"\ncategories = { necessary = ["x"] }', 3, None, ["necessary", "marketing"]),
        ('[controller]\nbin = "050240010876"', 2, "controller.bin", ["check digit"]),
        ('[[cookies]]\nname = "a"\ncategory = "ads"', 3, "cookies[0].category", ['"ads"', "marketing"]),
        ('[[cookies]]\nname = "a"\ncategory = "marketing"\nlifetime = 401', 4, "cookies[0].lifetime", ["400", "401"]),
        ("[[sinks]]", 1, "sinks[0].name", ["required"]),
        ('[exclude]\npaths = "/health"', 2, "exclude.paths", ["list"]),
        ('[[sinks]]\nname = "s"\ncountry = "kz"', 3, "sinks[0].country", ["kz"]),
        ('[[sinks]]\nname = "s"\npurposes = ["security"]', 3, "sinks[0].purposes", ['"security"', "[purposes]"]),
        ('[[sinks]]\nname = "s"\nfields = ["route", "pth"]', 3, "sinks[0].fields[1]", ['"pth" is no column', 'mean "path"']),
        ('[[sinks]]\nname = "s"\nfields = [\n  "no such column"]', 3, "sinks[0].fields[0]", ['"no such column"', "policy show"]),
        ('[[sinks]]\nname = "s"\nfields = ["{path}"]', 3, "sinks[0].fields[0]", ['"{path}"']),
        ('[[sinks]]\nname = "s"\nfields = "path"', 3, "sinks[0].fields", ["list"]),
        ('[[sinks]]\nname = "s"\nsample = 0', 3, "sinks[0].sample", ["greater than 0"]),
        ('[[sinks]]\nname = "s"\nsample = 1.01', 3, "sinks[0].sample", ["less than or equal to 1"]),
        ('[[sinks]]\nname = "s"\nsample = nan', 3, "sinks[0].sample", []),
        ('[[sinks]]\nname = "s"\nsmaple = 0.1', 3, "sinks[0].smaple", ['mean "sample"']),
        ('[recipients]\nundeclared_sinks = "deny"', 2, "recipients.undeclared_sinks", ["allow, refuse"]),
        ("[recipients]\npersonal_data_in = []", 2, "recipients.personal_data_in", ["at least 1"]),
        ('[recipients]\npersonal_data_in = ["kz"]', 2, "recipients.personal_data_in[0]", ["kz"]),
        # clause 5: a sink that says no purpose is for analytics, and that isn't declared
        ('[purposes]\nsecurity = "x"\n[[sinks]]\nname = "s"', 3, "sinks[0].purposes", ['"analytics"', "[purposes]"]),
        ('[[sinks]]\nname = "s"\npurposes = []', 3, "sinks[0].purposes", []),  # a sink without a purpose (clause 5)
        ('[[events]]\nname = "Quote"', 2, "events[0].name", ["Quote"]),
        ('[[events]]\nname = "q"\n[events.properties]\nnote = "text"', 4, "events[0].properties.note", ['"text"', "integer"]),
        ('[limits.default]\nip = "full"', 2, "limits.default.ip", ["waiver"]),
        ('[limits.default]\nvisitor = "cookie"', 2, "limits.default.visitor", ["consent"]),
        ('[waiver.ip]\nby = "x"\nuntil = 2030-01-01', 1, "waiver.ip.reason", ["required"]),
        ('[waiver.ip]\nreason = ""\nby = "x"\nuntil = 2030-01-01', 2, "waiver.ip.reason", []),
        ("limits = 3", 1, "limits", []),
        ("[[limits]]\nip = 1", 1, "limits", []),
        ('"a(b)" = 1', 1, None, ["unknown key"]),
        ('[limits]\n"de[f]" = 3', 2, None, ["unknown key"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named_once_with_line_value_and_what_is_allowed(text, line, key, words):
    (problem,) = problems(text)
    assert problem.line == line
    assert key is None or problem.key == key
    assert not [word for word in words if word.lower() not in problem.message.lower()]
    assert f"line {line}: " in str(problem)


# "Never a guess": TOML has types, so a value of another type is a mistake.
@pytest.mark.parametrize(
    "text",
    [
        '[page]\nscrub_uuids = "off"',
        "[page]\nscrub_uuids = 0",
        '[consent]\ndnt = "no"',
        "[consent]\ndays = true",
        '[consent]\ndays = "30"',
        '[geo]\nmin_population = "15000"',
        "[geo]\nmin_population = true",
        "[geo]\nmin_population = 15000.0",
        "[disclosure]\nk = true",
        '[[sinks]]\nname = "s"\nsample = true',
        '[[sinks]]\nname = "s"\nsample = "0.5"',
        '[[sinks]]\nname = "s"\nfields = [1]',
        '[disclosure]\nk = "1"',
        "version = 1",
        '[exclude]\npaths = "/x"',
        '[waiver.ip]\nreason = "x"\nby = "x"\nuntil = 0',
    ],
)
def test_a_value_of_another_type_is_a_mistake_never_a_guess(text):
    assert len(problems(text)) == 1


def test_all_mistakes_of_a_file_at_once_in_order_of_line():
    text = """
version = ""
[limits.default]
ip = "full"
geo = "town"
visitor = "cookie"
[limits.consented]
ip = "full"
tme = "hour"
[ceiling]
page = "everything"
[[cookies]]
name = "a"
category = "x"
[[sinks]]
name = "s"
purposes = ["marketing", "security"]
[unknown]
"""
    assert [(problem.line, problem.key) for problem in problems(text)] == [
        (2, "version"),
        (4, "limits.default.ip"),
        (5, "limits.default.geo"),
        (6, "limits.default.visitor"),
        (8, "limits.consented.ip"),
        (9, "limits.consented.tme"),
        (11, "ceiling.page"),
        (14, "cookies[0].category"),
        (17, "sinks[0].purposes"),
        (18, "unknown"),
    ]


def test_one_mistake_does_not_make_another():
    """The waiver is there; it only lacks a name."""
    text = '[limits.default]\nip = "full"\n[waiver.ip]\nreason = "x"\nuntil = 2030-01-01\n'
    assert [problem.key for problem in problems(text)] == ["waiver.ip.by"]


@pytest.mark.parametrize(
    ("text", "line"),
    [('version = "1"\n[geo', 2), ("a = 1\na = 2\n", 2), ("a = \n", 1), ("a = [1,\n", 1), ('a = "x\n', 1), ("\x00", 1)],
)
def test_what_is_no_toml_names_its_line(text, line):
    (problem,) = problems(text)
    assert "TOML" in problem.message
    assert problem.line in {line, line + 1}


def test_the_message_lists_everything():
    with pytest.raises(PolicyError) as raised:
        PrivacyPolicy.parse('[bots]\nrecord = "x"\n[geo]\nlanguage = "de"\n', source="privacy.toml")
    assert str(raised.value).startswith("privacy.toml has 2 errors:\n  line 2: bots.record: ")
    assert isinstance(raised.value, ConfigurationError)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", "folder"], ids=["missing", "not UTF-8", "a folder"])
def test_a_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "privacy.toml"
    if content == "folder":
        path.mkdir()
    elif content:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"privacy\.toml"):
        PrivacyPolicy.load(path)


@pytest.mark.parametrize("limit", LEVELS)
@given(word=st.text(max_size=12))
def test_only_the_words_of_a_limit_are_levels(limit, word):
    text = f"[limits.consented]\n{limit} = {_toml(word)}\n"
    if word in LEVELS[limit].labels() and word != "full":
        assert getattr(PrivacyPolicy.parse(text).limits(consented=True), limit).label == word
    elif word not in LEVELS[limit].labels():
        assert [problem.line for problem in problems(text)] == [2]


@given(
    table=st.sampled_from(
        ["", "geo", "limits", "limits.default", "waiver.ip", "consent", "page", "purposes", "controller"]
    ),
    key=st.text(max_size=8) | st.sampled_from(["ip", "default", "language", "analytics", "until", "site", "a(b)"]),
    value=st.sampled_from(
        ["1", "true", '"x"', "[]", "[1]", "{}", '{a = "b"}', "1979-05-27", "nan", "{en = 1}", "[{}]"]
    ),
)
def test_any_table_key_and_value_is_read_or_refused(table, key, value):
    text = (f"[{table}]\n" if table else "") + f"{_toml(key)} = {value}\n"
    with suppress(PolicyError):
        assert PrivacyPolicy.parse(text).hash


def _toml(text):
    escaped = "".join(letter if letter.isascii() and letter.isalnum() else f"\\U{ord(letter):08X}" for letter in text)
    return '"' + (escaped if not any("\ud800" <= letter <= "\udfff" for letter in text) else "x") + '"'


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_are_without_mistakes(profile):
    assert PrivacyPolicy.parse(profile_text(profile))
