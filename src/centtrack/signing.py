"""What signs our cookies: itsdangerous with SHA-256, a salt for each purpose, and keys that can be rotated."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from centtrack.errors import ConfigurationError

MIN_SECRET = 32  # bytes
SECRET_VARIABLE = "CENTTRACK_SECRET"  # noqa: S105 - the name of a variable

SecretLike = str | bytes | Iterable[str | bytes] | None


def read_secrets(secret: SecretLike) -> tuple[bytes, ...]:
    """The keys, oldest to newest: all verify, the newest signs.

    Args:
        secret: one or several; None: those that `$CENTTRACK_SECRET` holds, with commas between them.

    Raises:
        ConfigurationError: if one is too short.
    """
    if secret is None:
        secret = [one.strip() for one in os.environ.get(SECRET_VARIABLE, "").split(",") if one.strip()]
    given = [secret] if isinstance(secret, (str, bytes)) else list(secret)
    secrets = tuple(one.encode() if isinstance(one, str) else one for one in given)
    if any(len(one) < MIN_SECRET for one in secrets):
        raise ConfigurationError(f"a secret has at least {MIN_SECRET} bytes: `openssl rand -hex 32` makes one")
    return secrets


def make_serializer(secrets: Sequence[bytes], purpose: str) -> URLSafeSerializer:
    """Signs and reads values for one purpose; what was signed for another isn't accepted.

    Args:
        secrets: the keys, oldest to newest; at least one.
        purpose: as in `consent`.
    """
    return URLSafeSerializer(
        list(secrets),
        salt=f"centtrack.{purpose}",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )


def read_signed(serializer: URLSafeSerializer, token: bytes) -> object:
    """The value that was signed; None if it wasn't, by any of the keys.

    Of the last character of a signature two bits stand for nothing: only the spelling that signing gives is taken.
    """
    try:
        value: object = serializer.loads(token)
        signature = token.rpartition(b".")[2]
        return value if base64_encode(base64_decode(signature)) == signature else None
    except BadData:
        return None
