"""Fetching a database: it comes as a whole and is good, or nothing changes."""

import datetime as dt
import gzip
import io
import stat
import subprocess
import sys
import tarfile

import pytest

import centtrack
from centtrack.errors import ConfigurationError, GeoFileError
from centtrack.geo.fetch import default_sources, fetch_database
from mmdb import ALMATY, SEMEY, V4, V6, built, damaged, flipped, write_mmdb
from processes import run_python
from web_files import make_certificate, serving


def tar_gz(**files):
    """An archive as MaxMind ships it: a folder with the database and texts; a dot is written as two underscores."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"GeoLite2-City_20261101/{name.replace('__', '.')}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def unchanged(target):
    """Afterwards the file is what it was, byte for byte, and nothing stands beside it."""
    before = target.read_bytes(), target.stat()
    yield
    after = target.read_bytes(), target.stat()
    assert after[0] == before[0]
    assert (after[1].st_ino, after[1].st_mtime_ns) == (before[1].st_ino, before[1].st_mtime_ns)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, lambda data: tar_gz(COPYRIGHT__txt=b"(c)", GeoLite2_City__mmdb=data)],
    ids=["plain", "gz", "tar.gz"],
)
@pytest.mark.parametrize("by", ["url", "path"])
def test_it_is_unpacked_checked_and_put_in_place(target, newer, site, tmp_path, pack, by):
    """Known by what is in it, not by its name."""
    source = site.serve("/file", pack(newer))
    if by == "path":
        source = str(tmp_path / "file")
        (tmp_path / "file").write_bytes(pack(newer))
    fetched = fetch_database((source,), target)
    assert target.read_bytes() == newer
    assert list(target.parent.iterdir()) == [target]
    assert (fetched.source, fetched.now.path, fetched.now.schema) == (source, target, "flat")
    assert not fetched.is_older


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_permissions_of_the_target_are_kept(target, newer, tmp_path, mode):
    target.chmod(mode)
    (tmp_path / "newer").write_bytes(newer)
    fetch_database((str(tmp_path / "newer"),), target)
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_new_file_can_be_read_by_the_app(newer, tmp_path):
    (tmp_path / "newer").write_bytes(newer)
    fetched = fetch_database((str(tmp_path / "newer"),), tmp_path / "new.mmdb")
    assert stat.S_IMODE((tmp_path / "new.mmdb").stat().st_mode) == 0o644
    assert fetched.before is None


def test_a_link_stays_a_link(target, newer, tmp_path):
    (tmp_path / "newer").write_bytes(newer)
    link = tmp_path / "link.mmdb"
    link.symlink_to(target)
    fetch_database((str(tmp_path / "newer"),), link)
    assert link.is_symlink()
    assert target.read_bytes() == newer


def test_an_older_one_is_taken_and_told(target, tmp_path):
    older = tmp_path / "older.mmdb"
    older.write_bytes(built(target.read_bytes(), -1))
    fetched = fetch_database((str(older),), target)
    assert fetched.is_older
    assert target.read_bytes() == older.read_bytes()


def test_only_a_plain_user_agent_is_sent(target, newer, site):
    fetch_database((site.serve("/x", newer),), target)
    ((_, headers),) = site.requests
    assert headers.pop("User-Agent") == f"centtrack/{centtrack.__version__}"
    assert headers.pop("Host")
    assert headers == {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "keep-alive"}


def test_progress_is_told(target, newer, site):
    told = []
    fetch_database((site.serve("/x", newer),), target, on_progress=lambda *one: told.append(one))
    assert told[-1] == (len(newer), len(newer))


# What is refused.


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_what_is_damaged_changes_nothing(target, site, tmp_path, unchanged, pack):
    whole = write_mmdb(tmp_path / "whole.mmdb", {f"20.0.{i}.0/24": ALMATY for i in range(200)}).read_bytes()
    for name, content in damaged(whole):
        with pytest.raises(GeoFileError, match=r"no geo database that can be used"):
            fetch_database((site.serve(f"/{len(name)}", pack(content)),), target)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("pack", [gzip.compress, lambda data: tar_gz(x__mmdb=data)], ids=["gz", "tar.gz"])
def test_a_packed_file_that_is_cut_off(target, newer, site, unchanged, pack, share):
    packed = pack(newer)
    with pytest.raises(GeoFileError, match="cut off or damaged"):
        fetch_database((site.serve("/x", packed[: int(len(packed) * share) + 2]),), target)


def test_flipped_bytes_never_leave_half_a_file(target, newer, tmp_path):
    """Either it's refused and nothing has changed, or what came stands there, and has places."""
    before = target.read_bytes()
    packed, source = gzip.compress(newer), tmp_path / "flipped"
    for content in [*flipped(packed, 13), *flipped(newer, 13)]:
        source.write_bytes(content)
        try:
            fetch_database((str(source),), target)
        except GeoFileError:
            assert target.read_bytes() == before
        before = target.read_bytes()
        assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ({V4: {"autonomous_system_number": 9198}}, "form that isn't known"),
        ({V4: {"country": {"geoname_id": 1}}}, "no countries"),
        ({}, "no addresses"),
    ],
    ids=["another schema", "no place", "no network"],
)
def test_a_sound_file_that_gives_no_places(target, site, tmp_path, unchanged, records, reason):
    content = write_mmdb(tmp_path / "x.mmdb", records, kind="GeoLite2-ASN").read_bytes()
    with pytest.raises(GeoFileError, match=reason):
        fetch_database((site.serve("/x", content),), target)


def test_a_file_that_grows_without_end_when_unpacked(target, site, unchanged):
    bomb = gzip.compress(bytes(20_000_000))
    with pytest.raises(GeoFileError, match="more than 1,000,000 bytes"):
        fetch_database((site.serve("/x", bomb),), target, max_bytes=1_000_000)


@pytest.mark.parametrize("length", [None, 5_000], ids=["as long as it says", "longer than it says"])
def test_a_download_that_is_too_big(target, site, unchanged, length):
    with pytest.raises(GeoFileError, match="more than 1,000 bytes"):
        fetch_database((site.serve("/x", bytes(5_000), length=length),), target, max_bytes=1_000)


@pytest.mark.parametrize(
    "files",
    [{"README__txt": b"x"}, {"a__mmdb": b"x", "b__mmdb": b"y"}, {}],
    ids=["none", "two", "empty"],
)
def test_an_archive_without_exactly_one_database(target, site, unchanged, files):
    with pytest.raises(GeoFileError, match=r"not one|no geo database"):
        fetch_database((site.serve("/x", tar_gz(**files)),), target)


def test_a_link_in_an_archive_is_not_followed(target, site, unchanged):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("x.mmdb")
        member.type, member.linkname = tarfile.SYMTYPE, str(target)
        tar.addfile(member)
    with pytest.raises(GeoFileError, match="not one"):
        fetch_database((site.serve("/x", packed.getvalue()),), target)


def test_a_place_in_an_archive_is_not_written_to(target, newer, site, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo(str(tmp_path / "escaped.mmdb"))
        member.size = len(newer)
        tar.addfile(member, io.BytesIO(newer))
    fetch_database((site.serve("/x", packed.getvalue()),), target)
    assert target.read_bytes() == newer
    assert not (tmp_path / "escaped.mmdb").exists()


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "isn't there"), (410, "isn't there"), (401, "account or a key"), (403, "account or a key"),
     (429, "Try again later"), (500, "500 Internal Server Error"), (503, "Try again later"), (204, "204")],
)  # fmt: skip
def test_answers_of_a_server(target, newer, site, unchanged, status, reason):
    with pytest.raises(GeoFileError, match=reason):
        fetch_database((site.serve("/x", b"" if status == 204 else newer, status),), target)


def test_a_connection_that_ends_too_early(target, newer, site, unchanged):
    with pytest.raises(GeoFileError, match="could not be downloaded"):
        fetch_database((site.serve("/x", newer, length=len(newer) + 100, headers={"Connection": "close"}),), target)


def test_nobody_answers(target, site, unchanged):
    with serving() as gone:
        pass
    with pytest.raises(GeoFileError, match=r"could not be downloaded: .*refused"):
        fetch_database((gone.url + "/x",), target)


def test_the_next_source_is_tried_if_the_first_is_not_there(target, newer, site):
    fetched = fetch_database((site.url + "/november", site.serve("/october", newer)), target)
    assert fetched.source == site.url + "/october"


def test_no_other_source_is_tried_after_another_error(target, newer, site, unchanged):
    with pytest.raises(GeoFileError, match="500"):
        fetch_database((site.serve("/november", b"", 500), site.serve("/october", newer)), target)


@pytest.mark.parametrize(
    ("today", "months"),
    [
        (dt.date(2026, 11, 22), ("2026-11", "2026-10")),
        (dt.date(2027, 1, 1), ("2027-01", "2026-12")),
        (dt.date(2024, 3, 31), ("2024-03", "2024-02")),
    ],
)
def test_the_default_is_of_this_month_or_the_one_before(today, months):
    expected = [f"https://download.db-ip.com/free/dbip-city-lite-{month}.mmdb.gz" for month in months]
    assert list(default_sources(today)) == expected


# Ways that lead elsewhere.


@pytest.mark.parametrize(
    "url",
    ["http://example.org/x.mmdb", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://127.0.0.1.example.org/",
     "http://10.0.0.1/x", "https//://", "http://[::1/x"],
)  # fmt: skip
def test_urls_that_are_refused(target, unchanged, url):
    with pytest.raises(ConfigurationError, match="only https"):
        fetch_database((url,), target)


def test_redirects_are_followed(target, newer, site):
    site.serve("/there", newer)
    url = site.serve("/here", b"", 302, headers={"Location": "/there"})
    fetch_database((url,), target)
    assert [path for path, _ in site.requests] == ["/here", "/there"]
    assert target.read_bytes() == newer


def test_redirects_without_end(target, site, unchanged):
    with pytest.raises(GeoFileError, match="more than 5 redirects"):
        fetch_database((site.serve("/x", b"", 302, headers={"Location": "/x"}),), target)


def test_a_redirect_to_an_open_way(target, site, unchanged):
    url = site.serve("/x", b"", 302, headers={"Location": "http://192.0.2.1/x"})
    with pytest.raises(ConfigurationError, match="only https"):
        fetch_database((url,), target)


def test_over_https_and_never_from_there_to_http(target, newer, site, tmp_path, monkeypatch):
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    before = target.read_bytes()
    with serving(certificate) as secure:
        away = secure.serve("/away", b"", 302, headers={"Location": site.serve("/x", newer)})
        with pytest.raises(GeoFileError, match="isn't https"):
            fetch_database((away,), target)
        assert (target.read_bytes(), site.requests) == (before, [])
        fetch_database((secure.serve("/x", newer),), target)
        assert target.read_bytes() == newer


def test_what_may_be_secret_in_a_url_is_not_shown(target, site, unchanged):
    url = site.url.replace("://", "://account:key7@") + "/x?license=key8"
    with pytest.raises(GeoFileError) as raised:
        fetch_database((url,), target)
    assert "/x isn't there" in str(raised.value)
    assert "key7" not in str(raised.value)
    assert "key8" not in str(raised.value)


def test_without_httpx_a_file_can_be_fetched_and_a_url_says_what_to_install(target, newer, tmp_path):
    (tmp_path / "newer").write_bytes(newer)
    code = """
import sys
from pathlib import Path
sys.modules["httpx"] = None
from centtrack.errors import MissingExtraError
from centtrack.geo.fetch import fetch_database
fetch_database((sys.argv[1],), Path(sys.argv[2]))
try:
    fetch_database(("https://127.0.0.1:1/x",), Path(sys.argv[2]))
except MissingExtraError as error:
    assert error.extra == "cli"
else:
    raise AssertionError
"""
    run_python(code, tmp_path / "newer", target)
    assert target.read_bytes() == newer


# Around the target.


def test_a_target_that_cannot_be_written(newer, site, tmp_path):
    url = site.serve("/x", newer)
    with pytest.raises(GeoFileError, match="is a folder"):
        fetch_database((url,), tmp_path)
    with pytest.raises(GeoFileError, match="can't be written"):
        fetch_database((url,), tmp_path / "nowhere" / "x.mmdb")


def test_a_source_that_is_not_there(target, tmp_path, unchanged):
    with pytest.raises(GeoFileError, match=r"missing\.mmdb can't be read: No such file"):
        fetch_database((str(tmp_path / "missing.mmdb"),), target)


def test_another_type_is_refused_where_the_same_is_asked_for(target, site, tmp_path):
    country = write_mmdb(tmp_path / "x.mmdb", {V4: SEMEY, V6: SEMEY}, 6, kind="GeoLite2-Country").read_bytes()
    url, before = site.serve("/x", country), target.read_bytes()
    with pytest.raises(GeoFileError, match="'DBIP-City-Lite', what came is of 'GeoLite2-Country'"):
        fetch_database((url,), target, same_type=True)
    assert target.read_bytes() == before
    fetch_database((url,), target)
    assert target.read_bytes() == country


def test_a_broken_target_is_replaced(target, newer, site):
    target.write_bytes(b"broken")
    fetched = fetch_database((site.serve("/x", newer),), target, same_type=True)
    assert (target.read_bytes(), fetched.before) == (newer, None)


def test_a_full_disk(target, newer, tmp_path, unchanged):
    """Made by a limit on the size of files, in a process of its own."""
    (tmp_path / "newer").write_bytes(newer)
    code = """
import resource, sys
from pathlib import Path
from centtrack.geo.fetch import fetch_database
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
fetch_database((sys.argv[1],), Path(sys.argv[2]))
"""
    arguments = [sys.executable, "-c", code, str(tmp_path / "newer"), str(target)]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "can't be written" in ran.stderr
