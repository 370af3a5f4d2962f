"""Writes entries of the cookie registry into a policy file. All that stands there stays, byte for byte."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from centtrack.errors import ConfigurationError
from centtrack.policy.model import UNCLASSIFIED, Cookie
from centtrack.policy.policy import PrivacyPolicy
from centtrack.policy.toml_lines import key_lines

_UNJUDGED = "# Nobody has judged this one yet: what is it for? Until then it counts as unknown."
_OTHER_COMMENT = re.compile(r"#.*[^\W\d_a-zA-Z]")  # a letter that English hasn't
_PROPOSED = "# Proposed from a list of well-known cookies: check it."


def append_cookies(path: Path, entries: Sequence[Cookie]) -> str:
    """Append `[[cookies]]` to a policy file. It is replaced at once, or left as it is.

    Args:
        path: the file.
        entries: what to append.

    Returns:
        What was appended.

    Raises:
        ConfigurationError: if the file can't be read or written, or its registry stands in one line.
        PolicyError: if the result were no valid policy.
    """
    target = path.expanduser().resolve()
    try:
        before = target.read_bytes()
        text = before.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"can't read the policy {path}: {error}") from None
    in_english = not _OTHER_COMMENT.search(text)
    added = "\n".join(write_entry(entry, commented=in_english) for entry in entries)
    _check_registry_is_open(path, text, added)
    ending = "\r\n" if "\r\n" in text else "\n"
    gap = "\n" if text.endswith("\n") or not text else "\n\n"
    after = before + (gap + added).replace("\n", ending).encode()
    PrivacyPolicy.parse(after.decode("utf-8"), source=str(path), folder=target.parent)
    try:
        _replace(target, after)
    except OSError as error:
        raise ConfigurationError(f"can't write {path}: {error.strerror}") from None
    return added


def write_entry(entry: Cookie, *, commented: bool = True) -> str:
    """An entry as TOML.

    Args:
        entry: what to write.
        commented: whether to say above it, in English, what an officer has to do.
    """
    comment = _UNJUDGED if entry.category == UNCLASSIFIED else _PROPOSED
    return "\n".join([*([comment] if commented else []), "[[cookies]]", *_lines(entry), ""])


def _lines(entry: Cookie) -> Iterator[str]:
    yield f"name = {_quoted(entry.name)}"
    yield f'category = "{entry.category}"'
    if entry.domain is not None:
        yield f"domain = {_quoted(entry.domain)}"
    if entry.path is not None:
        yield f"path = {_quoted(entry.path)}"
    if isinstance(entry.purpose, str):
        yield f"purpose = {_quoted(entry.purpose)}"
    else:
        texts = ", ".join(f"{language} = {_quoted(text)}" for language, text in entry.purpose.items())
        yield f"purpose = {{ {texts} }}"
    if entry.lifetime is not None:
        yield f"lifetime = {entry.lifetime}"


def _quoted(text: str) -> str:
    """A basic string of TOML. A name that visitors made up may hold anything, so what isn't a letter is escaped."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _check_registry_is_open(path: Path, text: str, added: str) -> None:
    values = tomllib.loads(text)
    if "cookies" not in values:
        return
    try:
        tomllib.loads(f"{text}\n{added}")
    except tomllib.TOMLDecodeError:
        line = key_lines(text).get(("cookies",))
        raise ConfigurationError(
            f"{path}, line {line}: the registry stands in one value, cookies = […], and nothing can be added after it. "
            f"Write its entries as [[cookies]] tables, or add these yourself:\n\n{added}"
        ) from None


def _replace(path: Path, content: bytes) -> None:
    """Put a file in another's place, with its mode and, where that is allowed, its owner."""
    found = path.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(found.st_mode & 0o7777)
        with contextlib.suppress(PermissionError, AttributeError):
            os.chown(name, found.st_uid, found.st_gid)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
