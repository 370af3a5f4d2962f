import pytest

from centtrack.capture.custom import check_custom, scrub_props
from centtrack.policy import PrivacyPolicy

DECLARED = PrivacyPolicy.parse("""
[[events]]
name = "quote"
[events.properties]
product = ["casco", "home"]
price = "number"
months = "integer"
renewal = "boolean"
""").document.events


@pytest.mark.parametrize(
    "props",
    [
        {},
        {"product": "casco", "price": 9.5, "months": 12, "renewal": True},
        {"price": 9},
    ],
)
def test_what_is_declared_is_right(props):
    assert check_custom(DECLARED, "quote", props) is None


@pytest.mark.parametrize(
    ("name", "props"),
    [
        pytest.param("buy", {}, id="not declared"),
        pytest.param("Quote", {}, id="names are exact"),
        pytest.param("quote", {"email": "x"}, id="property not declared"),
        pytest.param("quote", {"product": "life"}, id="word not listed"),
        pytest.param("quote", {"product": ["casco"]}, id="a list"),
        pytest.param("quote", {"price": "9.5"}, id="text for a number"),
        pytest.param("quote", {"months": 12.0}, id="number for an integer"),
        pytest.param("quote", {"months": True}, id="boolean for an integer"),
        pytest.param("quote", {"price": True}, id="boolean for a number"),
        pytest.param("quote", {"renewal": 1}, id="integer for a boolean"),
        pytest.param("quote", {"price": None}, id="nothing for a number"),
        pytest.param("quote", {"price": float("nan")}, id="not a number"),
        pytest.param("quote", {"months": 10**40}, id="more than 64 bits: no column holds it"),
    ],
)
def test_what_is_not_declared_is_refused(name, props):
    assert check_custom(DECLARED, name, props)


def test_the_message_names_the_nearest_spelling_and_no_value():
    assert 'Did you mean "quote"?' in check_custom(DECLARED, "qoute", {})
    assert 'Did you mean "months"?' in check_custom(DECLARED, "quote", {"month": 1})
    assert "secret" not in check_custom(DECLARED, "quote", {"product": "secret"})


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (77011234567, "phone"),
        (87011234567, "phone"),
        (-77011234567, "phone"),
        (77011234567.0, "phone"),  # a whole number, whatever its type
        (900101300017, "iin"),
        (10101500013, "iin"),  # 010101500013: born in 2001, and a number has no leading zeros
        (4111111111111111, "card"),
        (4222222222222, "card"),  # 13 digits, as old ones have
        (12345678901234, "number"),
        (1_700_000_000_000_000_000, "number"),
    ],
)
def test_a_number_that_is_a_persons_is_left_out(value, kind):
    assert scrub_props({"months": value, "product": "casco"}) == ({"product": "casco"}, (kind,))


@pytest.mark.parametrize(
    "value",
    [
        0,
        12,
        -3,
        9.99,
        43.238949,  # unless the property's name says what it is
        1e9,
        7011234567,  # ten digits: a sum, an id, a time in seconds
        1_700_000_000,
        1_700_000_000_000,  # milliseconds
        12025550123,  # eleven digits that no phone of ours begins with
        50240010875,  # 050240010875, a BIN
        9783161484100,  # an ISBN
        20260228153000,
        True,
        "4111111111111111",  # a word that the policy lists
    ],
)
def test_a_number_that_is_nobodys_stays(value):
    assert scrub_props({"months": value}) == ({"months": value}, ())


@pytest.mark.parametrize("name", ["lat", "longitude", "home_lng"])
def test_a_fraction_that_is_called_a_coordinate_is_left_out(name):
    assert scrub_props({name: 43.238949}) == ({}, ("coordinates",))
    assert scrub_props({name: 43}) == ({name: 43}, ())
