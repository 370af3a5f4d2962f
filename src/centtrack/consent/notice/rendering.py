"""The templates of the consent pages, with what they need to put values into words. Everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from centtrack.consent.notice.languages import LANGUAGES, pick_words, say_date, say_lifetime, texts_in
from centtrack.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from jinja2 import Environment


def open_templates(folder: Path | None) -> Environment:
    """The templates of the pages, those of a folder before ours.

    Raises:
        ConfigurationError: if the folder isn't there.
        MissingExtraError: without jinja2.
    """
    try:
        from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("the consent page", "consent") from None
    if folder is not None and not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder; templates= takes the folder of your own templates")
    ours = PackageLoader("centtrack.consent.notice")
    pages = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder), ours]) if folder else ours,
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,  # what the ledger keeps is what the page says
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"date": say_date, "lasts": say_lifetime, "words": pick_words}
    pages.filters |= {"fill": _fill, "names": _names, "web_link": _web_link}
    pages.globals |= {"languages": {name: texts_in(name)["language_name"] for name in LANGUAGES}}
    return pages


def _fill(text: str, **values: str) -> str:
    return text.format(**values)


def _names(categories: Iterable[str], language: str) -> str:
    """Categories as they stand in a sentence."""
    return ", ".join(texts_in(language)["category"][name].lower() for name in categories)


def _web_link(text: str | None) -> str | None:
    """The address if it is one that may be linked: http or https, nothing else."""
    try:
        parts = urlsplit(text or "")
    except ValueError:
        return None
    return text if text and parts.scheme in {"http", "https"} and parts.hostname else None
