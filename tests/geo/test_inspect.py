"""What is said about a database file."""

import datetime as dt

import pytest

from centtrack.geo.inspect import inspect_file, missing_of
from mmdb import ALMATY, SEMEY, V4, V6, damaged, write_mmdb

COUNTRY = {"country": {"iso_code": "KZ"}}


def inspected(path, records, **options):
    return inspect_file(write_mmdb(path / "x.mmdb", records, **options))


def test_all_there_is_to_say(tmp_path):
    info = inspected(tmp_path, {V4: ALMATY, V6: SEMEY}, ip_version=6, kind="DBIP-City-Lite (compat=City)")
    assert (info.type, info.schema, info.ip_version) == ("DBIP-City-Lite (compat=City)", "flat", 6)
    assert (info.languages, info.age_days, info.findings) == (("en",), 0, ())
    assert info.bytes == (tmp_path / "x.mmdb").stat().st_size
    assert "https://db-ip.com" in info.attribution
    assert (info.ipv6.country, info.ipv6.city) == (1, 1)


@pytest.mark.parametrize(
    ("record", "shares"),
    [
        (COUNTRY, (1, 0, 0, 0)),
        ({**COUNTRY, "city": {"names": {"en": "Semey"}}}, (1, 0, 0, 1)),
        ({**COUNTRY, "subdivisions": [{"iso_code": "10"}]}, (1, 1, 1, 0)),
        ({**COUNTRY, "subdivisions": [{"names": {"en": "No such region"}}]}, (1, 1, 0, 0)),
    ],
)
def test_coverage_is_of_random_public_addresses(tmp_path, record, shares):
    found = inspected(tmp_path, {"0.0.0.0/1": record, "128.0.0.0/1": record}).ipv4
    assert (found.country, found.region, found.region_code, found.city) == shares


def test_half_of_the_addresses(tmp_path):
    found = inspected(tmp_path, {"0.0.0.0/1": COUNTRY}).ipv4
    assert 0.5 < found.country < 0.6  # more than half of the public ones: those from 224.0.0.0 on aren't


@pytest.mark.parametrize(
    ("records", "ip_version", "missing"),
    [
        ({V4: ALMATY}, 4, "no IPv6"),
        ({V6: ALMATY}, 6, "no IPv4"),
        ({V4: ALMATY, V6: ALMATY}, 6, None),
        ({V4: ALMATY}, 6, "no IPv6"),
        ({V4: {"asn": "AS1"}}, 4, None),  # not usable: that's said of the file
    ],
)
def test_what_a_database_lacks(tmp_path, records, ip_version, missing):
    found = missing_of([inspected(tmp_path, records, ip_version=ip_version)])
    assert [text[:7] for text in found] == ([missing] if missing else [])


def test_a_pair_lacks_nothing(tmp_path):
    four = inspect_file(write_mmdb(tmp_path / "4.mmdb", {V4: ALMATY}))
    six = inspect_file(write_mmdb(tmp_path / "6.mmdb", {V6: ALMATY}, 6))
    assert missing_of([four, six]) == ()


@pytest.mark.parametrize(("days", "is_old"), [(0, False), (45, False), (46, True), (400, True), (-3, False)])
def test_an_old_database_is_a_finding(tmp_path, days, is_old):
    path = write_mmdb(tmp_path / "x.mmdb", {V4: ALMATY})
    info = inspect_file(path, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=days, minutes=5))
    assert info.age_days == max(0, days)
    assert bool(info.findings) == is_old


def test_records_of_another_kind_are_a_finding(tmp_path):
    info = inspected(tmp_path, {V4: {"autonomous_system_number": 9198}}, kind="GeoLite2-ASN")
    assert info.schema is None
    assert "isn't known" in info.findings[0]


def test_a_file_that_cannot_be_used_is_a_finding(tmp_path):
    whole = write_mmdb(tmp_path / "x.mmdb", {f"20.0.{i}.0/24": ALMATY for i in range(99)}).read_bytes()
    for name, content in [*damaged(whole), ("missing", None)]:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        (finding,) = inspect_file(path).findings
        assert "can't be used" in finding, name


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("DBIP-City-Lite (compat=City)", "IP Geolocation by DB-IP"),
        ("DBIP-City", None),  # bought: its contract says
        ("GeoLite2-City", "created by MaxMind"),
        ("GeoIP2-City", None),
        ("ipinfo bundle_location_lite_sample.mmdb", "IPinfo"),
        ("my own", None),
    ],
)
def test_what_the_licence_asks_to_be_shown(tmp_path, kind, says):
    said = inspected(tmp_path, {V4: ALMATY}, kind=kind).attribution
    assert says in said if says else said is None
