import gzip
import json
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.referrer import normal_host, read_source, reduce_referrer
from centtrack.policy.levels import Page, Referrer

POLICY = """
[limits.default]
page = "{page}"
referrer = "{referrer}"
[controller]
site = ["shop.example", "www.Help.example", "Қазақ.example"]
"""


def referrer_of(event_of, text, *, referrer="path", page="path", host="shop.example"):
    event = event_of(
        POLICY.format(page=page, referrer=referrer),
        headers=[(b"host", host.encode()), (b"referer", text.encode())],
    )
    return event.referrer_class, event.referrer_domain, event.referrer_path


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("none", (None, None, None)),
        ("class", ("external", None, None)),
        ("domain", ("external", "partner.example", None)),
        ("path", ("external", "partner.example", "/a/b")),
    ],
)
def test_class_domain_and_path_follow_the_level(event_of, level, expected):
    assert referrer_of(event_of, "https://www.partner.example/a/b?q=1#f", referrer=level) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "none"),
        ("https://www.google.kz/search?q=x", "search"),
        ("https://yandex.kz/search/?text=x", "search"),
        ("https://www.facebook.com/", "social"),
        ("https://t.co/abc", "social"),
        ("https://mail.google.com/", "external"),  # there is no class for e-mail
        ("https://partner.example/", "external"),
        ("https://notgoogle.com.evil.example/", "external"),
        ("https://evilfacebook.com/", "external"),
        ("https://shop.example/a", "internal"),
        ("https://www.shop.example:8443/a", "internal"),
        ("https://SHOP.example./a", "internal"),
        ("https://help.example/", "internal"),
        ("about:blank", "external"),
        ("http://[broken/", "external"),
        ("file:///home/ivan/notes.html", "external"),
        ("  ", "none"),
        # AI assistants have a channel, and no class of their own
        ("https://chatgpt.com/", "external"),
        # names of other scripts: as written, and as browsers send them
        ("https://Қазақ.example/a", "internal"),
        ("https://xn--80aau21bd.example/a", "internal"),
        ("https://xn--80aau21bd.example:8443./a", "external"),  # no URL: a port ends in digits
        ("https://%D2%9A%D0%B0%D0%B7%D0%B0%D2%9B.example/", "internal"),
        # what browsers forgive
        ("https:\\\\shop.example\\a", "internal"),
        ("https:/shop.example/a", "internal"),
        (" https://shop.example/a ", "internal"),
        ("https://sh\top.example/a", "internal"),
        ("HTTPS://SHOP.EXAMPLE/a", "internal"),
        ("https://%73hop.example/a", "internal"),
        ("https://ivan:secret@shop.example/a", "internal"),
        ("https://shop.example@evil.example/", "external"),
        # apps that are listed, by their package
        ("android-app://com.google.android.gm/", "external"),  # e-mail
        ("android-app://org.telegram.messenger/", "social"),
        ("android-app://com.slack/", "social"),
        ("android-app://com.linkedin.android/", "social"),
        ("android-app://com.google.android.googlequicksearchbox/", "search"),
        ("android-app://com.google.android.googlequicksearchbox/https/www.google.com", "search"),
        ("android-app://example.unknown/", "external"),
        # no http or https, so no domain is believed
        ("blob:https://shop.example/1", "external"),
        ("data:text/html,shop.example", "external"),
        ("ftp://shop.example/", "external"),
        ("shop.example/a", "external"),
        ("//shop.example/a", "external"),
        # spam: the domain, and what is below it
        ("https://0n-line.tv/", "spam"),
        ("http://www.0n-line.tv/seo?x", "spam"),
        ("https://free.0n-line.tv/", "spam"),
        ("https://not-0n-line.tv/", "external"),
        # services of a search engine's owner that are no search
        ("https://docs.google.com/document/d/x", "external"),
        ("https://cloud.mail.ru/", "external"),
        # the region's
        ("https://ya.ru/search?text=x", "search"),
        ("https://go.mail.ru/search", "search"),
        ("https://e.mail.ru/inbox", "external"),
        ("https://mail.yandex.kz/", "external"),
        ("https://ok.ru/", "social"),
        ("https://m.vk.com/", "social"),
        ("https://t.me/x", "social"),
    ],
)
def test_class(event_of, text, expected):
    assert referrer_of(event_of, text)[0] == expected


@pytest.mark.parametrize(
    "host", ["shop.example", "www.shop.example", "SHOP.example:8000", "shop.example.", "other.example"]
)
def test_another_name_of_the_site_is_internal_whatever_the_host_header(event_of, host):
    assert referrer_of(event_of, "https://shop.example/a", host=host)[0] == "internal"


@pytest.mark.parametrize(
    ("host", "referrer"),
    [
        ("new.example", "https://new.example/account/7"),
        ("new.example:8000", "http://new.example:8000/account/7"),
        ("New.Example", "https://new.example/account/7"),
        ("new.example.", "https://new.example./account/7"),
        ("[::1]:8000", "http://[::1]:8000/account/7"),
        ("[2001:db8::1]", "http://[2001:db8::1]/account/7"),
        ("[2001:db8:0::1]", "http://[2001:0DB8::1]/account/7"),
        ("127.0.0.1:8000", "http://0x7f.1:8000/account/7"),
        ("xn--80aau21bd.example", "https://қазақ.example/account/7"),
        ("қазақ.example", "https://xn--80aau21bd.example/account/7"),
        ("new.example", "https://ivan@NEW.example:1/account/7"),
    ],
)
def test_an_internal_referrer_is_never_finer_than_the_page(event_of, host, referrer):
    kind, _, path = referrer_of(event_of, referrer, page="route", host=host)
    assert (kind, path) == ("internal", None)


@pytest.mark.parametrize(
    "text",
    [
        "https://ivan:secret@partner.example/",
        "https://partner.example:8443/?secret=1",
        "https://partner.example/#secret",
        "file:///home/secret/",
        "data:text/html,secret",
        "javascript:secret",
        "blob:https://secret.example/1",
        "android-app://com.secret/secret",
        "https:secret@partner.example/",
        "https://partner.example:secret/",
    ],
)
def test_user_information_query_and_fragment_are_never_kept(event_of, text):
    assert "secret" not in str(referrer_of(event_of, text))


@pytest.mark.parametrize(
    "text",
    [
        "https://ivan.petrov%40mail.example/",  # an encoded @ is no separator to a URL parser
        "https://Ivan Petrov 900101300017/",
        "https://900101300017/",
        "https://+77011234567/",
        "http://203.0.113.77/",  # an address is finer than any network of `ip`
        "http://[2001:db8::77]/",
        "https://a\x00b.example/",
        "https://" + "a" * 300 + ".example/",
        "http://0x7f.1/",  # addresses as only URL parsers read them
        "http://3405803853/",
        "http://0313.0.0161.0115/",
        "http://localhost/",  # no public name
        "http://intranet/",
        "https://87011234567.example/",
        "https://d41d8cd98f00b204e9800998ecf8427e.example/",
        "https://٨٧٠١١٢٣٤٥٦٧.example/",
    ],
)
def test_what_is_no_host_name_is_no_domain(event_of, text):
    assert referrer_of(event_of, text, referrer="domain")[1] is None


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("https://Почта.рф/", "xn--80a1acny.xn--p1ai"),
        ("https://xn--80a1acny.xn--p1ai/", "xn--80a1acny.xn--p1ai"),
        ("https://PARTNER.Example./", "partner.example"),
        ("https://www.partner.example:8443/", "partner.example"),
        ("https://faß.example/", "xn--fa-hia.example"),  # not `fass`: UTS 46, non-transitional
        ("https://partner。example/", "partner.example"),  # the full stop of ideographs
        ("https://ｐａｒｔｎｅｒ.example/", "partner.example"),  # noqa: RUF001
        ("https://a_b.partner.example/", "a_b.partner.example"),
        ("https://xn--b1aedfedwqbdfbnzkf0oe.xn--p1ai/", "xn--b1aedfedwqbdfbnzkf0oe.xn--p1ai"),
    ],
)
def test_domains_are_written_as_browsers_write_them(event_of, text, domain):
    assert referrer_of(event_of, text, referrer="domain")[1] == domain


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/u/ivan%2540mail.kz/x", "/u/[email]/x"),
        ("", "/"),
        ("/a/../b/./c", "/b/c"),
        ("/a/%2e%2E/b", "/b"),
        ("\\a\\b", "/a/b"),
        ("/полис", "/полис"),
        ("/%D0%BF%D0%BE%D0%BB%D0%B8%D1%81", "/полис"),
        ("/a%2Fb", "/a/b"),
        ("/%ff%C0%AF", "/\ufffd\ufffd\ufffd"),
        ("/a b", "/a b"),
        ("/a;jsessionid=1A53", "/a;jsessionid=[session]"),
        ("/a%00b", "/a\ufffdb"),
    ],
)
def test_the_path_is_decoded_and_scrubbed(event_of, text, path):
    assert referrer_of(event_of, f"https://partner.example{text}")[2] == path


def test_kinds_of_what_was_scrubbed_go_along(capture_of, observation):
    def kinds(referrer, level):
        seen = observation(headers=[(b"host", b"shop.example"), (b"referer", referrer)])
        return capture_of(POLICY.format(page="path", referrer=level)).make(seen).scrubbed

    assert kinds(b"https://87011234567.example/u/ivan@mail.example", "path") == ("phone", "email")
    assert kinds(b"https://87011234567.example/u/ivan@mail.example", "domain") == ("phone",)
    assert kinds(b"https://87011234567.example/u/ivan@mail.example", "class") == ()


def test_half_an_e_mail_is_not_left_where_a_long_referrer_is_cut(event_of):
    start = "https://partner.example/" + "A1b" * 1_300 + "/"
    start += "x" * (4_096 - len(start) - 9) + "/"
    assert "ivan" not in referrer_of(event_of, start + "ivan.petrov@mail.example")[2]


def test_the_path_is_cut_at_2_kb(event_of):
    path = referrer_of(event_of, "https://partner.example/" + "я/" * 1_500)[2]
    assert 1_000 < len(path.encode()) <= 2_048


def test_a_folder_of_a_host_may_be_of_another_class():
    assert read_source("https://orange.fr/webmail/", ()).kind == "email"
    assert read_source("https://orange.fr/", ()).kind != "email"


@given(
    st.text(max_size=80) | st.text(alphabet="htps:/\\@.%[]?#\t example09xn-", max_size=80),
    st.sampled_from(list(Referrer)),
)
def test_a_coarser_level_says_nothing_that_a_finer_one_does_not(text, level):
    source = read_source(text, {"shop.example"})
    finest = reduce_referrer(source, Referrer.PATH, Page.PATH, scrub_uuids=True)
    found = reduce_referrer(source, level, Page.PATH, scrub_uuids=True)
    assert found.referrer_class in {None, "internal", "search", "social", "external", "none", "spam"}
    assert all(value in {None, of_finest} for value, of_finest in zip(found[:3], finest[:3], strict=True))
    assert found.referrer_domain is None or found.referrer_domain.isascii()


def test_the_lists_hold_hosts_as_they_are_compared():
    data = files("centtrack.capture").joinpath("data")
    sources = json.loads(data.joinpath("sources.json").read_text(encoding="utf-8"))
    assert set(sources["hosts"]) == {"ai", "email", "external", "search", "social"}
    listed = [entry.partition("/")[0] for known in sources["hosts"].values() for entry in known if "//" not in entry]
    spam = gzip.decompress(data.joinpath("spam.txt.gz").read_bytes()).decode().splitlines()
    assert "CC0" in spam[0]
    assert "MIT" in sources["source"]
    assert [host for host in [*listed, *spam[1:]] if normal_host(host) != host] == []
    assert len(spam) > 2_000
