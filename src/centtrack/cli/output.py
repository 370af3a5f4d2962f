"""What all commands print with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from centtrack.delivery.paths import known_journals
from centtrack.errors import ConfigurationError
from centtrack.folders import state_folder
from centtrack.policy.policy import POLICY_VARIABLE, PrivacyPolicy
from centtrack.sinks.open import SINK_VARIABLE

FINDING = 1
WRONG_USE = 2
COULD_NOT_RUN = 3

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy", help=f"The privacy.toml that applies. Default: ${POLICY_VARIABLE}, else the profile strict."
    ),
]
SinkOption = Annotated[
    str | None, typer.Option("--sink", help=f"The sink's URL, as in delta:./telemetry. Default: ${SINK_VARIABLE}.")
]
LakeArgument = Annotated[
    str | None,
    typer.Argument(help=f"What to read: delta:FOLDER or jsonl:FILE. Default: ${SINK_VARIABLE}.", show_default=False),
]
ProxiesOption = Annotated[
    list[str],
    typer.Option(
        "--trusted-proxy", help="A network, an address or `unix`, as trusted_proxies of the middleware; repeat."
    ),
]


def read_policy(path: Path | None) -> PrivacyPolicy:
    """The policy that a command works under."""
    return PrivacyPolicy.resolve(path)


def read_sink(url: str | None) -> str:
    """The sink's URL, from the option or the environment.

    Raises:
        ConfigurationError: if there is none.
    """
    found = url or os.environ.get(SINK_VARIABLE)
    if not found:
        raise ConfigurationError(f"which sink? Give its URL, as in delta:./telemetry, or set ${SINK_VARIABLE}")
    return found


JournalOption = Annotated[
    Path | None, typer.Option("--journal", help="The journal's file. Default: the one in the user's state folder.")
]


def find_journal(given: Path | None) -> Path | None:
    """The journal that a command works on; None if there is none yet.

    Raises:
        ConfigurationError: if none is named, and there are several.
    """
    known = [given] if given else known_journals()
    if len(known) > 1:
        listed = "".join(f"\n  {path}" for path in known)
        raise ConfigurationError(f"several apps have a journal here; say which one with --journal:{listed}")
    return known[0] if known else None


def print_no_journal() -> None:
    """Say that there is no journal yet."""
    console.print(f"No journal in {state_folder()}: nothing has run here yet.", markup=False, soft_wrap=True)


def printable(text: str) -> str:
    """A text as it may be printed: others' could hold what a terminal obeys."""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


NOTHING_YET = "Nothing is here yet. `centtrack status` says what is held back, and until when."


def bar(share: float, width: int = 24) -> str:
    """A bar of eighths of a character, for a share from 0 to 1."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")
