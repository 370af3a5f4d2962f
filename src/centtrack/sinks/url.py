"""URLs of sinks: read strictly, and never shown with what is secret in them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import SplitResult, unquote, urlsplit

from ada_url import idna_to_ascii

from centtrack.errors import ConfigurationError
from centtrack.spelling import nearest

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_PORT = re.compile(r"[0-9]{1,5}")
_UNSEEN = re.compile(r"[\x00-\x20\x7f]")

Host = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SinkUrl:
    """A sink's URL, in its parts. User, password and options are left out of its `repr`.

    Attributes:
        scheme: as it is written.
        hosts: name in small letters or address, and port; the default port where none is given.
        path: without the slash at its beginning, unquoted.
        user: None if there is none.
        password: None if there is none.
        options: what stands behind the question mark.
    """

    scheme: str
    hosts: tuple[Host, ...]
    path: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    options: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """The first host."""
        return self.hosts[0][0]

    @property
    def port(self) -> int:
        """Port of the first host."""
        return self.hosts[0][1]

    @property
    def servers(self) -> str:
        """Hosts with their ports, joined by commas: `one:9092,two:9092`, IPv6 addresses in brackets."""
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)

    def name(self, **identity: str) -> str:
        """The URL without credentials: what the sink is called.

        Args:
            **identity: options that say which target this is, as `table`, and what each is by default. Other values
                are shown: whether a default is written or not, the name is one.
        """
        given = {key: self.options.get(key, default) for key, default in identity.items()}
        shown = "&".join(f"{key}={value}" for key, value in given.items() if value != identity[key])
        return f"{self.scheme}://{self.servers}/{self.path}" + (f"?{shown}" if shown else "")

    def choice(self, option: str, *allowed: str) -> str:
        """The value of an option that has to be one of these; the first is the default.

        Raises:
            ConfigurationError: if it is another one.
        """
        value = self.options.get(option, allowed[0])
        if value not in allowed:
            raise ConfigurationError(f"{self.scheme}: option {option} is one of {', '.join(allowed)}")
        return value

    def is_on(self, option: str, *, default: bool) -> bool:
        """The value of an option that is `yes` or `no`.

        Raises:
            ConfigurationError: if it is neither.
        """
        return self.choice(option, *(("yes", "no") if default else ("no", "yes"))) == "yes"


def read_url(
    url: str, *, schemes: Collection[str], port: int, options: Sequence[str], needs_host: bool = True
) -> SinkUrl:
    """The parts of a sink's URL. No error shows a part of it but scheme, host names, and names of options.

    `${NAME}` in user, password and options stands for the environment's variable of that name.

    Args:
        url: as in `kafka://user:${KAFKA_PASSWORD}@one:9092,two:9092/topic?compression=zstd`.
        schemes: that are allowed.
        port: where none is given.
        options: that are allowed.
        needs_host: whether one must be named; else the client may know one by itself.

    Raises:
        ConfigurationError: if it is no such URL, a variable isn't set, or an option isn't known or is given twice.
    """
    scheme, parts = _split(url, schemes)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, has_password, password = credentials.partition(":")
    return SinkUrl(
        scheme=scheme,
        hosts=tuple(_read_host(scheme, host, port) for host in hosts.split(",") if hosts or needs_host),
        path=_plain(scheme, unquote(parts.path.removeprefix("/"))),
        user=filled(scheme, unquote(user)) if user else None,
        password=filled(scheme, unquote(password)) if has_password else None,
        options=read_options(scheme, parts.query, options),
    )


def _split(url: str, schemes: Collection[str]) -> tuple[str, SplitResult]:
    """The scheme, and the rest in its parts."""
    scheme, separator, rest = url.partition("://")
    if scheme not in schemes or not separator:
        wanted = " or ".join(f"{one}://HOST/…" for one in schemes)
        raise ConfigurationError(f"{scheme.partition(':')[0][:32]!r} begins no URL of this sink: write {wanted}")
    if _UNSEEN.search(url):
        raise ConfigurationError(
            f"the URL of {scheme}: holds a blank or a control character: write it as %20 and so on"
        )
    if "#" in rest:
        raise ConfigurationError(f"the URL of {scheme}: holds a #: in a password write it as %23")
    try:
        parts = urlsplit(f"//{rest}")
    except ValueError:  # its text shows the URL
        raise ConfigurationError(f"the URL of {scheme}: has a host that can't be read") from None
    refuse_at(scheme, parts.path + parts.query)
    return scheme, parts


def _read_host(scheme: str, text: str, port: int) -> Host:
    host, colon, digits = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, digits = text, str(port)
    host = host if host.isascii() else idna_to_ascii(host).decode()
    if not _HOST.fullmatch(host) or not _PORT.fullmatch(digits) or not 0 < int(digits) < 65_536:
        raise ConfigurationError(f"the URL of {scheme}: has no host as in HOST:{port} between // and the next /")
    return _canonical(host.strip("[]")), int(digits)


def _canonical(host: str) -> str:
    """A host in one spelling: a sink's name has it, and by that the policy's entry for the sink is found."""
    with contextlib.suppress(ValueError):
        return str(IPv6Address(host))
    return host.lower()


def refuse_at(scheme: str, rest: str) -> None:
    """See that no @ stands behind the host: half a password would be taken for a path, and shown.

    Raises:
        ConfigurationError: if one does.
    """
    if "@" in rest:
        raise ConfigurationError(
            f"the URL of {scheme}: holds an @ behind its host: in a password write / as %2F and ? as %3F, elsewhere "
            "@ as %40"
        )


def _plain(scheme: str, text: str) -> str:
    """A text that will be shown in lines of a log."""
    if not text.isprintable():
        raise ConfigurationError(f"the URL of {scheme}: holds a control character, written as %0A or the like")
    return text


def read_options(scheme: str, text: str, known: Sequence[str]) -> dict[str, str]:
    """Options as in `a=1&b=2`, with variables filled in. A plus sign is one: secrets in base64 have some.

    Raises:
        ConfigurationError: if one isn't known, or is given twice.
    """
    options: dict[str, str] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = map(unquote, pair.partition("="))
        if name not in known:
            there_are = f"there are {', '.join(known)}" if known else "there are none"
            raise ConfigurationError(f"{scheme}: has no option {name[:32]!r}; {there_are}.{nearest(name, known)}")
        if name in options:
            raise ConfigurationError(f"{scheme}: option {name} is given twice")
        options[name] = _plain(scheme, filled(scheme, value))
    return options


def filled(scheme: str, text: str, quote: Callable[[str], str] = str) -> str:
    """A text with the environment's values in the place of their names, as in `${NAME}`.

    Args:
        scheme: of the URL, for the error.
        text: part of it.
        quote: makes a value fit where it comes to stand.

    Raises:
        ConfigurationError: if a variable isn't set.
    """

    def value_of(found: re.Match[str]) -> str:
        value = os.environ.get(found[1])
        if value is None:
            raise ConfigurationError(f"the URL of {scheme}: names ${{{found[1]}}}, which the environment doesn't have")
        return quote(value)

    return _VARIABLE.sub(value_of, text)


def identifier(text: str, what: str) -> str:
    """A name of a table, a schema or a database, as it may stand in a statement.

    Args:
        text: the name.
        what: what it names, for the error.

    Raises:
        ConfigurationError: if it isn't small letters, digits and underscores, at most 63.
    """
    if not _IDENTIFIER.fullmatch(text):
        raise ConfigurationError(
            f"a name of {what} has small letters, digits and underscores, at most 63, and begins with no digit: "
            f"not {text[:64]!r}"
        )
    return text
