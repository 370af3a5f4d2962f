import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.policy.identifiers import has_valid_check_digit, is_iin

ELEVEN = st.text("0123456789", min_size=11, max_size=11)


@pytest.mark.parametrize(
    ("number", "checks", "person"),
    [
        ("050240010875", True, False),  # the seed's BIN (clause 4.7)
        ("050240010876", False, False),
        ("900101300017", True, True),
        ("900101300018", False, False),
        ("901301300015", None, False),  # month 13
        ("900132300010", None, False),  # day 32
        ("900101700010", None, False),  # seventh digit over 6
        ("90010130001", False, False),  # 11 digits
        ("9001013000170", False, False),
        ("90010130001a", False, False),
        ("\u0669\u0660\u0660\u0661\u0660\u0661\u0663\u0660\u0660\u0660\u0661\u0667", False, False),  # not ASCII
        ("", False, False),
    ],
)
def test_numbers(number, checks, person):
    if checks is not None:
        assert has_valid_check_digit(number) is checks
    assert is_iin(number) is person


@given(ELEVEN)
def test_at_most_one_check_digit_is_right(eleven):
    assert sum(has_valid_check_digit(f"{eleven}{digit}") for digit in range(10)) <= 1


@given(ELEVEN)
def test_the_check_digit_is_that_of_the_rule(eleven):
    digits = [int(digit) for digit in eleven]
    check = sum(weight * digit for weight, digit in zip(range(1, 12), digits, strict=True)) % 11
    if check == 10:
        check = sum(weight * digit for weight, digit in zip([*range(3, 12), 1, 2], digits, strict=True)) % 11
    right = [digit for digit in range(10) if has_valid_check_digit(f"{eleven}{digit}")]
    assert right == ([check] if check < 10 else [])
