import pytest

from centtrack.consent.registry import CookieRegistry, own_cookies, registry_of
from centtrack.policy import PrivacyPolicy
from centtrack.policy.model import Cookie

REGISTRY = CookieRegistry(
    [
        Cookie(name="id", category="marketing", domain="ads.example"),
        Cookie(name="id", category="analytics", path="/stats*"),
        Cookie(name="id", category="necessary"),
        Cookie(name="_ga*", category="analytics"),
        Cookie(name="_ga_private", category="marketing"),
        Cookie(name="pref?", category="preferences", domain="*.shop.example"),
        Cookie(name="old", category="analytics", domain=".Shop.Example"),
    ]
)


@pytest.mark.parametrize(
    ("name", "domain", "path", "category"),
    [
        ("id", "ads.example", "/stats", "marketing"),  # the first that fits counts
        ("id", "shop.example", "/stats/today", "analytics"),
        ("id", "shop.example", "/", "necessary"),
        ("ID", "shop.example", "/", None),  # names are exact, capitals too
        ("_ga", "x", "/", "analytics"),
        ("_ga_private", "x", "/", "analytics"),
        ("x_ga", "x", "/", None),
        ("pref1", "www.shop.example", "/", "preferences"),
        ("pref1", "shop.example", "/", None),
        ("pref", "www.shop.example", "/", None),
        ("old", "shop.example", "/", "analytics"),
        ("", "shop.example", "/", None),
    ],
)
def test_an_entry_is_found_by_name_domain_and_path(name, domain, path, category):
    entry = REGISTRY.find(name, domain, path)
    assert (entry.category if entry else None) == category


def test_our_own_cookies_are_declared():
    policy = PrivacyPolicy.parse('[limits.consented]\nvisitor = "cookie"\n[consent]\ndays = 90')
    consent, visitor = own_cookies(policy)
    assert (consent.name, consent.category, consent.lifetime) == ("__Host-centtrack", "necessary", 90)
    assert (visitor.name, visitor.category) == ("__Host-centtrack-visitor", "analytics")
    assert {*consent.purpose} == {"en", "ru", "kk"}
    for name in ("__Host-centtrack", "centtrack"):
        assert registry_of(policy).find(name, "shop.example", "/").category == "necessary"


def test_one_choice_for_several_hosts_has_another_name():
    [consent] = own_cookies(PrivacyPolicy.parse('[consent]\ndomain = "shop.example"'))
    assert consent.name == "__Secure-centtrack"


def test_a_policy_cannot_take_our_names_away():
    policy = PrivacyPolicy.parse('[[cookies]]\nname = "*"\ncategory = "marketing"')
    assert registry_of(policy).find("__Host-centtrack", "shop.example", "/").category == "necessary"
    assert registry_of(policy).find("anything", "shop.example", "/").category == "marketing"
