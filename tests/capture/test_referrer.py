import pytest

from centtrack.capture.referrer import read_source

POLICY = """
[limits.default]
page = "{page}"
referrer = "{referrer}"
[controller]
site = ["shop.example", "www.Help.example"]
"""


def referrer_of(event_of, text, *, referrer="path", page="path", host="shop.example"):
    event = event_of(
        POLICY.format(page=page, referrer=referrer),
        headers=[(b"host", host.encode()), (b"referer", text.encode("latin-1"))],
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
        "https://partner.example\\secret",
        "file:///home/secret/",
        "data:text/html,secret",
        "javascript:secret",
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
    ],
)
def test_what_is_no_host_name_is_no_domain(event_of, text):
    assert referrer_of(event_of, text, referrer="domain")[1] is None


def test_the_path_is_scrubbed(event_of):
    assert referrer_of(event_of, "https://partner.example/u/ivan%2540mail.kz/x")[2] == "/u/[email]/x"


def test_the_path_is_cut_at_2_kb(event_of):
    assert len(referrer_of(event_of, "https://partner.example/" + "\xff" * 9_000)[2]) <= 2_048


def test_a_folder_of_a_host_may_be_of_another_class():
    assert read_source("https://orange.fr/webmail/", ()).kind == "email"
    assert read_source("https://orange.fr/", ()).kind != "email"
