"""The command line: one file a command or group, which mirrors what the library can do."""

from __future__ import annotations

import sys

_COULD_NOT_RUN = 3  # as in cli/output.py, which needs the extra


def main() -> None:
    """Run `centtrack`. Without the extra `cli`, say what to install."""
    try:
        import rich
        import typer
    except ImportError:
        sys.stderr.write("the command line needs an optional part of centtrack: pip install 'centtrack[cli]'\n")
        sys.exit(_COULD_NOT_RUN)
    del rich, typer
    from centtrack.cli.app import run

    run()
