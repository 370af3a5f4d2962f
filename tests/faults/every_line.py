"""Faults at every line: which lines of centtrack run in this thread, and an exception at any one of them."""

from __future__ import annotations

import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import centtrack

SOURCE = str(Path(centtrack.__file__).parent) + "/"


_FOR_TESTS = SOURCE + "testing.py"


def _is_ours(file: str) -> bool:
    return file.startswith(SOURCE) and file != _FOR_TESTS


class FaultError(Exception):
    """What is injected. None of our own code may let it through."""


class Line(NamedTuple):
    """A line of ours."""

    code: CodeType
    number: int

    @property
    def file(self) -> str:
        """Its file, from the package on."""
        return self.code.co_filename.removeprefix(SOURCE)

    @property
    def text(self) -> str:
        """What stands there, without a comment."""
        return linecache.getline(self.code.co_filename, self.number).partition("  #")[0].strip()

    def __str__(self) -> str:
        return f"{self.file}: {self.code.co_qualname}: {self.text}"


@contextmanager
def tracing(hit: Callable[[Line], None]) -> Iterator[None]:
    """Call a function before each line of ours that runs in this thread. Once it has raised, it is called no more."""

    inside: set[tuple[FrameType, int]] = set()

    def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
        return step if _is_ours(frame.f_code.co_filename) else None

    def step(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            line = Line(frame.f_code, frame.f_lineno)
            if not leaves(frame, line):
                hit(line)
        return step

    def leaves(frame: FrameType, line: Line) -> bool:
        """Whether a with block ends: its line comes again then, and what raised there would keep a lock for ever."""
        if line.text.startswith(("with ", "async with ")):
            inside.symmetric_difference_update({(frame, line.number)})
            return (frame, line.number) not in inside
        return False

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)


def lines_of(run: Callable[[], object]) -> Counter[Line]:
    """The lines that run, and how often each does."""
    ran: Counter[Line] = Counter()

    def count(line: Line) -> None:
        ran[line] += 1

    with tracing(count):
        run()
    return ran


@contextmanager
def fault_at(line: Line, time: int) -> Iterator[list[Line]]:
    """Raise at this line, when it runs for this time. What is returned holds the line once that has happened."""
    ran, raised = 0, []

    def hit(other: Line) -> None:
        nonlocal ran
        if other == line:
            ran += 1
            if ran == time:
                raised.append(line)
                raise FaultError(str(line))

    with tracing(hit):
        yield raised
