from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.capture.scrub import scrub

SECRETS = {
    "e-mail": ("ivan.petrov+news@mail.example.kz", "[email]"),
    "e-mail, cyrillic": ("иван@почта.рф", "[email]"),
    "phone, E.164": ("+77011234567", "[phone]"),
    "phone, as written": ("+7 (701) 123-45-67", "[phone]"),
    "phone, as dialled": ("87011234567", "[phone]"),
    "phone, dots": ("8.701.123.45.67", "[phone]"),
    "phone, abroad": ("+44 20 7946 0958", "[phone]"),
    "card": ("4111111111111111", "[card]"),
    "card, spaces": ("4111 1111 1111 1111", "[card]"),
    "card, hyphens": ("5500-0000-0000-0004", "[card]"),
    "card, 19 digits": ("6304000000000000000", "[card]"),
    "IIN": ("900101300017", "[iin]"),
    "JWT": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1g", "[jwt]"),
    "hex": ("d41d8cd98f00b204e9800998ecf8427e", "[hex]"),
    "base64url": ("q83vEh9xYz0LmPq7Rt5uVw8Xy2Za4Bc6De8Fg", "[token]"),
    "UUID": ("123e4567-e89b-42d3-a456-426614174000", "[uuid]"),
}
FOUND = [pytest.param(*pair, id=name) for name, pair in SECRETS.items()]


@pytest.mark.parametrize(("secret", "mark"), FOUND)
@pytest.mark.parametrize(
    "context", ["/u/{}/edit", "{}", "{}.html", "/a;x={};y", "/u_{}", "/u-{}", "/u:{}", "/?q={}&a", "({})"]
)
def test_it_is_found_wherever_it_stands(secret, mark, context):
    found = scrub(context.format(secret))
    assert secret not in found
    assert mark in found or context in {"{}.html", "/u_{}", "/u-{}"}


@pytest.mark.parametrize(("secret", "mark"), FOUND)
@pytest.mark.parametrize("times", [1, 2], ids=["encoded", "encoded twice"])
def test_it_is_decoded_twice(secret, mark, times):
    text = secret
    for _ in range(times):
        text = "".join(f"%{byte:02X}" for byte in text.encode())
    assert scrub(f"/u/{text}") == f"/u/{mark}"


@pytest.mark.parametrize(
    "text",
    [
        "/iin900101300017",
        "/tel87011234567",
        "/card4111111111111111",
        "/900101300017.pdf",
    ],
)
def test_a_number_of_a_person_is_found_beside_letters(text):
    assert scrub(text) != text


@pytest.mark.parametrize(
    "text",
    [
        "q83v+Eh/9xYz0Lm+Pq7/Rt5uVw8+Xy2Za4Bc6/De8Fg=",  # base64 with all of its alphabet
        "aXZhbkBleGFtcGxlLmNvbQ==",  # base64 of an e-mail
    ],
)
def test_tokens_in_other_clothes(text):
    assert scrub(text) != text


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/products/7",
        "/blog/2026/02/28/what-a-casco-policy-covers-and-what-it-does-not",
        "/Polis-KASKO-2026",
        "/полис/каско",
        "/order/123456",
        "/company/050240010875",  # a BIN is public (clause 4.7)
        "/v1.2.3/app.9f8e7d6c.js",
        "/ORDER-2026-000123",
    ],
)
def test_what_is_nobodys_stays(text):
    assert scrub(text) == text


def test_uuids_stay_where_the_policy_says_so():
    path = "/u/123e4567-e89b-42d3-a456-426614174000"
    assert scrub(path, uuids=False) == path


@pytest.mark.parametrize("text", ["/a%00b", "/a%0Ab", "/a%250D%250Ab", "/a%25e2%2580%25a8b", "/a%1bb"])
def test_decoding_brings_no_control_characters(text):
    assert not set(scrub(text)) & set("\x00\n\r\u2028\x1b")


@given(st.text(max_size=300))
def test_any_text_is_scrubbed_and_can_be_encoded(text):
    text = text.encode("utf-8", "replace").decode()
    assert scrub(quote(text)).encode().decode() == scrub(quote(text))


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_e_mail_is_found_in_any_company(before, after):
    before, after = (part.encode("utf-8", "replace").decode() for part in (before, after))
    assert "ivan.petrov@mail.example" not in scrub(f"{before} ivan.petrov@mail.example {after}")
