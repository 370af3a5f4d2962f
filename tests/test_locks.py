"""Locks that end with their holder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from centtrack.locks import FileLock
from processes import kill_group, python, run_python
from waiting import eventually


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.lock"


HOLDER = """
import sys, threading
from pathlib import Path
from centtrack.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire(blocking=True)
print("held", flush=True)
sys.stdin.readline()
"""


def test_one_holds_it(path):
    one, two = FileLock(path), FileLock(path)
    assert one.acquire(blocking=False)
    assert not two.acquire(blocking=False)
    assert (one.is_held, two.is_held) == (True, False)
    one.release()
    assert two.acquire(blocking=False)
    assert (one.is_held, two.is_held) == (False, True)
    two.release()


def test_releasing_twice_is_fine(path):
    lock = FileLock(path)
    lock.release()
    with lock:
        assert lock.is_held
    lock.release()
    assert not lock.is_held


def test_it_is_given_back_after_an_exception(path):
    lock = FileLock(path)
    with pytest.raises(ValueError, match="mine"), lock:
        raise ValueError("mine")
    assert FileLock(path).acquire(blocking=False) or not lock.is_held


def test_its_file_is_the_owners_only(path):
    before = os.umask(0)
    try:
        with FileLock(path):
            assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_symbolic_link_is_not_followed(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        FileLock(path).acquire(blocking=False)
    assert not (tmp_path / "elsewhere").exists()


def test_it_is_free_when_its_holder_is_killed(path):
    mine = FileLock(path)
    with python(HOLDER, path) as process:
        process.stdout.readline()
        assert not mine.acquire(blocking=False)
        kill_group(process)
        assert eventually(lambda: mine.acquire(blocking=False))
    mine.release()


def test_waiting_for_it(path):
    mine = FileLock(path)
    with python(HOLDER, path) as process:
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
        assert mine.acquire(blocking=True)
        process.wait(30)
    mine.release()


def test_a_program_that_was_started_does_not_keep_it(path):
    mine = FileLock(path)
    with mine:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
        )
    with child:
        assert eventually(lambda: mine.acquire(blocking=False))
        child.communicate(b"")
    mine.release()


FORK = """
import os, sys, warnings
from pathlib import Path
from centtrack.locks import FileLock
warnings.simplefilter("ignore", DeprecationWarning)
lock, probe = FileLock(Path(sys.argv[1])), FileLock(Path(sys.argv[1]))
lock.acquire(blocking=True)
read, write = os.pipe()
if (child := os.fork()) == 0:
    # The child has let go of it, but has not taken it from its parent.
    held, taken = lock.is_held, probe.acquire(blocking=False)
    lock.release()
    os.write(write, f"{held} {taken} {probe.acquire(blocking=False)}".encode())
    os.read(0, 1)  # lives on
    os._exit(0)
print(os.read(read, 100).decode(), lock.is_held, flush=True)
lock.release()
print(probe.acquire(blocking=False), flush=True)  # though the child lives
"""


def test_a_forked_child_neither_keeps_nor_frees_it(path):
    with python(FORK, path) as process:
        assert process.stdout.readline().split() == ["False", "False", "False", "True"]
        assert process.stdout.readline().split() == ["True"]


FORK_WHILE_WAITING = """
import os, sys, threading, time, warnings
from pathlib import Path
from centtrack.locks import FileLock
warnings.simplefilter("ignore", DeprecationWarning)
first, second, probe = (FileLock(Path(sys.argv[1])) for _ in range(3))
first.acquire(blocking=True)
waiter = threading.Thread(target=lambda: (second.acquire(blocking=True), second.release()))
waiter.start()
time.sleep(0.3)  # until it waits in the kernel; without it the test passes, but tests less
if os.fork() == 0:
    os.read(0, 1)  # lives on, with a copy of every descriptor
    os._exit(0)
first.release()
waiter.join()
print(probe.acquire(blocking=False), flush=True)
"""


def test_a_child_that_was_forked_while_a_thread_waited_does_not_keep_it(path):
    """It would stop all processes of the host for as long as it lives."""
    with python(FORK_WHILE_WAITING, path) as process:
        assert process.stdout.readline().split() == ["True"]


def test_a_file_that_was_replaced_protects_nothing(path):
    """Two processes would each hold a lock, on files of the same name."""
    old = FileLock(path)
    with old:
        path.unlink()
        with FileLock(path) as new:
            assert new.is_held
            assert not FileLock(path).acquire(blocking=False)


def test_it_is_taken_by_one_at_a_time(path, tmp_path):
    """Four processes count in a file, each reading before it writes."""
    script = """
import sys
from pathlib import Path
from centtrack.locks import FileLock
lock, counter = FileLock(Path(sys.argv[1])), Path(sys.argv[2])
for _ in range(250):
    with lock:
        counter.write_text(str(int(counter.read_text()) + 1))
"""
    counter = tmp_path / "counter"
    counter.write_text("0")
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(path), str(counter)], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    run_python(script, path, counter)
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert errors == b""
    assert counter.read_text() == "1000"
