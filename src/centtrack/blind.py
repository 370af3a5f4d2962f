"""What holds even where the middleware fails: no cookie without consent. It needs nothing but the gate's list."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from centtrack.asgi import Message, Scope, Send
from centtrack.consent.gate import CookieGate
from centtrack.logs import describe, report

logger = logging.getLogger(__name__)


def listed(message: Message) -> Message:
    """The message with its headers as a list: they may be something that can be read only once."""
    headers = message.get("headers")
    if isinstance(headers, list) or not isinstance(headers, Iterable):
        return message
    return {**message, "headers": list(headers)}


def edit_blindly(gate: CookieGate, message: Message) -> Message:
    """The message with no other cookies than necessary ones, by their exact names. All else stays.

    Args:
        gate: knows these names.
        message: one whose headers are `listed`.
    """
    headers = message.get("headers")
    return {**message, "headers": gate.guard_blindly(headers).headers} if headers else message


def hide_blindly(gate: CookieGate, scope: Scope) -> Scope:
    """The scope with no other cookies, if the policy hides those that aren't granted."""
    return {**scope, "headers": gate.visible_blindly(scope["headers"])} if gate.hides else scope


class BlindSend:
    """Passes on the messages of a request that could not be begun."""

    def __init__(self, gate: CookieGate, send: Send) -> None:
        self._gate = gate
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        try:
            message = listed(message)
            message = edit_blindly(self._gate, message)
        except Exception as error:  # noqa: BLE001 - headers that aren't any: the server says what is wrong with them
            report(logger, logging.ERROR, "response_failed", "a response can't be read: %s", describe(error))
        await self._send(message)
