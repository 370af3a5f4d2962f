import pytest

from centtrack.capture.language import reduce_language
from centtrack.policy.levels import Language


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("ru-KZ", "ru"),
        ("ru-KZ,kk;q=0.8,en;q=0.5", "ru"),
        ("en;q=0.5, KK-kz;q=0.9", "kk"),
        ("zh-Hant-TW", "zh"),
        ("en, ru", "en"),  # the first of equals
        ("en;q=0, ru;q=0.1", "ru"),  # 0 is "not this one"
        ("en;q=0", None),
        ("*", None),
        ("", None),
        ("english", None),
        ("a secret text", None),
        ("secret@example.com, de", "de"),
        ("en;q=high, de;q=0.1", "de"),
        (None, None),
    ],
)
def test_the_primary_language_that_is_wanted_most(header, expected):
    assert reduce_language(header, Language.PRIMARY) == expected
    assert reduce_language(header, Language.NONE) is None


def test_it_reaches_the_event(event_of):
    policy = '[limits.default]\nlanguage = "primary"\n'
    assert event_of(policy, headers=[(b"accept-language", b"kk-KZ")]).language == "kk"
    assert event_of(policy, headers=[]).language is None
