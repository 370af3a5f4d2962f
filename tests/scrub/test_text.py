import tracemalloc
from collections import Counter
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.scrub.text import KINDS, cut_whole, scrub

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1g"

# What must not stay, and as what it is found.
SECRETS = {
    "e-mail": ("ivan.petrov+news@mail.example.kz", "email"),
    "e-mail, cyrillic": ("иван@почта.рф", "email"),
    "e-mail, punycode": ("ivan@xn--80a1acny.xn--p1ai", "email"),
    "e-mail, apostrophe": ("o'brien@mail.example", "email"),
    "e-mail, quoted": ('"ivan petrov"@mail.example', "email"),
    "e-mail, of this machine": ("ivan@localhost", "email"),
    "e-mail, wide @": ("ivan\uff20mail.example", "email"),
    # phones: international, as dialled, as written
    "phone, E.164": ("+77011234567", "phone"),
    "phone, spaces": ("+7 701 123 45 67", "phone"),
    "phone, as written": ("+7 (701) 123-45-67", "phone"),
    "phone, as dialled": ("87011234567", "phone"),
    "phone, dialled, written": ("8(701)123-45-67", "phone"),
    "phone, without plus": ("77011234567", "phone"),
    "phone, dots": ("8.701.123.45.67", "phone"),
    "phone, underscores": ("8_701_123_45_67", "phone"),
    "phone, dashes": ("8\u2013701\u2013123\u201345\u201367", "phone"),
    "phone, no-break spaces": ("8\u00a0701\u00a0123\u00a045\u00a067", "phone"),
    "phone, landline": ("8 (7172) 12-34-56", "phone"),
    "phone, without country": ("7011234567", "phone"),
    "phone, without country, written": ("(701) 123-45-67", "phone"),
    "phone, without country, hyphens": ("701-123-45-67", "phone"),
    "phone, abroad": ("+44 20 7946 0958", "phone"),
    "phone, America": ("+1-202-555-0123", "phone"),
    "phone, America, local": ("(202) 555-0123", "phone"),
    "phone, 00": ("00 44 20 7946 0958", "phone"),
    "phone, 00, one number": ("00442079460958", "phone"),
    "phone, trunk zero": ("020 7946 0958", "phone"),
    "phone, Arabic digits": ("٨٧٠١١٢٣٤٥٦٧", "phone"),
    # cards, IINs, accounts
    "card": ("4111111111111111", "card"),
    "card, spaces": ("4111 1111 1111 1111", "card"),
    "card, hyphens": ("5500-0000-0000-0004", "card"),
    "card, 15 digits": ("3782 822463 10005", "card"),
    "card, 19 digits": ("6304000000000000000", "card"),
    "IIN": ("900101300017", "iin"),
    "IIN, hyphen": ("900101-300017", "iin"),
    "IIN, spaces": ("900101 300 017", "iin"),
    "IBAN": ("KZ86125KZT5004100100", "iban"),
    "IBAN, spaces": ("DE89 3704 0044 0532 0130 00", "iban"),
    "long number": ("123456789012345678901", "number"),
    # tokens
    "JWT": (JWT, "jwt"),
    "JWT without signature": ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJpdmFuIn0.", "jwt"),
    "JWE": ("eyJhbGciOiJkaXIifQ..c3R1dmY.d3h5eg.YWJj", "jwt"),
    "hex": ("d41d8cd98f00b204e9800998ecf8427e", "hex"),
    "hex, upper case": ("D41D8CD98F00B204E9800998ECF8427E", "hex"),
    "base64url": ("q83vEh9xYz0LmPq7Rt5uVw8Xy2Za4Bc6De8Fg", "token"),
    "ULID": ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "token"),
    "cuid": ("cm3x9k2v10000abcd1234efgh", "token"),
    "nanoid": ("V1StGXR8_Z5jdHi6B-myT", "token"),
    "UUID": ("123e4567-e89b-42d3-a456-426614174000", "uuid"),
    "key, Stripe": ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "key"),
    "key, GitHub": ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "key"),
    "key, GitHub, fine-grained": ("github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuv", "key"),
    "key, GitLab": ("glpat-abcdefghij0123456789", "key"),
    "key, AWS": ("AKIAIOSFODNN7EXAMPLE", "key"),
    "key, Slack": ("xoxb-123456789012-abcdefghij", "key"),
    "key, Google": ("AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "key"),
    "key, Google OAuth": ("ya29.a0AfH6SMBx-abcdef", "key"),
    "key, SendGrid": ("SG.abcdefghijklmnop.qrstuvwxyzabcdef", "key"),
    # places
    "coordinates": ("43.238949,76.889709", "coordinates"),
    "coordinates, south and west": ("-33.868820,-151.209290", "coordinates"),
    "coordinates, space": ("43.238949, 76.889709", "coordinates"),
    "coordinates, semicolon": ("43.238949;76.889709", "coordinates"),
    "coordinates, folder": ("43.238949/76.889709", "coordinates"),
    "coordinates, minutes": ("43°14'20\"N 76°53'22\"E", "coordinates"),
    "IPv4": ("203.0.113.77", "ip"),
    "IPv6": ("2001:db8::77", "ip"),
    "IPv6, in full": ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "ip"),
}
FOUND = [pytest.param(*pair, id=name) for name, pair in SECRETS.items()]
CONTEXTS = [
    "/u/{}/edit",
    "{}",
    "{}.html",
    "/a;x={};y",
    "/u_{}",
    "/u-{}",
    "/u:{}",
    "/?q={}&a",
    "({})",
    "/7-{}",
    "/{}/{}",
]
# Where what stands around could be a part of it, or could have another meaning.
UNCLEAR = {"{}.html", "/u_{}", "/u-{}", "/u:{}", "/7-{}", "/{}/{}", "/?q={}&a", "({})", "/a;x={};y"}


@pytest.mark.parametrize(("secret", "kind"), FOUND)
@pytest.mark.parametrize("context", CONTEXTS)
def test_it_is_found_wherever_it_stands(secret, kind, context):
    text, kinds = scrub(context.format(secret, secret))
    assert secret not in text
    assert kinds
    assert f"[{kind}]" in text or context in UNCLEAR
    assert f"[{kind}]" == text or context != "{}"


@pytest.mark.parametrize(("secret", "kind"), FOUND)
@pytest.mark.parametrize("times", [1, 2], ids=["encoded", "encoded twice"])
def test_it_is_decoded_twice(secret, kind, times):
    text = secret
    for _ in range(times):
        text = "".join(f"%{byte:02X}" for byte in text.encode())
    assert scrub(f"/u/{text}") == (f"/u/[{kind}]", (kind,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # keyed: what the key says, whatever form the value has
        ("/a;jsessionid=1A530637289A03B0/b", "/a;jsessionid=[session]/b"),
        ("/a;JSESSIONID=abc", "/a;JSESSIONID=[session]"),
        ("/x?PHPSESSID=abc&a=b", "/x?PHPSESSID=[session]&a=b"),
        ("/x;ASPSESSIONIDQQRR=abc", "/x;ASPSESSIONIDQQRR=[session]"),
        ("/(S(lit3py55t21z5v55vlm25s55))/x", "/(S([session]))/x"),
        ("/reset;token=abc", "/reset;token=[secret]"),
        ("/a;reset_token=abc", "/a;reset_token=[secret]"),
        ("/a;Api-Key=abc", "/a;Api-Key=[secret]"),
        ("/a;password=hunter2", "/a;password=[secret]"),
        ("Bearer abcdef123", "Bearer [secret]"),
        ('{"phone":"12-34"}', '{"phone":"[phone]"}'),
        ("/a;customer.phone=12-34", "/a;customer.phone=[phone]"),
        ("/a;first_name=Ivan;x=1", "/a;first_name=[name];x=1"),
        ("/a;фамилия=Иванов", "/a;фамилия=[name]"),
        ("/a;postal_code=050000", "/a;postal_code=[postcode]"),
        ("/a;zip=SW1A1AA", "/a;zip=[postcode]"),
        ("/zip/050000/x", "/zip/[postcode]/x"),
        ("/postcode/12345-6789", "/postcode/[postcode]"),
        ("/a;lat=43.2;lon=76.8", "/a;lat=[coordinates];lon=[coordinates]"),
        ("/lat/43.2389/lon/76.8897", "/lat/[coordinates]/lon/[coordinates]"),
        ("/maps/@43.23,76.88,15z", "/maps/@[coordinates]"),
        ("geo:43.2,76.8", "geo:[coordinates]"),
        # user information is a name, or a password
        ("https://ivan:secret@partner.example/x", "https://[userinfo]@partner.example/x"),
        ("/go?to=https%3A%2F%2Fivan%3Asecret%40partner.example%2F", "/go?to=https://[userinfo]@partner.example/"),
        # what a third encoding leaves
        ("/u/ivan%252540mail.example", "/u/[email]"),
        ("/u/%25252B77011234567", "/u/[phone]"),
        # beside something else
        ("/iin900101300017", "/iin[iin]"),
        ("/tel87011234567", "/tel[phone]"),
        ("/card4111111111111111", "/card[card]"),
        ("/900101300017.pdf", "/[iin].pdf"),
        ("/2026-77011234567", "/2026-[phone]"),
        ("/ip/[2001:db8::77]:443", "/ip/[[ip]]:443"),
        ("/::ffff:203.0.113.77", "/::ffff:[ip]"),
        ("/u/123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1", "/u/[key]"),
        (f"/u_{JWT}/x", "/u_[jwt]/x"),
        # base64: with all of its alphabet, and of an e-mail
        ("q83v+Eh/9xYz0Lm+Pq7/Rt5uVw8+Xy2Za4Bc6/De8Fg=", "[token]"),
        ("aXZhbkBleGFtcGxlLmNvbQ==", "[token]"),
    ],
)
def test_company(text, expected):
    assert scrub(text).text == expected


STAYS = [
    "/",
    "",
    "/products/7",
    # titles
    "/blog/2026/02/28/what-a-casco-policy-covers-and-what-it-does-not",
    "/Polis-KASKO-2026",
    "/Polis_OGPO_VTS_2026_RU_v3_FINAL",
    "/полис/каско",
    "/KaskoPolis2026DlyaAvto",
    "/kino/1917-2019-1080p",
    # products
    "/iPhone-15-Pro-Max-256GB-Natural-Titanium",
    "/Samsung-Galaxy-S24-SM-S928B-DS-512GB",
    "/S24-Ultra-5G-12GB-256GB-X1",
    "/HP-LaserJet-Pro-MFP-M428fdw-W1A30A",
    "/bmw-x5-xdrive30d-m-sport-2024",
    "/TextIndexNG3-core-implementation",
    "/Embeddable-SurveyJS-form-builder-for-JSON-based-forms",
    "/video-plugin-webkitSupportsPresentationMode-2",
    "/stratifiedgroupkfoldrequiresgroups",
    "/xapp-core-packages",
    # numbers of things
    "/order/123456",
    "/ORDER-2026-000123",
    "/order20260228batch17line3",
    "/id/1234567890",
    "/id/0012345678",
    "/company/050240010875",  # a BIN is public (clause 4.7)
    "/isbn/9783161484100",
    "/isbn/978-3-16-148410-0",
    "/ean/4006381333931",
    "/price/10000-20000",
    "/?price=19.99,29.99",
    # dates and times
    "/report/2026-01-01-2026-01-31",
    "/report/20260228153000",
    "/2026-02-28-15-30-00",
    "/7-30-2026-12-30",
    "/12:30:45",
    # versions and files
    "/v1.2.3/app.9f8e7d6c.js",
    "/download/v1.2.30.4/",
    "/tinymodel/0.1.2.2",
    "/dns/8.8.8.8",  # four numbers of one digit are a version, or a server that everyone knows
    "/longitude/0.10.0",
    "/react/18.2.0/umd/react.production.min.js",
    "/@types/node@20.11.0",
    "/assets/vendor-charts-DkJ3hs9A.css",
    "/img/logo@2x.png",
    "/@localhost/x",
    "/a@localhost-tools",
    "/win32-x64-10.0.22631",
    # what looks like a key, or like syntax
    "/zip/archive",
    "/session/12",
    "/?mobile=true",
    "/?product_name=casco",
    "/a=b;c=d",
    "/c++/std::vector",
    "/search/casco+2026+almaty",
]


@pytest.mark.parametrize("text", STAYS)
def test_what_is_nobodys_stays(text):
    assert scrub(text) == (text, ())


@given(st.from_regex(r"(/[^\W\d_]{0,20}(-\w{1,6}){0,4}){1,5}/?(\.\w+)?", fullmatch=True, alphabet="abcezABжЁ012789-/."))
def test_plain_paths_are_looked_at_like_any(path):
    """A path of words is told at first sight; with a `~` behind, which no plain path has, it is looked at in full."""
    assert scrub(path).text + "~" == scrub(path + "~").text


def test_uuids_stay_where_the_policy_says_so():
    path = "/u/123e4567-e89b-42d3-a456-426614174000"
    assert scrub(path, uuids=False) == (path, ())
    assert scrub(f"{path}/ivan@mail.example", uuids=False) == (f"{path}/[email]", ("email",))


def test_kinds_are_counted_once_a_replacement_and_hold_no_value():
    found = scrub("/a@b.example/c@d.example/+77011234567;sid=1/900101300017")
    assert Counter(found.kinds) == {"email": 2, "phone": 1, "session": 1, "iin": 1}


@given(st.text(max_size=60))
def test_kinds_are_of_a_closed_set(text):
    assert set(scrub(text).kinds) <= set(KINDS)


@pytest.mark.parametrize("text", ["/a%00b", "/a%0Ab", "/a%250D%250Ab", "/a%25e2%2580%25a8b", "/a%1bb"])
def test_decoding_brings_no_control_characters(text):
    assert not set(scrub(text).text) & set("\x00\n\r\u2028\x1b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/%D0%BF%D0%BE%D0%BB%D0%B8%D1%81", "/полис"),
        ("/%ff%fe", "/\ufffd\ufffd"),  # not UTF-8
        ("/%C0%AF", "/\ufffd\ufffd"),  # an overlong slash is none
        ("/a%2Fb", "/a/b"),
        ("/a%252Fb", "/a/b"),
        ("/100%", "/100%"),
        ("/%zz", "/%zz"),
    ],
)
def test_percent_decoding(text, expected):
    assert scrub(text).text == expected


@given(st.text(max_size=300))
def test_any_text_is_scrubbed_and_can_be_encoded(text):
    text = text.encode("utf-8", "replace").decode()
    assert scrub(quote(text)).text.encode().decode() == scrub(quote(text)).text


COMPANY = st.text(max_size=40) | st.text(alphabet="0123456789+-. ()_:;=@,eyJAaS%/", max_size=40)


@given(COMPANY, COMPANY, st.sampled_from([secret for secret, _ in SECRETS.values()]))
def test_it_is_found_in_any_company(before, after, secret):
    before, after = (part.encode("utf-8", "replace").decode() for part in (before, after))
    assert secret not in scrub(f"{before}/{secret}/{after}").text


@pytest.mark.parametrize("secret", ["ivan.petrov@mail.example", "4111111111111111", "+77011234567"])
@pytest.mark.parametrize("visible", [8, 11, 13])
def test_half_of_it_is_not_left_where_a_long_text_is_cut(secret, visible):
    filled = "/" + "A1b" * 1_000 + "/"  # a token, which takes little room when it is replaced
    filled += "x" * (4_096 - len(filled) - visible - 1) + "/"
    assert secret[:7] not in scrub(filled + secret).text


def test_a_text_is_cut_at_a_separator():
    assert cut_whole("/a/b", 4) == "/a/b"
    assert cut_whole("/a/bcd", 4) == "/a/"
    assert cut_whole("abcdef", 4) == ""


INVISIBLE = [
    "\u200b",
    "\u200d",
    "\u200f",
    "\u202e",
    "\u2060",
    "\u2066",
    "\ufeff",
    "\u00ad",
    "%E2%80%8B",
    "\u200b\u200c",
]


@pytest.mark.parametrize("mark", INVISIBLE, ids=ascii)
@pytest.mark.parametrize(
    ("parts", "kind"),
    [(("+7", "7011234567"), "phone"), (("41111111", "11111111"), "card"), (("ivan@ma", "il.example"), "email")],
)
def test_what_cannot_be_seen_hides_nothing(mark, parts, kind):
    assert scrub("/u/" + mark.join(parts)) == (f"/u/[{kind}]", (kind,))


def test_texts_of_any_length_take_little_memory():
    tracemalloc.start()
    try:
        for number in range(2_100):
            scrub(f"/{number}/" + "\U0001f600/" * 120)
            scrub(f"/{number}/" + "a" * 60_000)
        assert tracemalloc.get_traced_memory()[0] < 8_000_000
    finally:
        tracemalloc.stop()
