"""`centtrack sink check`: what is missing, in plain words, with what mends it."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile

import pytest

ONLY_KZ = '[limits.default]\npage = "path"\n[recipients]\npersonal_data_in = ["KZ"]\n'


@pytest.fixture
def policy(tmp_path):
    """Write a policy: `policy(text)` → its file."""

    def write(text):
        (tmp_path / "privacy.toml").write_text(text)
        return tmp_path / "privacy.toml"

    return write


def test_nothing_is_missing(cli, tmp_path):
    found = cli("sink", "check", "memory:", "jsonl:new/events.jsonl")
    assert (found.code, found.err) == (0, "")
    assert "✗" not in found.out
    assert f"written and read back in {tmp_path}; the first batch makes {tmp_path}/new and the file" in found.out
    assert list(tmp_path.iterdir()) == []  # looking leaves nothing behind


def test_the_default_is_in_the_environment(cli, monkeypatch):
    assert cli("sink", "check").code == 2
    monkeypatch.setenv("CENTTRACK_SINK", "memory:")
    found = cli("sink", "check")
    assert (found.code, found.out.splitlines()[0]) == (0, "memory:")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", 0, ["✓", "no entry in [[sinks]]", "the site's own", "for analytics", "all 50 columns"]),
        (
            '[[sinks]]\nname = "memory:"\nparty = "third"\ncountry = "DE"\nfields = ["route"]\nsample = 0.125\n',
            0,
            ["a third party's in DE, for analytics", "13 of 50 columns of 12.5 % of the events"],
        ),
        ('[recipients]\nundeclared_sinks = "refuse"\n', 1, ["✗", "has no entry in [[sinks]]", 'name = "memory:"']),
        (ONLY_KZ, 1, ["no country is stated for it", 'country = "KZ"', "[[sinks]]"]),
        (f'{ONLY_KZ}[[sinks]]\nname = "memory:"\ncountry = "DE"\n', 1, ["it is in DE", "fields = ["]),
        ('[[sinks]]\nname = "memry:"\nparty = "third"\n', 1, ['"memry:"', "named memory:"]),
    ],
)
def test_whether_the_policy_allows_it(cli, policy, text, code, words):
    found = cli("sink", "check", "memory:", "--policy", policy(text))
    assert found.code == code
    assert [word for word in words if word not in found.out + found.err] == []


def test_a_wrong_policy_is_wrong_use(cli, policy):
    assert cli("sink", "check", "memory:", "--policy", policy("nonsense = 1")).code == 2


def test_one_that_is_wrong_leaves_the_others(cli):
    found = cli("sink", "check", "redsi://user:hunter2@host", "memory:")
    assert found.code == 2
    assert 'Did you mean "redis:"?' in found.err
    assert "hunter2" not in found.out + found.err
    assert "✓ it keeps events in the memory" in found.out


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@127.0.0.1:1/database",
        "clickhouse://user:hunter2@127.0.0.1:1/database",
        "redis://user:hunter2@127.0.0.1:1/stream",
        "rediss://user:hunter2@127.0.0.1:1/stream",
        "otlp+http://user:hunter2@127.0.0.1:1",
        "https://user:hunter2@127.0.0.1:1/hook?token=hunter2#secret=hunter2-hunter2-hunter2-hunter2&allow=127.0.0.0/8",
    ],
)
def test_a_server_that_is_away_is_a_finding_without_credentials(cli, url):
    found = cli("sink", "check", url)
    assert found.code == 1
    assert "✗" in found.out
    assert "127.0.0.1:1" in found.out.splitlines()[0]
    assert "hunter2" not in found.out + found.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@127.0.0.1:1/database?tabel=hunter2",
        "postgresql://user:hunter2@127.0.0.1:1/database?table=hunter2%22;drop",
        "kafka://user:hunter2@127.0.0.1:port/topic",
        "redis:user:hunter2@127.0.0.1",
        "user:hunter2@127.0.0.1:1",
        "hunter2@127.0.0.1:1",
        "https://user:hunter2@127.0.0.1:1/#allow=hunter2",
    ],
)
def test_a_wrong_url_is_wrong_use_without_credentials(cli, url):
    found = cli("sink", "check", url)
    assert (found.code, found.out, bool(found.err)) == (2, "", True)
    assert "hunter2" not in found.err.replace("not 'hunter2", "")  # a table's name is shown, and is no secret


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), ["can be appended to: Is a directory"]),
        (lambda path: path.symlink_to("elsewhere"), ["it is a link", "readlink -f"]),
        (lambda path: (path.touch(), path.chmod(0o644)), ["others on this machine may", "chmod o= "]),
    ],
    ids=["folder", "link", "others"],
)
def test_what_is_wrong_with_a_file(cli, tmp_path, make, words):
    make(tmp_path / "a file")
    found = cli("sink", "check", f"jsonl:{tmp_path}/a file")
    assert found.code == 1
    assert [word for word in words if word not in found.out] == []
    if "chmod" in words[-1]:
        assert f"chmod o= '{tmp_path}/a file'\n" in found.out  # as a shell takes it


def test_a_file_that_is_there_stays_as_it_is(cli, tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text("{}\n")
    path.chmod(0o640)
    found = cli("sink", "check", f"jsonl:{path}")
    assert (found.code, "can be appended to" in found.out, path.read_text()) == (0, True, "{}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def refuse(**_options):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/somewhere")


def test_a_folder_that_takes_no_file(cli, tmp_path, monkeypatch):
    folder = tmp_path / "its folder"
    folder.mkdir(mode=0o500)
    with monkeypatch.context() as patched:
        if os.geteuid() == 0:  # who may write anywhere
            patched.setattr(tempfile, "TemporaryFile", refuse)
        found = cli("sink", "check", f"jsonl:{folder}/events.jsonl")
    assert (found.code, "Permission denied" in found.out) == (1, True)
    assert f"sudo install -d -m 700 -o \"$USER\" '{folder}'\n" in found.out


def test_a_folder_that_cannot_be_made(cli):
    found = cli("sink", "check", "jsonl:/proc/nowhere/events.jsonl")
    assert (found.code, "✗ a file can be written and read back in /proc" in found.out) == (1, True)


def test_pipes_and_standard_output(cli, tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    found = cli("sink", "check", "jsonl:pipe", "jsonl:-")
    assert (found.code, found.out.count("come twice there")) == (0, 2)


THEIRS = """
from centtrack.errors import ConfigurationError
from centtrack.sinks.finding import Finding

class Plain:
    def __init__(self, url):
        self.name = url.partition(":")[0] + ":"
    def write(self, events):
        pass

class Opening(Plain):
    closed = 0
    def open(self):
        pass
    def close(self):
        Opening.closed += 1

class Refusing(Opening):
    def open(self):
        raise ConfigurationError("the password is wrong")

class Leaking(Opening):
    def open(self):
        raise OSError("can't connect to hunter2@host")

class Panicking(Plain):
    def check(self):
        yield Finding("it begins")
        raise BaseException("hunter2")

class Talking(Plain):
    def check(self):
        fix = "create table a (\\n  b text\\n);\\x1b[2J"
        yield Finding("the \\x1b[31mtable\\nis there", "it [bold]isn't[/bold]", fix)
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """An installed package with sinks of others."""
    (tmp_path / "their_sinks.py").write_text(THEIRS)
    info = tmp_path / "their_sinks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-sinks\nVersion: 1.0\n")
    names = ("Plain", "Opening", "Refusing", "Leaking", "Panicking", "Talking")
    points = "".join(f"{name.lower()} = their_sinks:{name}\n" for name in names)
    (info / "entry_points.txt").write_text(f"[centtrack.sinks]\n{points}")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("their_sinks", None)


@pytest.mark.usefixtures("theirs")
@pytest.mark.parametrize(
    ("scheme", "code", "words"),
    [
        ("plain", 0, "✓ nothing to be looked at before the first batch"),
        ("opening", 0, "✓ it opens; it has no check()"),
        ("refusing", 1, "✗ it can be used: the password is wrong"),
        ("leaking", 1, "✗ it can be used: OSError"),
        ("panicking", 1, "✗ it can be used: BaseException"),
    ],
)
def test_sinks_of_others(cli, scheme, code, words):
    found = cli("sink", "check", f"{scheme}:x")
    assert (found.code, words in found.out) == (code, True), found.out
    assert "hunter2" not in found.out + found.err
    if scheme in {"opening", "refusing", "leaking"}:
        assert sys.modules["their_sinks"].Opening.closed == 1


@pytest.mark.usefixtures("theirs")
def test_what_mends_it_can_be_copied_and_no_terminal_obeys(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    found = cli("sink", "check", "talking:x")
    assert "  ✗ the \\x1b[31mtable is there: it [bold]isn't[/bold]\n" in found.out
    assert "\n      create table a (\n        b text\n      );\\x1b[2J\n" in found.out
