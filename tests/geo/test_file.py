"""Geo database files that change while they are in use."""

import itertools
import logging
import sys
import threading
import time
from ipaddress import ip_address

import pytest

from centtrack.geo import file
from centtrack.geo.databases import GeoDatabases
from mmdb import ALMATY, SEMEY, V4, V6, damaged, flipped, rename_mmdb, write_mmdb
from processes import python, run_python

ADDRESS = ip_address("203.0.113.7")


@pytest.fixture
def path(tmp_path):
    return write_mmdb(tmp_path / "city.mmdb", {V4: ALMATY})


@pytest.fixture
def whole(tmp_path_factory):
    return write_mmdb(tmp_path_factory.mktemp("whole") / "big.mmdb", {f"20.0.{i}.0/24": ALMATY for i in range(200)})


def opened(*paths):
    databases = GeoDatabases(paths)
    databases.open()
    return databases


def check(databases, times=2):
    """As many checks as are needed to see that a file is still, each later than the interval between them."""
    now = itertools.count(databases._check_at + 1, 10)
    return [databases.refresh(next(now)) for _ in range(times)]


def city(databases):
    return databases.look_up(ADDRESS).city


def levels(caplog):
    return [one.levelname for one in caplog.records if one.name == file.__name__ and one.levelno > logging.INFO]


@pytest.mark.parametrize("replace", [rename_mmdb, write_mmdb], ids=["by renaming", "in place"])
def test_a_replaced_file_is_taken_in(path, replace, caplog):
    databases = opened(path)
    assert city(databases) == "Almaty"
    replace(path, {V4: SEMEY})
    assert city(databases) == "Almaty"
    assert check(databases) == [False, True]
    assert city(databases) == "Semey"  # nor does the cache hold the old place
    assert check(databases, 5) == [False] * 5
    assert levels(caplog) == []


def test_a_check_is_made_every_five_seconds_at_most(path):
    databases = opened(path)
    rename_mmdb(path, {V4: SEMEY})
    now = time.monotonic()
    assert [databases.refresh(now + after) for after in (1, 2, 3, 6, 7, 8, 10, 10.9)] == [False] * 8
    assert city(databases) == "Almaty"
    assert databases.refresh(now + 11.5)
    assert city(databases) == "Semey"


BROKEN = [name for name, _ in damaged(b"\xab\xcd\xefMaxMind.com" * 40)]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("renamed", [True, False], ids=["renamed", "in place"])
def test_a_broken_file_leaves_the_old_one_in_use(path, whole, caplog, name, renamed):
    databases = opened(path)
    broken = path.with_name("broken") if renamed else path
    broken.write_bytes(dict(damaged(whole.read_bytes()))[name])
    if renamed:
        broken.replace(path)
    check(databases, 6)
    databases.look_up.cache_clear()
    assert city(databases) == "Almaty"
    assert list(databases.broken) == [path]
    assert levels(caplog) == ["ERROR"]  # one line, however often it is checked
    assert "stays in use" in caplog.text

    rename_mmdb(path, {V4: SEMEY})
    check(databases, 4)
    assert (city(databases), databases.broken) == ("Semey", {})
    assert levels(caplog) == ["ERROR", "WARNING"]


def test_a_file_that_is_gone_leaves_the_old_one_in_use(path, caplog):
    databases = opened(path)
    path.rename(path.with_suffix(".away"))
    check(databases, 4)
    databases.look_up.cache_clear()
    assert city(databases) == "Almaty"
    assert levels(caplog) == ["ERROR"]
    path.with_suffix(".away").rename(path)
    check(databases, 4)
    assert (city(databases), databases.broken) == ("Almaty", {})
    assert levels(caplog) == ["ERROR", "WARNING"]


@pytest.mark.parametrize("at_first", [None, b"", b"half"], ids=str)
def test_a_file_that_was_missing_or_broken_at_start_is_taken_in_when_it_is_there(tmp_path, at_first):
    path = tmp_path / "later.mmdb"
    if at_first is not None:
        path.write_bytes(at_first)
    databases = opened(path)
    assert city(databases) is None
    check(databases)
    write_mmdb(path, {V4: SEMEY})
    check(databases)
    assert (city(databases), databases.broken) == ("Semey", {})


def test_a_file_that_is_being_written_is_left_alone(path, whole, caplog):
    """However long it takes, nothing is said of it."""
    databases = opened(path)
    content = whole.read_bytes()
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(content), 500):
            file.write(content[start : start + 500])
            assert check(databases, 1) == [False]
    assert (city(databases), levels(caplog)) == ("Almaty", [])
    assert check(databases) == [True, False]  # the first of these saw what the last one above saw
    assert databases.look_up(ip_address("20.0.7.1")).city == "Almaty"


def test_one_file_of_a_pair_is_replaced(path, tmp_path):
    six = write_mmdb(tmp_path / "six.mmdb", {V6: ALMATY}, 6)
    databases = opened(path, six)
    rename_mmdb(six, {V6: SEMEY}, 6)
    check(databases)
    assert city(databases) == "Almaty"
    assert databases.look_up(ip_address("2001:db8:1::1")).city == "Semey"


def test_flipped_bytes_never_raise(path, whole):
    databases = opened(path)
    for content in flipped(whole.read_bytes(), 41):
        path.write_bytes(content)
        check(databases)
        databases.look_up(ADDRESS)
        databases.look_up(ip_address("20.0.7.1"))


def test_look_ups_go_on_while_files_are_replaced(path):
    databases = opened(path)
    found, done = set(), threading.Event()

    def keep_looking():
        while not done.is_set():
            found.add(city(databases))
            databases.look_up.cache_clear()

    threads = [threading.Thread(target=keep_looking) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(40):
        rename_mmdb(path, {V4: (SEMEY, ALMATY)[turn % 2]})
        assert check(databases) == [False, True]
    done.set()
    for thread in threads:
        thread.join()
    assert found == {"Almaty", "Semey"}
    assert databases.failures == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_old_readers_are_closed_and_nothing_is_left_on_disk():
    run_python("""
import itertools, os, sys, tempfile
from pathlib import Path
sys.path.insert(0, "tests")
from centtrack.geo.databases import GeoDatabases
from mmdb import V4, ALMATY, rename_mmdb, write_mmdb

def mapped(folder):
    return sum(folder in line for line in open("/proc/self/maps"))

with tempfile.TemporaryDirectory() as folder:
    path = write_mmdb(Path(folder) / "city.mmdb", {V4: ALMATY})
    databases = GeoDatabases([path])
    databases.open()
    descriptors = len(os.listdir("/proc/self/fd"))
    for turn in range(1, 21):
        rename_mmdb(path, {V4: ALMATY})
        assert [databases.refresh(turn * 1e9 + 10 * step) for step in range(2)] == [False, True]
    assert mapped(folder) == 1, mapped(folder)
    assert os.listdir(folder) == ["city.mmdb"], os.listdir(folder)
    assert len(os.listdir("/proc/self/fd")) == descriptors
""")


WORKER = """
import itertools, sys
from ipaddress import ip_address
from pathlib import Path
from centtrack.geo.databases import GeoDatabases

databases = GeoDatabases([Path(sys.argv[1])])
databases.open()
later = itertools.count(1e9, 10)
for line in sys.stdin:
    for _ in range(3):
        databases.refresh(next(later))
        databases.look_up.cache_clear()
        city = databases.look_up(ip_address("203.0.113.7")).city
    print(city, flush=True)
"""


def test_every_process_takes_it_in_and_none_dies_of_a_file_cut_short(path, whole):
    """A file that is mapped into memory and then cut short would end the process with SIGBUS."""
    with python(WORKER, path) as one, python(WORKER, path) as other:

        def cities():
            answers = []
            for worker in (one, other):
                worker.stdin.write("check\n")
                worker.stdin.flush()
                answers.append(worker.stdout.readline().strip())
            return answers

        assert cities() == ["Almaty"] * 2
        rename_mmdb(path, {V4: SEMEY})
        assert cities() == ["Semey"] * 2
        for _, content in damaged(whole.read_bytes()):
            path.write_bytes(content)
            assert cities() == ["Semey"] * 2
        path.unlink()
        assert cities() == ["Semey"] * 2
        write_mmdb(path, {V4: ALMATY})
        assert cities() == ["Almaty"] * 2


def test_without_room_for_a_copy_the_file_itself_is_read(path):
    output = run_python(
        """
import logging, resource, sys
from ipaddress import ip_address
from pathlib import Path
from centtrack.geo.databases import GeoDatabases

logging.basicConfig(stream=sys.stdout)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
databases = GeoDatabases([Path(sys.argv[1])])
databases.open()
print(databases.look_up(ip_address("203.0.113.7")).city)
""",
        path,
    )
    assert "no room for a copy" in output
    assert output.splitlines()[-1] == "Almaty"


def test_opened_anew_after_a_fork(path):
    run_python(
        """
import os, sys
from ipaddress import ip_address
from pathlib import Path
from centtrack.geo.databases import GeoDatabases

databases = GeoDatabases([Path(sys.argv[1])])
databases.open()
child = os.fork()
databases.open()
assert databases.look_up(ip_address("203.0.113.7")).city == "Almaty"
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
        path,
    )
