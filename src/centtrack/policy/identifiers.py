"""The check digit of Kazakhstan's IIN (a person) and BIN (an organisation), both of 12 digits."""

from __future__ import annotations

_WEIGHTS = tuple(range(1, 12))
_SECOND_WEIGHTS = (*range(3, 12), 1, 2)


def has_valid_check_digit(number: str) -> bool:
    """Whether the last of 12 digits is the check digit of the first eleven.

    Weights 1…11 modulo 11; if that is 10, weights 3…11,1,2; if it is 10 again the number is invalid. One random
    number in ten passes, so this alone doesn't make it an IIN.
    """
    if len(number) != 12 or not (number.isascii() and number.isdigit()):
        return False
    digits = [int(digit) for digit in number]
    for weights in (_WEIGHTS, _SECOND_WEIGHTS):
        check = sum(weight * digit for weight, digit in zip(weights, digits, strict=False)) % 11
        if check < 10:
            return bool(check == digits[11])
    return False


def is_iin(number: str) -> bool:
    """Whether 12 digits are the number of a person: a date of birth, a century and sex of 0 to 6, a check digit."""
    if not has_valid_check_digit(number):
        return False
    month, day = int(number[2:4]), int(number[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and number[6] <= "6"
