"""The command line: one file a command or group, which mirrors what the library can do."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `centtrack`. Without the extra `cli`, say what to install."""
    try:
        import rich
        import typer
    except ImportError:
        sys.exit("the command line needs an optional part of centtrack: pip install 'centtrack[cli]'")
    del rich, typer
    from centtrack.cli.app import run

    run()
