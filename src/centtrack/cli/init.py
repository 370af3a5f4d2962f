"""`centtrack init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from centtrack.cli.output import console
from centtrack.errors import ConfigurationError
from centtrack.policy.model import Language
from centtrack.policy.template import write_template

Profile = Literal["strict", "gdpr", "kz", "cent"]


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("privacy.toml"),
    profile: Annotated[Profile, typer.Option(help="Whose limits to start from.")] = "strict",
    lang: Annotated[Language, typer.Option(help="Language of the comments.")] = "en",
    site: Annotated[str, typer.Option(help="Name of the site.")] = "example.org",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented privacy.toml for a profile."""
    text = write_template(profile, lang, site=site)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already; --force overwrites it") from None
    except OSError as error:
        raise ConfigurationError(f"can't write {path}: {error.strerror}") from None
    console.print(
        f"Wrote {path}, profile {profile}. Next: read it, change it, then `centtrack policy check {path}`.",
        soft_wrap=True,
    )
