"""A posted choice: whether it comes from this site, and what it says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Sequence
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qs

import msgspec

from centtrack.asgi import RawHeaders

MAX_BODY = 4_096  # bytes
FORM, JSON = "application/x-www-form-urlencoded", "application/json"

_ORIGIN = re.compile(rb"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")
_HOST = re.compile(rb"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?")
_PORTS = {b"http": 80, b"https": 443}


class RefusedPostError(Exception):
    """A post that isn't taken.

    Attributes:
        status: what it is answered with.
        reason: what was wrong, and what to do; nothing of what was posted.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


class Posted(msgspec.Struct, frozen=True):
    """The fields of a post; others are ignored.

    Attributes:
        choice: `accept`, `refuse` or `save`; for withdrawing it isn't needed.
        category: what is granted, with `save`.
        lang: language of what the visitor was shown.
        back: path of this site to go back to.
        via: `form` or `banner`.
        policy: `PrivacyPolicy.consent_hash` of what the visitor was shown; None if it isn't said.
    """

    choice: Literal["accept", "refuse", "save", ""] = ""
    category: tuple[str, ...] = ()
    lang: str = ""
    back: str = ""
    via: str = ""
    policy: str | None = None

    def granted(self, asked: Sequence[str]) -> frozenset[str]:
        """The categories that are granted.

        Args:
            asked: the categories that visitors are asked about.

        Raises:
            RefusedPostError: if it names another, or makes no choice.
        """
        if not self.choice:
            raise _bad("choice is missing: accept, refuse or save")
        if not set(self.category) <= set(asked):
            raise _bad(f"an unknown category: this site asks about {', '.join(asked) or 'none'}")
        every = {"accept": asked, "refuse": (), "save": self.category}
        return frozenset(every[self.choice])


def refuse_other_sites(headers: RawHeaders, scheme: str) -> None:
    """Refuse what another site made the browser post. `Sec-Fetch-Site` decides; older browsers only send `Origin`.

    Args:
        headers: of the request.
        scheme: of the request: what came over HTTPS can't come from a page that didn't.

    Raises:
        RefusedPostError: if it comes from another site, or doesn't tell.
    """
    sites, origins, hosts = (
        [value.strip(b" \t") for key, value in headers if key.lower() == name]
        for name in (b"sec-fetch-site", b"origin", b"host")
    )
    if sites:
        is_ours = len(sites) == 1 and sites[0] in {b"same-origin", b"none"}
    else:
        is_ours = len(origins) == len(hosts) == 1 and _is_origin_of(origins[0], hosts[0], scheme)
    if not is_ours:
        raise RefusedPostError(
            HTTPStatus.FORBIDDEN, "a choice must come from a page of this site (headers Sec-Fetch-Site and Origin)"
        )


def _is_origin_of(origin: bytes, host: bytes, scheme: str) -> bool:
    """Whether an Origin is the same as a Host. A proxy may have ended HTTPS, so `https` fits any scheme."""
    one, other = _ORIGIN.fullmatch(origin), _HOST.fullmatch(host)
    if one is None or other is None or (scheme == "https" and one[1] != b"https"):
        return False
    default = _PORTS[one[1]]
    return (one[2].lower(), int(one[3] or default)) == (other[1].lower(), int(other[2] or default))


async def read_body(chunks: AsyncIterable[bytes]) -> bytes:
    """The body, counted while it is read.

    Raises:
        RefusedPostError: if it is longer than 4 KB.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY:
            raise RefusedPostError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a choice has at most {MAX_BODY} bytes; this one is longer"
            )
    return bytes(body)


def media_type(content_type: str, body: bytes) -> str:
    """The type without its parameters. Nothing at all, as a script may post it to withdraw, counts as JSON.

    Raises:
        RefusedPostError: if it is neither a form's nor JSON.
    """
    found = content_type.partition(";")[0].strip(" \t").lower()
    if not found and not body:
        return JSON
    if found not in {FORM, JSON}:
        raise RefusedPostError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a choice is posted as {FORM} or {JSON}")
    return found


def read_posted(body: bytes, kind: str) -> Posted:
    """What a body says.

    Raises:
        RefusedPostError: if it can't be read, has a choice that isn't one, or a field twice that there is only once.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=Posted) if kind == JSON else _read_form(body)
    except msgspec.ValidationError:
        raise _bad("choice is accept, refuse or save; category is a list; lang, back, via, policy are text") from None
    except (msgspec.DecodeError, ValueError, RecursionError):  # ValueError: not UTF-8, or too many fields
        raise _bad(f"the body can't be read as {kind} in UTF-8") from None


def _read_form(body: bytes) -> Posted:
    fields = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=64)
    lists = {"category": fields.pop("category", [])}
    doubled = [name for name in Posted.__struct_fields__ if len(fields.get(name, ())) > 1]
    if doubled:
        raise _bad(f"{doubled[0]} stands there twice: only category may")
    return msgspec.convert({name: values[0] for name, values in fields.items()} | lists, Posted)


def _bad(reason: str) -> RefusedPostError:
    return RefusedPostError(HTTPStatus.BAD_REQUEST, reason)
