"""Downloads over https, with limits, and errors that say what to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import IO, TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from centtrack import __version__
from centtrack.errors import ConfigurationError, GeoFileError, MissingExtraError

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S = 30.0  # without any progress
_DEADLINE_S = 3_600.0
_MAX_REDIRECTS = 5

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come, and how many it will be, if that is known."""


class NotThereError(GeoFileError):
    """The server doesn't have it: 404 or 410."""


def is_url(source: str) -> bool:
    """Whether a source is a URL, not a path."""
    return "://" in source


def download(url: str, file: IO[bytes], on_progress: Progress, max_bytes: int) -> None:
    """Download into a file. Only a plain User-Agent is sent, and what the URL itself says.

    Args:
        url: https; http only from this machine itself.
        file: where it goes.
        on_progress: told how far it is.
        max_bytes: the limit.

    Raises:
        NotThereError: if the server doesn't have it.
        GeoFileError: if it didn't come as a whole.
        ConfigurationError: if the URL is refused.
        MissingExtraError: if httpx isn't installed.
    """
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("Downloading", "cli") from None
    headers = {"User-Agent": f"centtrack/{__version__}", "Accept-Encoding": "identity"}
    try:
        with httpx.Client(headers=headers, timeout=_TIMEOUT_S) as client:
            _follow(client, url, file, on_progress, max_bytes)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        reason = str(error) or type(error).__name__
        raise GeoFileError(
            f"{shown_url(url)} could not be downloaded: {reason}. Try again, or get it another way and give the file"
        ) from None


def _follow(client: httpx.Client, url: str, file: IO[bytes], on_progress: Progress, max_bytes: int) -> None:
    """Each hop is a request of its own: nothing of the first is sent on to another server."""
    _refuse_open_ways(url)
    for _ in range(_MAX_REDIRECTS + 1):
        with client.stream("GET", url) as response:
            location = response.headers.get("Location") if response.is_redirect else None
            if location is None:
                _refuse_answers(response, url)
                return _write(response, file, on_progress, max_bytes)
        following = urljoin(url, location)
        if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
            raise GeoFileError(f"{shown_url(url)} leads to {shown_url(following)}, which isn't https: refused")
        _refuse_open_ways(following)
        url = following
    raise GeoFileError(f"{shown_url(url)}: more than {_MAX_REDIRECTS} redirects")


def _refuse_open_ways(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_allowed = parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname))
    except ValueError:
        is_allowed = False
    if not is_allowed:
        raise ConfigurationError(
            f"{shown_url(url)} is refused: only https, as anyone on the way could put in another file; http only from "
            "this machine. A file that you have got another way can be given as a path"
        )


def _is_here(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def _refuse_answers(response: httpx.Response, url: str) -> None:
    if response.status_code in {404, 410}:
        raise NotThereError(f"{shown_url(url)} isn't there ({response.status_code}). Is the address right?")
    if response.status_code in {401, 403}:
        raise GeoFileError(f"{shown_url(url)} wants an account or a key, or refuses this one ({response.status_code})")
    if response.status_code != 200:
        said = f"{response.status_code} {response.reason_phrase}".strip()
        raise GeoFileError(f"{shown_url(url)}: the server answered {said}. Try again later")


def _write(response: httpx.Response, file: IO[bytes], on_progress: Progress, max_bytes: int) -> None:
    """The bytes as they are on the wire: what is packed is unpacked later, within the limit."""
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isascii() and length.isdigit() else None
    done, until = 0, time.monotonic() + _DEADLINE_S
    for chunk in response.iter_raw(1 << 20):
        done += len(chunk)
        if max(done, total or 0) > max_bytes:
            raise GeoFileError(f"the download has more than {max_bytes:,} bytes: no geo database for this use has")
        if time.monotonic() > until:
            raise GeoFileError("the download took more than an hour. Try again, or get it another way")
        file.write(chunk)
        on_progress(done, total)


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(url)
        return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "").geturl()
    except ValueError:
        return "this URL"
