"""The list of well-known cookies."""

from __future__ import annotations

import pytest

from centtrack.policy.known_cookies import find_known, known_cookies
from centtrack.policy.model import Cookie


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("sessionid", "necessary"),
        ("_myapp_session", "necessary"),
        ("csrftoken", "necessary"),
        ("__cf_bm", "necessary"),
        ("BIGipServerpool", "necessary"),
        ("_ga", "analytics"),
        ("_ga_ABC123", "analytics"),
        ("__utmz", "analytics"),
        ("_ym_uid", "analytics"),
        ("_hjSessionUser_1", "analytics"),
        ("_fbp", "marketing"),
        ("_gcl_au", "marketing"),
        ("yandexuid", "marketing"),
        ("django_language", "preferences"),
        ("theme", "preferences"),
    ],
)
def test_what_a_name_tells(name, category):
    assert find_known(name).category == category


@pytest.mark.parametrize("name", ["", "sid", "Sessionid", "my_ga", "sessionid2", "_session_"])
def test_what_it_does_not_tell(name):
    assert find_known(name) is None


def test_every_name_is_there_once_and_makes_a_valid_entry():
    names = [known.name for known in known_cookies()]
    assert len(names) == len(set(names)) > 100
    for known in known_cookies():
        entry = Cookie(name=known.name, category=known.category, purpose=dict(known.purpose))
        assert set(entry.purpose) == {"en", "ru", "kk"}
        assert all(entry.purpose.values())
        assert find_known(known.name.replace("*", "x").replace("?", "x")) == known  # none hides behind another
