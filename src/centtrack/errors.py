"""What centtrack raises. Everything derives from `CenttrackError`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CenttrackError(Exception):
    """Root of all errors of this library."""


class ConfigurationError(CenttrackError):
    """The configuration is wrong: raised at start, never while a request is served.

    A sink raises it from `open()` or `write()` for what somebody must mend: delivery to it pauses, and no event of the
    batch is given up.
    """


class MissingExtraError(ConfigurationError):
    """An optional dependency is not installed.

    Attributes:
        extra: name of the extra that brings it, as in `pip install 'centtrack[delta]'`.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an optional part of centtrack: pip install 'centtrack[{extra}]'")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a policy file.

    Attributes:
        line: line in the file, from 1; None if the policy did not come from a file.
        key: where it stands, as in `limits.default.geo`.
        message: what is wrong, what is allowed and, where there is one, the nearest spelling.
    """

    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        return f"{place}{self.key}: {self.message}" if self.key else f"{place}{self.message}"


class PolicyError(ConfigurationError):
    """A policy can't be used. Holds all mistakes of the file, in order of line.

    Attributes:
        source: the file, or "policy" for one made in code.
        problems: the mistakes.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line or 0, problem.key)))
        count = len(self.problems)
        lines = [f"{source} has {count} {'error' if count == 1 else 'errors'}:"]
        super().__init__("\n".join(lines + [f"  {problem}" for problem in self.problems]))


class UndeclaredEventError(CenttrackError):
    """In development: `track()` was called with a name or property that the policy doesn't declare, or too late."""


class GeoFileError(CenttrackError):
    """A geo database can't be used, or not be fetched."""


class JournalError(CenttrackError):
    """The journal can't be used: a newer version of centtrack wrote it, or it isn't a journal."""


class LedgerError(CenttrackError):
    """The consent ledger can't be read or written: its database is away, slow, or not what it should be."""


class SinkError(CenttrackError):
    """What a sink may raise from `write()` to say how to go on."""


class RetryLater(SinkError):  # noqa: N818 - the name is an instruction, as in the public design
    """The batch may work again later: the sink is down, busy or out of space.

    Attributes:
        after_s: seconds to wait at least, as from a Retry-After header; None to let the delivery choose.
    """

    def __init__(self, reason: str = "", *, after_s: float | None = None) -> None:
        self.after_s = after_s
        super().__init__(reason)


class Rejected(SinkError):  # noqa: N818 - see RetryLater
    """An event of the batch will never be accepted; it goes to the dead letters with this reason."""
