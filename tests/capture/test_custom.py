import pytest

from centtrack.capture.custom import check_custom
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
