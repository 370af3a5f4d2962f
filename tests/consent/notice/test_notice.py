"""What the pages say, in three languages."""

import datetime as dt
import re
import sys
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.notice.languages import choose_language, pick_words, say_count, say_date, say_lifetime, texts_in
from centtrack.consent.notice.notice import LANGUAGES, Notice, asked_categories
from centtrack.consent.notice.plain_text import plain_text
from centtrack.consent.state import NO_CHOICE, Consent, ConsentReader, State
from centtrack.consent.token import ConsentTokens
from centtrack.errors import ConfigurationError, MissingExtraError
from centtrack.policy import PrivacyPolicy
from centtrack.policy.limits import LEVELS

POLICY = """
version = "3"
effective = 2026-11-22
[controller]
name = "Qazyna"
contact = "https://qazyna.example/privacy"
[limits.consented]
visitor = "cookie"
[purposes]
analytics = {ru = "Улучшение сервиса"}
marketing = "Offers"
[[cookies]]
name = "session"
category = "necessary"
lifetime = 0
[[cookies]]
name = "_ga*"
category = "analytics"
domain = ".qazyna.example"
purpose = {en = "Counts visits", kk = "Кірулерді санайды"}
lifetime = 400
[[sinks]]
name = "adnet"
party = "third"
country = "IE"
purposes = ["marketing"]
retention = 30
[[changes]]
version = "2"
effective = 2026-03-01
summary = "Advertising added"
"""
ALLOWED = Consent({"analytics": State.GIVEN, "marketing": State.REFUSED}, "cookie")


def notice_of(text=POLICY, **options):
    return Notice(PrivacyPolicy.parse(text), **options)


def page_of(notice, language="en", *, consent=NO_CHOICE, base="/consent", back="/shop", status=None, signal=False):
    return notice.page(language, consent=consent, base=base, back=back, status=status, signal=signal)


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of(self, tag, **wanted):
        return [attrs for name, attrs in self.found if name == tag and wanted.items() <= attrs.items()]


def ticked(html):
    return [box["value"] for box in Tags(html).of("input", type="checkbox") if "checked" in box]


@pytest.mark.parametrize(
    ("header", "wanted", "expected"),
    [
        ("ru", None, "ru"),
        ("kk-KZ,ru;q=0.8", None, "kk"),
        ("en;q=0.5, ru;q=0.9", None, "ru"),
        ("de, fr", None, "en"),  # the default
        ("de, kk;q=0.1", None, "kk"),
        ("ru;q=0, kk;q=0.1", None, "kk"),  # 0 is "not acceptable"
        ("RU-kz", None, "ru"),
        ("ru", "kk", "kk"),  # what was clicked counts first
        ("ru", "de", "ru"),
        ("ru", "../../etc", "ru"),
        ("*", None, "en"),
        ("*, ru;q=0.5", None, "en"),  # any other is liked better
        ("ru, *;q=0.5", None, "ru"),
        ("ru;q=x, kk;q=0.2", None, "kk"),
        ("ru;q=nan, kk;q=0.2", None, "kk"),
        ("ru;q=7, kk;q=0.2", None, "kk"),
        ("ru ; q = 0.4 , kk;q=0.5", None, "kk"),
        ("", None, "en"),
        ("x" * 5_000 + ",ru", None, "en"),
    ],
)
def test_language(header, wanted, expected):
    assert choose_language(header, wanted, "en") == expected


@given(st.text(), st.none() | st.text())
def test_any_header_gives_a_language(header, wanted):
    assert choose_language(header, wanted, "ru") in LANGUAGES


def flat(texts, prefix=""):
    """Key with its tables → text or forms."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


ENGLISH = dict(flat(texts_in("en")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_languages_have_all_texts(language):
    texts = dict(flat(texts_in(language)))
    assert list(texts) == list(ENGLISH)
    for key, said in texts.items():
        assert said, key
        fields = [set(re.findall(r"{\w+}", form)) for form in (said if isinstance(said, list) else [said])]
        english = ENGLISH[key] if isinstance(ENGLISH[key], str) else ENGLISH[key][0]
        assert all(one == set(re.findall(r"{\w+}", english)) for one in fields), key


@pytest.mark.parametrize(("language", "has_kazakh_letters"), [("ru", False), ("kk", True)])
def test_texts_are_in_their_language(language, has_kazakh_letters):
    texts = dict(flat(texts_in(language)))
    said = "".join(str(text) for key, text in texts.items() if key != "language_name")
    assert bool(set("әғқңөұүһі") & set(said)) is has_kazakh_letters
    in_latin = {key for key, text in texts.items() if not re.search(r"[\u0400-\u04ff]", str(text))}
    assert in_latin <= {"date"}


def test_all_texts_are_used():
    source = "".join(
        part.read_text(encoding="utf-8")
        for folder, ends in (("", ".py"), ("templates", ".html"))
        for part in files("centtrack.consent.notice").joinpath(folder).iterdir()
        if part.name.endswith(ends)
    )
    tables = {key for key, value in texts_in("en").items() if isinstance(value, dict)}
    for key in texts_in("en"):
        pattern = rf"\bt\.{key}\b" if key in tables else rf"""\bt\.{key}\b|["']{key}["']"""
        assert re.search(pattern, source) or key == "category", key


def test_there_is_a_text_for_everything():
    texts = texts_in("en")
    assert {name: set(words) for name, words in texts["level"].items()} == {
        name: set(level.labels()) for name, level in LEVELS.items()
    }
    assert set(texts["limit"]) == set(LEVELS)
    assert set(texts["state"]) == {*State, "implied"} - {State.UNKNOWN, State.REQUESTED}
    assert set(texts["status"]) == {"saved", "not_saved", "policy_changed"}
    assert set(texts["gate"]) == {"observe", "declared", "enforce"}
    assert all(set(said) == set(texts["gate"]["enforce"]) for said in texts["gate"].values())
    assert set(texts["about"]) == set(texts["category"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("as it is", ("as it is", None)),
        ({"kk": "қ", "en": "e"}, ("қ", None)),
        ({"ru": "русский", "en": "e"}, ("e", "en")),
        ({"ru": "русский"}, ("русский", "ru")),
        ({"kk": "", "ru": "русский"}, ("русский", "ru")),
        ({}, ("", None)),
    ],
)
def test_texts_of_the_policy_fall_back(text, expected):
    assert pick_words(text, "kk") == expected


@pytest.mark.parametrize(
    ("days", "language", "expected"),
    [
        (None, "en", "not stated"),
        (0, "en", "until you close the browser"),
        (1, "en", "1 day"),
        (30, "en", "30 days"),
        (182, "en", "182 days (about 6 months)"),
        (1, "ru", "1 день"),
        (2, "ru", "2 дня"),
        (11, "ru", "11 дней"),
        (21, "ru", "21 день"),
        (182, "ru", "182 дня (около 6 месяцев)"),
        (390, "kk", "390 күн (шамамен 13 ай)"),
    ],
)
def test_lifetimes_in_words(days, language, expected):
    assert say_lifetime(days, language) == expected


def test_numbers_and_dates_in_words():
    assert [say_count("cookies_count", number, "ru") for number in (1, 3, 12)] == [
        "1 файл cookie",
        "3 файла cookie",
        "12 файлов cookie",
    ]
    day = dt.date(2026, 11, 22)
    assert [say_date(day, language) for language in LANGUAGES] == [
        "2026 жылғы 22 қараша",
        "22 ноября 2026 \N{CYRILLIC SMALL LETTER GHE}.",
        "22 November 2026",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("analytics",)),  # the default purpose
        ('[purposes]\nsecurity = "x"', ()),
        ('[purposes]\nsecurity = "x"\n[[cookies]]\nname = "theme"\ncategory = "preferences"', ("preferences",)),
        ('[purposes]\nsecurity = "x"\n[limits.consented]\nvisitor = "cookie"', ("analytics",)),
        (POLICY, ("analytics", "marketing")),
    ],
)
def test_visitors_are_asked_about_what_there_is(text, expected):
    assert asked_categories(PrivacyPolicy.parse(text)) == expected
    boxes = Tags(page_of(notice_of(text))).of("input", type="checkbox")
    assert tuple(box["value"] for box in boxes) == expected


def test_nothing_to_choose():
    html = page_of(notice_of('[purposes]\nsecurity = "x"'))
    assert "nothing for you to choose" in html
    assert not Tags(html).of("button")
    assert "__Host-centtrack" in html


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_has_what_visitors_need(language):
    html = page_of(notice_of(), language)
    tags = Tags(html)
    assert [button["value"] for button in tags.of("button")] == ["accept", "refuse", "save"]
    assert tags.of("html") == [{"lang": language}]
    assert len(tags.of("section", role="region")) == 1
    assert [link["hreflang"] for link in tags.of("a") if "hreflang" in link] == list(LANGUAGES)
    for name in ("__Host-centtrack", "session", "_ga*", ".qazyna.example", "Offers"):
        assert name in html
    assert {box["value"] for box in tags.of("input", name="back")} == {"/shop"}
    assert not tags.of("script")
    assert not [attrs for _, attrs in tags.found if "style" in attrs or any(key.startswith("on") for key in attrs)]


@pytest.mark.parametrize(
    ("consent", "signal", "expected"),
    [
        (NO_CHOICE, False, []),
        (ALLOWED, False, ["analytics"]),
        (Consent({"analytics": State.GIVEN, "marketing": State.GIVEN}, "cookie"), True, ["analytics"]),
        (Consent({"analytics": State.GIVEN}, "implied"), False, []),
        (Consent({"analytics": State.EXPIRED}, "cookie"), False, []),
        (Consent({"analytics": State.GIVEN}, "banner"), False, ["analytics"]),
    ],
)
def test_only_what_was_given_is_ticked(consent, signal, expected):
    assert ticked(page_of(notice_of(), consent=consent, signal=signal)) == expected


def test_what_a_signal_forbids_cant_be_ticked():
    text = 'choice_outranks_signal = true\ngpc = ["marketing", "analytics"]'
    for rules, locked in (("", ["marketing"]), (f"[consent]\n{text}", [])):
        html = page_of(notice_of(POLICY + rules), signal=True)
        boxes = Tags(html).of("input", type="checkbox")
        assert [box["value"] for box in boxes if "disabled" in box] == locked
        assert "This site honours it" in html
        assert ("unless you allow it here: analytics, marketing" in html) == bool(rules)
    assert "This site honours it" not in page_of(notice_of())


@pytest.mark.parametrize(("consent", "expected"), [(NO_CHOICE, False), (ALLOWED, True)])
def test_what_was_granted_can_be_withdrawn(consent, expected):
    html = page_of(notice_of(), consent=consent)
    assert bool(Tags(html).of("form", action="/consent/withdraw")) is expected
    assert ('href="/consent/receipt"' in html) is expected


@pytest.mark.parametrize("status", ["saved", "withdrawn", "not_saved", "no_secret", "policy_changed"])
def test_what_happened_is_said(status):
    html = page_of(notice_of(), "ru", status=status)
    assert Tags(html).of("p", role="status")
    assert (texts_in("ru")["status"] | texts_in("ru")["gate"]["observe"])[status] in html
    assert 'role="status"' not in page_of(notice_of())
    assert ("Ваш выбор хранится" in html) is (status != "no_secret")


def test_implied_consent_is_said_and_is_what_the_reader_allows():
    policy = PrivacyPolicy.parse(POLICY + '[consent]\nmode = "implied"\ngate = "enforce"')
    reader = ConsentReader(policy.document.consent, policy.consent_hash, ConsentTokens([b"0" * 32]))
    consent = reader.read(gpc=False, dnt=False)
    allowed = [category for category in asked_categories(policy) if consent.allows(category)]
    assert allowed == ["analytics"]
    html = page_of(Notice(policy), consent=consent)
    assert f"(implied consent): {', '.join(allowed)}." in html
    assert ticked(html) == []
    assert not Tags(html).of("form", action="/consent/withdraw")
    said = plain_text(Notice(policy).banner("en", base="", back=""))
    assert "Some (analytics) count as allowed until you refuse them. Others (marketing) are only used if" in said
    assert "Counts as allowed" in Notice(policy).shown("page", "en").text
    assert "(implied consent): analytics" in Notice(policy).policy_page("en", base="")


GATES = ["observe", "declared", "enforce"]
HELD_BACK = {  # what only a gate that removes everything else may promise
    "en": [
        "only necessary",
        "only sets",
        "are removed",
        "only used if",
        "Everything else is up to you",
        "Switched off",
    ],
    "ru": ["только необходимые файлы", "удалены", "используются, только", "Остальное решаете", "Отключено"],
    "kk": ["тек қажетті ", "жойылды", "тек сіз рұқсат", "Қалғанын өзіңіз", "өшірулі"],
}
LISTED = {"en": "listed", "ru": "названны", "kk": "көрсет"}


def said_under(gate, language, mode="opt_in"):
    """All that is said of what the gate does: by page, banner and policy."""
    notice = notice_of(f'{POLICY}[consent]\ngate = "{gate}"\nmode = "{mode}"')
    nothing = notice_of(f'[purposes]\nsecurity = "x"\n[consent]\ngate = "{gate}"')
    pages = [page_of(notice, language, status=status) for status in ("withdrawn", "no_secret")]
    pages += [page_of(notice, language, signal=True), page_of(nothing, language)]
    pages += [notice.banner(language, base="", back=""), notice.policy_page(language, base="")]
    return [plain_text(page) for page in pages]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("mode", ["opt_in", "implied"])
def test_nothing_is_promised_that_the_gate_does_not_do(language, mode):
    observed, declared, enforced = ("\n".join(said_under(gate, language, mode)) for gate in GATES)
    assert [promise for promise in HELD_BACK[language] if promise in observed] == []
    promised = [promise for promise in HELD_BACK[language] if promise in enforced]
    assert len(promised) >= len(HELD_BACK[language]) - 1  # a signal isn't the gate's
    for line in declared.split("\n"):
        if any(promise in line for promise in HELD_BACK[language]):
            assert LISTED[language] in line.lower()


@pytest.mark.parametrize("language", LANGUAGES)
def test_recipients_are_named_for_visitors(language):
    sinks = '[[sinks]]\nname = "jsonl:./events.jsonl"'
    html = notice_of(POLICY + sinks).policy_page(language, base="/consent")
    assert "jsonl" not in html
    assert texts_in(language)["own_records"] in plain_text(html).replace("&#39;", "'")
    assert "adnet" in html
    assert "IE" in html


RECEIVED = [
    ("", {"page", "geo", "browser", "received_request", "received_events"}),
    ('fields = ["route", "device_class"]', {"page", "browser"}),
    ('fields = ["path"]', set()),  # which the limits never fill
    ('fields = ["status"]', {"received_request"}),
    ('fields = ["props"]', {"received_events"}),
    ('fields = []', set()),
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("fields", "expected"), RECEIVED)
def test_visitors_read_what_a_recipient_gets(fields, expected, language):
    """Of the site's own sinks as of a third party's: in words, not in names of columns."""
    limits = '[limits.default]\ntime = "hour"\n[limits.consented]\ntime = "hour"\npage = "route"\ngeo = "city"\n'
    limits += 'browser = "family"\n[[events]]\nname = "order"\n[[sinks]]\nname = "s"\nparty = "third"\n'
    html = notice_of(limits + fields).policy_page(language, base="/consent")
    texts = texts_in(language)
    [said] = re.findall(f'data-label="{texts["received"]}">([^<]*)<', html)
    words = {**texts["limit"], **{key: texts[key] for key in texts if key.startswith("received_")}}
    assert {*said.split("; ")} == {words[name] for name in expected | {"time", "received_choice"}}


def test_the_receipt_is_offered_before_withdrawing():
    for consent, offered in ((ALLOWED, True), (Consent({"analytics": State.GIVEN}, "banner"), False)):
        html = page_of(notice_of(), "en", consent=consent)
        assert Tags(html).of("form", action="/consent/withdraw")
        assert ("save its receipt before you withdraw" in html) is offered
        assert bool(Tags(html).of("a", href="/consent/receipt")) is offered


def test_what_was_shown_depends_on_the_visitor():
    notice = notice_of()
    withdrawn = Consent({"analytics": State.WITHDRAWN}, "cookie")
    seen = [
        notice.shown("page", "en", consent=consent, signal=signal, back=back)
        for consent in (NO_CHOICE, ALLOWED, withdrawn)
        for signal in (False, True)
        for back in ("", "/shop")
    ]
    assert len({text.hash for text in seen}) == 12
    assert notice.shown("page", "en", consent=ALLOWED) is notice.shown("page", "en", consent=ALLOWED, back="//evil")
    assert "Refused because of your browser's signal" in seen[2].text
    assert "[x] Analytics" in seen[4].text
    assert notice.shown("banner", "en", consent=ALLOWED) is notice.shown("banner", "en", signal=True)


def test_text_in_another_language_says_so():
    html = page_of(notice_of(), "kk")
    assert '<span lang="ru">Улучшение сервиса</span>' in html
    assert "<span>Кірулерді санайды</span>" in html
    assert '<span lang="en">Counts visits</span>' in page_of(notice_of(), "ru")


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "javascript:alert(1)", "/\\evil.example"])
def test_there_is_no_way_to_another_site(back):
    html = page_of(notice_of(), back=back) + notice_of().banner("en", base="/consent", back=back)
    assert "evil" not in html
    assert "alert" not in html


@pytest.mark.parametrize(
    ("contact", "links"),
    [
        ("https://qazyna.example/privacy", ["https://qazyna.example/privacy"]),
        ("http://qazyna.example", ["http://qazyna.example"]),
        ("javascript:alert(1)", []),
        ("data:text/html,x", []),
        ("https://", []),
        ("http://[", []),
        ("privacy@qazyna.example", []),
    ],
)
def test_only_web_addresses_become_links(contact, links):
    html = notice_of(f'[controller]\ncontact = "{contact}"').policy_page("en", base="/consent")
    assert [link["href"] for link in Tags(html).of("a") if not link["href"].startswith("/consent")] == links
    assert contact in html


HOSTILE = '</td></details><script>hacked=1</script><img src=x onerror=hacked=1>" onfocus="hacked=1" x=\'{{7*7}}{0}'


def test_texts_of_the_policy_are_inert():
    policy = PrivacyPolicy.parse("").changed(
        version=HOSTILE,
        effective=dt.date(2026, 1, 1),
        controller={"name": HOSTILE, "contact": HOSTILE, "affiliates": [HOSTILE], "site": [HOSTILE]},
        purposes={"analytics": HOSTILE, "security": {"ru": HOSTILE}},
        cookies=[{"name": "'><script>hacked</script>", "category": "analytics", "domain": HOSTILE, "purpose": HOSTILE}],
        sinks=[{"name": HOSTILE, "purposes": ["analytics"]}],
        changes=[{"version": HOSTILE, "effective": dt.date(2026, 1, 1), "summary": {"kk": HOSTILE}}],
    )
    notice = Notice(policy)
    for html in (page_of(notice), notice.policy_page("en", base="/consent"), notice.banner("en", base="/c", back="/")):
        tags = Tags(html)
        assert not tags.of("script")
        assert not tags.of("img")
        assert not [attrs for _, attrs in tags.found if "onfocus" in attrs or "x" in attrs]
        assert "{{7*7}}{0}" in html or "centtrack-banner" in html


def test_policy_page_and_data_say_the_same():
    notice = notice_of()
    data = notice.policy_data()
    assert data["limits"]["consented"]["visitor"] == "cookie"
    assert [cookie["name"] for cookie in data["cookies"]] == [
        "__Host-centtrack",
        "__Host-centtrack-visitor",
        "session",
        "_ga*",
    ]
    assert (data["version"], data["effective"], data["changes"][0]["effective"]) == ("3", "2026-11-22", "2026-03-01")
    html = notice.policy_page("en", base="/consent")
    for said in (
        data["hash"],
        "adnet",
        "30 days",
        "Advertising added",
        "1 March 2026",
        *(c["name"] for c in data["cookies"]),
    ):
        assert said in html


def test_machines_read_who_gets_what_but_not_where_the_sites_own_databases_are():
    own = '[[sinks]]\nname = "postgresql://db.internal:5432/site"\ncountry = "KZ"\nfields = ["route"]\n'
    third, first = notice_of(POLICY + own).policy_data()["recipients"]
    assert (third["name"], third["party"], third["country"], third["fields"]) == ("adnet", "third", "IE", None)
    assert (first["name"], first["party"], first["country"], first["fields"]) == (None, "first", "KZ", ["route"])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["", POLICY], ids=["least", "much"])
def test_policy_page_in_each_language(language, text):
    html = notice_of(text).policy_page(language, base="/consent")
    assert [len(Tags(html).of(f"h{level}")) > 0 for level in (1, 2, 3)] == [True, True, True]


def test_what_was_shown_is_kept_in_words():
    notice = notice_of()
    text = notice.shown("page", "en").text
    assert text.startswith("Qazyna\n")
    assert "\nAccept all\nRefuse all\n" in text
    assert "\n[ ] Analytics\n" in text
    assert "[x]" not in text
    assert "Keeps" not in text
    assert "<" not in text
    assert notice.shown("page", "en") is notice.shown("page", "en")
    assert notice.shown("page", "en").hash == notice_of().shown("page", "en").hash
    kinds = {notice.shown(kind, language).hash for kind in ("page", "banner") for language in LANGUAGES}
    assert len(kinds) == 6
    assert notice_of(POLICY.replace("Counts visits", "Counts")).shown("page", "en").hash not in kinds


@given(st.text())
def test_any_text_of_a_policy_is_shown_as_it_is(text):
    policy = PrivacyPolicy.parse("").changed(purposes={"analytics": text})
    assert " ".join(text.split()) in Notice(policy).shown("page", "ru").text


def test_without_jinja2_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"centtrack\[consent\]"):
        notice_of()


def test_words_without_markup():
    html = "<head><title>no</title></head><p>One <b>two</b>\n three</p><input type=checkbox checked> &lt;four<br>five"
    assert plain_text(html) == "One two three\n[x] <four\nfive"


def test_templates_can_be_replaced(tmp_path):
    (tmp_path / "head.html").write_text('<link rel="stylesheet" href="/brand.css">')
    (tmp_path / "banner.html").write_text("<p>{{ t.accept }}</p>")
    notice = notice_of(templates=tmp_path)
    assert '<link rel="stylesheet" href="/brand.css">' in page_of(notice)
    assert notice.banner("en", base="", back="") == "<p>Accept all</p>"
    assert notice.shown("banner", "en").text == "Accept all"


@pytest.mark.parametrize("mistake", ["{% if %}", "{{ t.no_such_text }}", '{% include "none.html" %}', "{{ base.x.y }}"])
def test_mistakes_in_templates_are_found_at_start(tmp_path, mistake):
    (tmp_path / "page.html").write_text(mistake)
    with pytest.raises(ConfigurationError, match="templates"):
        notice_of(templates=tmp_path)


def test_templates_must_be_a_folder(tmp_path):
    with pytest.raises(ConfigurationError, match="no folder"):
        notice_of(templates=tmp_path / "none")
