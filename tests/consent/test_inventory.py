import pytest
from hypothesis import given
from hypothesis import strategies as st

from centtrack.consent.inventory import MAX_NAMES, CookieSeen, Inventory
from centtrack.consent.registry import CookieRegistry
from centtrack.policy.model import Cookie

K = 10


@pytest.fixture
def inventory():
    return Inventory(CookieRegistry([Cookie(name="_ga*", category="analytics")]), K)


def test_what_the_app_sets(inventory):
    inventory.set(b"_ga=1; Max-Age=60; Domain=.shop.example", passed=True)
    inventory.set(b"_ga=2; Max-Age=90; Domain=shop.example", passed=False)
    inventory.set(b"_ga=; Max-Age=0; Domain=shop.example", passed=True)
    inventory.set(b"session=secret; Path=/", passed=True)
    assert set(inventory.drain()) == {
        CookieSeen("_ga*", "shop.example", "", passed=1, removed=1, expired=1, longest_s=90),
        CookieSeen("session", "", "/", passed=1),
    }
    assert inventory.drain() == []


def test_what_fits_a_pattern_goes_under_the_pattern(inventory):
    inventory.arrive(b"_ga=_ga_anna@example.org=session=")
    assert inventory.drain() == [CookieSeen("_ga*", arrived=2)]


def test_a_name_that_visitors_made_up_is_not_told(inventory):
    for _ in range(K - 1):
        inventory.arrive(b"i.am.anna@example.org=")
    assert inventory.drain() == []
    inventory.arrive(b"i.am.anna@example.org=")
    assert inventory.drain() == [CookieSeen("i.am.anna@example.org", arrived=K)]


def test_a_name_that_the_app_sets_is_told_when_it_comes_back(inventory):
    inventory.set(b"session=1; Path=/", passed=True)
    inventory.drain()
    inventory.arrive(b"session=")
    assert inventory.drain() == [CookieSeen("session", arrived=1)]


def test_what_could_not_be_written_is_kept(inventory):
    inventory.set(b"_ga=1; Max-Age=60", passed=True)
    drained = inventory.drain()
    inventory.set(b"_ga=1; Max-Age=30", passed=False)
    inventory.restore(drained)
    assert inventory.drain() == [CookieSeen("_ga*", passed=1, removed=1, longest_s=60)]


def test_memory_is_bounded(inventory):
    for number in range(3 * MAX_NAMES):
        inventory.set(b"name%d=1" % number, passed=True)
        inventory.arrive(b"other%d=x%d=" % (number, number))
    assert len(inventory.drain()) <= MAX_NAMES
    for number in range(3 * MAX_NAMES):
        for _ in range(K):
            inventory.arrive(b"more%d=" % number)
    assert len(inventory.drain()) <= MAX_NAMES


def test_a_flood_of_names_hides_nothing(inventory):
    flood = b"".join(b"made_up_%d=" % number for number in range(5 * MAX_NAMES))
    for _ in range(K):
        inventory.arrive(b"_ga=outside=" + flood[:20_000])
    assert {"_ga*", "outside"} <= {row.name for row in inventory.drain()}


def test_a_child_forgets_what_its_parent_counts(inventory):
    inventory.set(b"_ga=1", passed=True)
    inventory.arrive(b"_ga=x=")
    inventory.forget()
    assert inventory.drain() == []


@given(st.lists(st.binary(max_size=60)))
def test_any_header_can_be_counted(headers):
    inventory = Inventory(CookieRegistry([]), 1)
    for header in headers:
        inventory.arrive(header)
        inventory.set(header, passed=True)
    assert all(len(row.name) <= 128 for row in inventory.drain())
