"""Secrets are planted wherever a request has room for them, and searched in every byte that comes out.

Names of people can't be found where words are allowed: in paths, listed keys, campaigns and paths of referrers.
`allowed` says where that is. Nothing else may be found, and under `strict` nothing at all.
"""

from __future__ import annotations

import base64
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from canary import live
from canary.configurations import RECEIPT, Configuration, configurations
from canary.geo import PLACES_SECRETS, VISITORS, write_secret_places
from canary.places import count_of_kinds, requests_of, sample
from canary.plants import Plant, Request
from canary.search import Haystack, columns_of, events_below, files_below, forms_of
from canary.secrets_of import UNKNOWN, unique

pytestmark = pytest.mark.timeout(240)

Requests = list[tuple[Request, list[Plant]]]
_AN_EVENT = b'"time_precision":'
SHARED = ("log.txt", "errors.txt")  # of the process, and so of all its sites


@dataclass
class Result:
    """What the search of one configuration found.

    Attributes:
        leaks: secret, place and file of each that should not be there.
        shown: columns in which words were found that may stand there.
        planted: secrets that were searched for.
        searched: bytes.
        stores: file → how many events it held, of those that hold events.
    """

    leaks: list[str] = field(default_factory=list)
    shown: Counter[str] = field(default_factory=Counter)
    planted: int = 0
    searched: int = 0
    stores: dict[str, int] = field(default_factory=dict)


def allowed(one: Configuration, plant: Plant) -> set[str]:
    """The columns in which a secret may be found: that of an address, or of a place for words."""
    is_word = plant.secret.kind in UNKNOWN or "ip" in plant.place.shown
    return one.allows(plant.place) if is_word else set()


class Search:
    """The search of one configuration, in its own files and in those that all share."""

    def __init__(self, root: Path, one: Configuration, shared: Haystack) -> None:
        self.folder, self.result = live.folder_of(root, one), Result()
        self._files = Haystack(files_below(self.folder))
        self._shared = shared
        self._columns = Haystack(columns_of(events_below(self.folder)))
        self.result.stores = {
            name: data.count(_AN_EVENT) for name, data in files_below(self.folder) if _AN_EVENT in data
        }
        self.result.searched = self._files.size + self._columns.size

    def look_for(self, name: str, part: str, columns: set[str], *, files: tuple[str, ...] = ()) -> None:
        """Look for a part of a secret.

        Args:
            name: of the secret, for the report.
            part: what to find.
            columns: where it may stand; if there are any, in files too, as files are made of columns.
            files: files that may hold it.
        """
        for column, form in self._columns.find(part):
            if column in columns:
                self.result.shown[column] += 1
            else:
                self.result.leaks.append(f"{name}: {form} in column {column}")
        for file, form in [*self._files.find(part), *self._shared.find(part)]:
            if not columns and file not in files:
                self.result.leaks.append(f"{name}: {form} in {file}")


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> dict[str, Result]:
    """One run of all configurations: name → what was found."""
    root = tmp_path_factory.mktemp("canary")
    places = write_secret_places(root)
    chosen = configurations(places)
    requests: dict[str, Requests] = {one.name: [*requests_of(one.name, one.kinds), *VISITORS] for one in chosen}
    live.prepare(root, chosen)
    live.run(root, chosen, requests)
    shared = _shared(root)
    return {one.name: _searched(root, one, requests[one.name], shared) for one in chosen}


def _shared(root: Path) -> Haystack:
    return Haystack((name, (root / name).read_bytes()) for name in SHARED)


def _searched(root: Path, one: Configuration, requests: Requests, shared: Haystack) -> Result:
    search = Search(root, one, shared)
    for _, plants in requests:
        for plant in plants:
            search.result.planted += 1
            for part in plant.secret.core:
                search.look_for(plant.name, part, allowed(one, plant))
    for name, part in PLACES_SECRETS.items():
        search.look_for(f"{name} of the geo database", part, set())
    search.look_for("receipt of consent", RECEIPT, set())
    _look_for_own_secrets(search, one)
    return search.result


def _look_for_own_secrets(search: Search, one: Configuration) -> None:
    """What the library itself made: salts stay in their file; of a visitor's cookie the id is all that is recorded."""
    salts = search.folder / "state" / "salts"
    if salts.exists():
        for line in salts.read_text().splitlines():
            search.look_for("salt", line.split()[1], set(), files=("state/salts", "held/salts"))
    for part in re.split("[=;.]", one.headers.get("Cookie", "")):
        if len(part) > len("__Host-centtrack-visitor"):  # payloads and signatures
            search.look_for("cookie of ours", part, set())
    if one.visitor_id:
        search.look_for("visitor's id", one.visitor_id, {"visitor_id"})


def names(configuration: str = "") -> list[str]:
    return [one.name for one in configurations(Path("places.mmdb")) if configuration in one.name]


@pytest.mark.parametrize("name", names())
def test_nothing_is_found_but_what_the_limits_allow(results, name):
    leaks = results[name].leaks
    assert not leaks, f"{len(leaks)} found in {name}:\n" + "\n".join(sorted(set(leaks))[:60])


# Limit → columns in which a word must be found, or the search isn't worth anything.
SHOWN = {
    "page = query": {"path", "query"},
    "campaign = full": {"utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"},
    "referrer = path": {"referrer_domain", "referrer_path"},
    "ip = full, by hops": {"ip_network"},
    "ip = full, by Forwarded": {"ip_network"},
    "ip = full, by the server": {"ip_network"},
    "browser = full": {"browser_version"},
    "profile cent": {"path", "utm_source", "utm_medium", "referrer_domain"},
    "visitor = cookie": {"visitor_id"},
    "profile strict": set(),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_limits_allow_is_found(results, name):
    assert set(results[name].shown) == SHOWN[name]


def test_every_configuration_has_300_kinds_of_secrets(results, capsys):
    planted = sum(result.planted for result in results.values())
    shown = sum(sum(result.shown.values()) for result in results.values())
    leaks = sum(len(result.leaks) for result in results.values())
    size = sum(result.searched for result in results.values())
    with capsys.disabled():
        sys.stdout.write(
            f"\ncanary: {count_of_kinds():,} kinds of secrets (what and where) in {len(results)} configurations, "
            f"{planted:,} in all; {size / 1e6:.0f} MB searched; found where allowed: {shown:,}, elsewhere: {leaks}\n"
        )
    assert count_of_kinds() >= 300
    assert [result.planted for result in results.values()].count(count_of_kinds()) >= len(results) - 2


@pytest.mark.parametrize("name", ["profile strict", "all finest", "all finest, explained", "visitor = cookie"])
def test_every_store_had_events_to_search(results, name):
    """Sinks, journal before and after delivery with its dead letters, and what commands printed."""
    stores = results[name].stores
    lines = {"events.jsonl", "function.jsonl", "memory.jsonl"}
    assert len({stores[file] for file in lines}) == 1
    assert stores["events.jsonl"] > 300
    assert {"commands.txt", "state/journal.db"} <= stores.keys()
    assert ("explained.txt" in stores) == ("explained" in name)
    held = stores.get("held/journal.db", 0) + stores.get("held/journal.db-wal", 0)
    assert held >= stores["events.jsonl"] or name.startswith("all finest")


def test_no_two_secrets_have_a_part_in_common():
    planted = [
        plant.secret for name in ("profile strict", "all finest") for _, plants in requests_of(name) for plant in plants
    ]
    assert unique(planted)


# The search itself must find what leaks.


def test_a_leak_is_found(tmp_path):
    """A sink that writes paths in base64 between other bytes, and logs them in hex, is caught at both."""
    one = Configuration("leaky", "", {})
    live.prepare(tmp_path, [one], leaky=True)
    requests = [pair for pair in sample("leaky", 40) if any(plant.place.name == "path" for plant in pair[1])][:5]
    live.run(tmp_path, [one], {"leaky": requests})
    result = _searched(tmp_path, one, requests, _shared(tmp_path))
    assert any("base64" in leak and leak.endswith("in leak.bin") for leak in result.leaks)
    assert any("hex in log.txt" in leak for leak in result.leaks)


@pytest.mark.parametrize("secret", ["zuvakimopero", "171.102.103.104", "2001:db8:1a2b:3c4d:5e6f:1234:5678:9abc"])
def test_every_form_is_found_in_any_file_and_column(tmp_path, secret):
    for form, data in forms_of(secret).items():
        haystack = Haystack([("other", b"\0" * 50), ("file", b"\xff\x00before" + data.upper() + b"after")])
        assert ("file", form) in set(haystack.find(secret)), form
    assert not [*Haystack([("file", base64.b64encode(bytes(range(256))))]).find(secret)]
