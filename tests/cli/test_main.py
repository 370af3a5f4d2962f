"""The command without what it needs."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_could_not_run(missing):
    source = "import sys; sys.modules[sys.argv[1]] = None; from centtrack.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", source, missing], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == "the command line needs an optional part of centtrack: pip install 'centtrack[cli]'\n"
