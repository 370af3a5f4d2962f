"""Ways to put a text into a request, or into what the app answers."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

from canary.secrets_of import Secret

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64{}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
CLIENT = "203.0.113.7"


@dataclass
class Request:
    """One request of the canary. What it is not told is plain."""

    path: str = "/"
    query: list[str] = field(default_factory=list)
    method: str = "GET"
    headers: list[tuple[str, str]] = field(default_factory=list)
    agent: str = CHROME.format("")
    client: str = CLIENT
    cookies: list[str] = field(default_factory=list)
    body: bytes | None = None
    answer: dict[str, Any] = field(default_factory=dict)
    messages: list[str] | None = None  # of a WebSocket


Put = Callable[[Request, str], None]


class Place(NamedTuple):
    """A place.

    Attributes:
        name: what it is called in the report.
        put: puts a text there.
        shown: limit → column in which its finest level lets words of this place through.
    """

    name: str
    put: Put
    shown: Mapping[str, str] = {}


class Plant(NamedTuple):
    """A secret in its place."""

    secret: Secret
    place: Place

    @property
    def name(self) -> str:
        return f"{self.secret.kind} in {self.place.name}"


# Ways to put a text somewhere.


def percent(text: str, times: int = 1) -> str:
    """Percent-encoded, that often."""
    for _ in range(times):
        text = quote(text, safe="")
    return text


def in_path(form: str, times: int = 1) -> Put:
    def put(request: Request, text: str) -> None:
        request.path += form.format(percent(text, times))

    return put


def in_query(form: str, times: int = 1) -> Put:
    return lambda request, text: request.query.append(form.format(percent(text, times)))


def in_header(name: str, form: str = "{}", encode: Callable[[str], str] = str) -> Put:
    return lambda request, text: request.headers.append((name, form.format(encode(text))))


def in_cookie(form: str) -> Put:
    return lambda request, text: request.cookies.append(form.format(percent(text)))


def in_agent(form: str) -> Put:
    def put(request: Request, text: str) -> None:
        request.agent = form.format(text)

    return put


def in_body(kind: str, form: str) -> Put:
    def put(request: Request, text: str) -> None:
        request.method, request.body = "POST", form.format(text).encode()
        request.headers.append(("Content-Type", kind))

    return put


def in_answer(name: str, form: str = "{}") -> Put:
    """In a header of the answer, or in its body. The app is told how to answer in a header that nobody reads."""

    def put(request: Request, text: str) -> None:
        request.answer.setdefault("headers", []).append([name, form.format(percent(text))])

    return put


def in_answer_body(request: Request, text: str) -> None:
    request.answer["body"] = text


def in_tracked(**form: str) -> Put:
    def put(request: Request, text: str) -> None:
        request.answer["track"] = {name: value.format(text) for name, value in form.items()}

    return put


def in_number(request: Request, text: str) -> None:
    request.answer["track"] = {"premium": int(re.sub(r"\D", "", text))}


def in_messages(request: Request, text: str) -> None:
    request.messages = [text, f'{{"message": "{text}"}}']


def in_address(form: str) -> Put:
    def put(request: Request, text: str) -> None:
        request.client = form.format(text)

    return put


def in_method(request: Request, text: str) -> None:
    request.method = text.upper()


def basic(text: str) -> str:
    return base64.b64encode(f"ivan:{text}".encode()).decode()
