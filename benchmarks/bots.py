"""How many bots are recognised, and how many people are taken for one: on public lists that centtrack doesn't use.

    python benchmarks/bots.py            fetches the lists into .ci/cache/bots, with npm and pip
    python benchmarks/bots.py FOLDER     takes them from there
    python benchmarks/bots.py -v         shows misses and false alarms too

Each distinct User-Agent goes through `Capture`, as in production, alone: without client hints.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from centtrack import PrivacyPolicy
from centtrack.capture.capture import Capture
from centtrack.capture.observation import Observation
from centtrack.event import Event

CACHE = Path(__file__).parent.parent / ".ci/cache/bots"
NPM = ("crawler-user-agents@1.60.0", "user-agents@2.1.198")
PYPI = ("ai-crawler-index==1.3.0", "device_detector==6.5.1", "fake-useragent==2.2.0")
FIXTURES = "device_detector-*/device_detector/tests/fixtures/upstream"
POLICY = '[limits.default]\nbrowser = "full"\n[bots]\nrecord = "label"\n'
EXAMPLES = 20


class Agent(NamedTuple):
    """One entry of a list, and what the list says of it."""

    text: str
    operator: str | None = None
    purposes: frozenset[str] = frozenset()


class PublicList(NamedTuple):
    """A list of user agents that are all bots, or all people."""

    name: str
    licence: str
    is_bots: bool
    read: Callable[[Path], Iterator[Agent]]
    is_ai: bool = False


# What the lists call a purpose → what we may call it.
MATOMO = {"AI Data Scraper": {"training"}, "AI Search Crawler": {"search"}, "AI Assistant": {"user_triggered"}}
TOOLS = {"library", "automation", "advertising", "monitoring", "security", "other"}
INDEX = {
    "ai-training": {"training"},
    "ai-search": {"search"},
    "user-fetch": {"user_triggered"},
    "dataset": {"training"},
    "search": {"search"},
    "seo": {"seo"},
    "archive": {"archive"},
    "preview": {"preview"},
    "tool": TOOLS,
}


def read_crawlers(folder: Path) -> Iterator[Agent]:
    """Headers of crawlers, scrapers and libraries, contributed by site owners."""
    for entry in json.loads((folder / "node_modules/crawler-user-agents/crawler-user-agents.json").read_text()):
        yield from map(Agent, entry["instances"])


def read_ai_crawlers(folder: Path) -> Iterator[Agent]:
    """Those of them that carry the tag."""
    for entry in json.loads((folder / "node_modules/crawler-user-agents/crawler-user-agents.json").read_text()):
        if "ai-crawler" in entry.get("tags", ()):
            yield from map(Agent, entry["instances"])


def read_fixtures(folder: Path, pattern: str) -> Iterator[dict[str, Any]]:
    """What Matomo tests its device detector with."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for file in sorted(folder.glob(f"{FIXTURES}/{pattern}.yml")):
        yield from yaml.load(file.read_text(encoding="utf-8"), loader)


def read_matomo_bots(folder: Path) -> Iterator[Agent]:
    """Bots of all kinds."""
    for entry in read_fixtures(folder, "bots"):
        yield Agent(entry["user_agent"])


def read_matomo_ai(folder: Path) -> Iterator[Agent]:
    """Bots of AI companies, with operator and purpose."""
    for entry in read_fixtures(folder, "bots"):
        bot = entry["bot"]
        if bot.get("category") in MATOMO:
            producer = (bot.get("producer") or {}).get("name") or None
            yield Agent(entry["user_agent"], producer, frozenset(MATOMO[bot["category"]]))


def read_matomo_people(folder: Path, kind: str) -> Iterator[Agent]:
    """Devices by the kind of program on them."""
    for entry in read_fixtures(folder, "*"):
        if "bot" not in entry and (entry.get("client") or {}).get("type") == kind:
            yield Agent(entry["user_agent"])


def read_matomo_browsers(folder: Path) -> Iterator[Agent]:
    """Browsers on phones, tablets, desktops, TVs, consoles and in cars."""
    return read_matomo_people(folder, "browser")


def read_matomo_apps(folder: Path) -> Iterator[Agent]:
    """Apps: social networks, podcast players, office programs."""
    return read_matomo_people(folder, "mobile app")


def read_user_agents(folder: Path) -> Iterator[Agent]:
    """Browsers as an advertising network sees them."""
    for entry in json.loads((folder / "node_modules/user-agents/dist/user-agents.json").read_text()):
        yield Agent(entry["userAgent"])


def read_fake_useragent(folder: Path) -> Iterator[Agent]:
    """Browsers, collected in the same way by others."""
    with (folder / "fake_useragent/data/browsers.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield Agent(json.loads(line)["useragent"])


def read_index(folder: Path) -> Iterator[Agent]:
    """Has tokens instead of whole headers, so the common shape is put around them."""
    for entry in json.loads((folder / "ai_crawler_index/data.json").read_text(encoding="utf-8"))["crawlers"]:
        token = entry["ua"]
        text = token if re.search(r"[/;(]", token) else f"Mozilla/5.0 (compatible; {token}/1.0)"
        yield Agent(text, entry["operator"], frozenset(INDEX[entry["category"]]))


LISTS = (
    PublicList("crawler-user-agents 1.60.0", "MIT", True, read_crawlers),
    PublicList("Matomo's test bots (device_detector 6.5.1)", "LGPL-3.0", True, read_matomo_bots),
    PublicList("crawler-user-agents, tagged ai-crawler", "MIT", True, read_ai_crawlers, is_ai=True),
    PublicList("Matomo's test bots, AI", "LGPL-3.0", True, read_matomo_ai, is_ai=True),
    PublicList("ai-crawler-index 1.3.0, tokens", "CC0-1.0", True, read_index, is_ai=True),
    PublicList("user-agents 2.1.198", "BSD-2-Clause", False, read_user_agents),
    PublicList("fake-useragent 2.2.0", "Apache-2.0", False, read_fake_useragent),
    PublicList("Matomo's test devices, browsers", "LGPL-3.0", False, read_matomo_browsers),
    PublicList("Matomo's test devices, apps", "LGPL-3.0", False, read_matomo_apps),
)


class Result(NamedTuple):
    """What became of a list. Shares are of its distinct strings."""

    name: str
    licence: str
    is_bots: bool
    strings: int
    said_bot: int
    reasons: dict[str, int]
    named: int
    right_operator: list[int] | None  # of how many
    right_purpose: list[int] | None
    wrong: list[str]

    @property
    def share(self) -> float:
        """Of the list that is said to be bots: recall, or the rate of false alarms."""
        return self.said_bot / self.strings


def fetch(folder: Path) -> None:
    """Bring the lists, with npm and pip."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules/user-agents").exists() or not (folder / "node_modules/crawler-user-agents").exists():
        flags = ("--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
        subprocess.run(["npm", "install", *flags, "--prefix", str(folder), *NPM], check=True)
    if not list(folder.glob(FIXTURES)):
        flags = ("--quiet", "--no-deps", "--no-binary", "device_detector")
        subprocess.run([sys.executable, "-m", "pip", "download", *flags, "--dest", str(folder), *PYPI], check=True)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
        for archive in folder.glob("*.tar.gz"):
            with tarfile.open(archive) as opened:
                if hasattr(tarfile, "data_filter"):  # Debian 12's Python has none yet
                    opened.extraction_filter = tarfile.data_filter
                opened.extractall(folder)


def measure(public: PublicList, folder: Path, capture: Callable[[str], Event]) -> Result:
    """Run a list through capture."""
    agents = {agent.text: agent for agent in public.read(folder)}
    events = {text: capture(text) for text in agents}
    bots = [text for text, event in events.items() if event.bot]
    return Result(
        public.name,
        public.licence,
        public.is_bots,
        len(agents),
        len(bots),
        dict(Counter(str(events[text].bot_reason) for text in bots).most_common()),
        sum(events[text].bot_name is not None for text in bots),
        _tally(is_same_operator(agent, events[text]) for text, agent in agents.items() if agent.operator),
        _tally(events[text].bot_purpose in agent.purposes for text, agent in agents.items() if agent.purposes),
        [text for text, event in events.items() if bool(event.bot) != public.is_bots],
    )


def _tally(answers: Iterator[bool]) -> list[int] | None:
    held = list(answers)
    return [sum(held), len(held)] if held else None


def is_same_operator(agent: Agent, event: Event) -> bool:
    """Lists write "Meta Platforms, Inc." or "Meta": the first word counts."""
    ours, theirs = (re.findall(r"[a-z0-9]+", (name or "").lower()) for name in (event.bot_operator, agent.operator))
    return bool(ours and theirs) and (ours[0] in theirs or theirs[0] in ours)


def show(results: list[Result], *, examples: bool) -> None:
    """Print the tables."""
    print(f"{'list':<44} {'licence':<13} {'strings':>8} {'said bot':>9} {'share':>8}")
    for result in results:
        kind = "recall" if result.is_bots else "false alarms"
        line = f"{result.name:<44} {result.licence:<13} {result.strings:>8,} {result.said_bot:>9,} {result.share:>8.2%}"
        print(f"{line}  {kind}")
    print("\nwho it is, of the bots in a list")
    for result in results:
        if result.is_bots:
            operator, purpose = _share(result.right_operator), _share(result.right_purpose)
            named = f"named {result.named / result.strings:>6.1%}"
            print(f"{result.name:<44} {named}   operator right {operator}   purpose right {purpose}")
    print("\nwhat gave them away")
    for result in results:
        print(f"{result.name:<44} " + ", ".join(f"{reason} {count:,}" for reason, count in result.reasons.items()))
    for result in results if examples else ():
        print(f"\n{result.name}: {'missed' if result.is_bots else 'false alarms'}, {len(result.wrong):,}")
        print("\n".join(f"  {text[:180]}" for text in result.wrong[:EXAMPLES]))


def _share(tally: list[int] | None) -> str:
    return f"{tally[0] / tally[1]:>6.1%} of {tally[1]:<4}" if tally else f"{'-':>6}        "


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where the lists are; else they are fetched")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what is wrong")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    arguments = parser.parse_args()
    folder = arguments.folder or CACHE
    if arguments.folder is None:
        fetch(folder)
    capture = Capture(PrivacyPolicy.parse(POLICY))

    def event_of(text: str) -> Event:
        headers = [(b"host", b"shop.example"), (b"user-agent", text.encode())]
        seen = Observation(protocol="http", peer=None, headers=headers, time=0.0, method="GET", status=200)
        event = capture.capture(seen)
        assert isinstance(event, Event)
        return event

    results = [measure(public, folder, event_of) for public in LISTS]
    if arguments.json:
        print(json.dumps([result._asdict() | {"share": result.share} for result in results]))
    else:
        show(results, examples=arguments.verbose)


if __name__ == "__main__":
    main()
