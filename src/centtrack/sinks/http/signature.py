"""Signatures of webhooks, by the specification Standard Webhooks 1.0.0."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

from centtrack.errors import ConfigurationError

_PREFIX = "whsec_"
_MIN_BYTES = 24
_HOW = "python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""


def read_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets in a text, joined by commas or blanks: `whsec_` and base64, or any text of 24 bytes and more.

    Raises:
        ConfigurationError: if there is none, or one isn't right; without showing it.
    """
    secrets = tuple(_read_secret(part) for part in re.split(r"[,\s]+", text) if part)
    if not secrets:
        raise ConfigurationError(f"https: option secret is empty. This makes one: {_HOW}")
    return secrets


def _read_secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if _PREFIX in text else text.encode()
    except binascii.Error:
        raise ConfigurationError(f"https: a secret begins with {_PREFIX}, but isn't base64 behind it") from None
    if len(secret) < _MIN_BYTES:
        raise ConfigurationError(f"https: a secret is shorter than {_MIN_BYTES} bytes. This makes one: {_HOW}")
    return secret


def sign(secrets: tuple[bytes, ...], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a request. While secrets change, it is signed with each, and the receiver takes any that it knows.

    Args:
        secrets: none: no signature.
        message_id: the same when it is sent again.
        timestamp: of this attempt, in seconds.
        body: as it is sent.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in secrets]
    if signatures:
        headers["webhook-signature"] = " ".join(f"v1,{signature}" for signature in signatures)
    return headers
