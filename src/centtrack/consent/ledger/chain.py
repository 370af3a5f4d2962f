"""The arithmetic of the ledger's chain: salted digests, links from each to the one before, and a keyed head.

The links hold digests and not the records themselves, so that a record can be erased and the chain still checked.
A digest is salted: without the salt, which is erased too, nobody can try whether it stands for a certain record.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec

from centtrack.errors import ConfigurationError

SALT_BYTES = 16
FIRST = bytes(32)
"""What the first record follows on."""

_LINK = b"centtrack consent ledger 1 link\0"
_HEAD = b"centtrack consent ledger 1 head\0"


class Row(NamedTuple):
    """A record as the ledger keeps it.

    Attributes:
        number: from 1, without gaps.
        receipt: for looking it up, as in the body; None when erased.
        replaces: likewise.
        body: the record, canonical JSON; None when erased.
        salt: random; None when erased.
        digest: of salt and body.
        previous: link of the row before.
        link: of number, previous and digest.
    """

    number: int
    receipt: str | None
    replaces: str | None
    body: str | None
    salt: bytes | None
    digest: bytes
    previous: bytes
    link: bytes


_Hex = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of the chain. Kept elsewhere, it shows later that nothing up to it was cut or rewritten.

    Attributes:
        number: of the last record; 0 before the first.
        link: of the last record, 64 hex digits.
        time: when it was written, UTC, to the minute.
        mac: HMAC-SHA-256 of the other three, 64 hex digits; None if it was written without a secret.
    """

    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    link: _Hex
    time: str
    mac: _Hex | None = None


def new_salt() -> bytes:
    """A random salt."""
    return secrets.token_bytes(SALT_BYTES)


def digest_of(salt: bytes, body: str) -> bytes:
    """What stands for a record in the chain."""
    return hashlib.sha256(salt + body.encode()).digest()


def link_of(number: int, previous: bytes, digest: bytes) -> bytes:
    """What the next record follows on."""
    return hashlib.sha256(_LINK + number.to_bytes(8) + previous + digest).digest()


class Seal:
    """Signs heads.

    Args:
        secrets: oldest to newest: the newest signs, all verify. Without any, nothing is signed.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = tuple(hmac.digest(secret, b"centtrack.consent.ledger", "sha256") for secret in secrets)

    @property
    def has_key(self) -> bool:
        """Whether there is a secret."""
        return bool(self._keys)

    def make_head(self, number: int, link: bytes, time: str) -> Head:
        """The head after a record, signed if there is a secret."""
        mac = _mac(self._keys[-1], number, link.hex(), time) if self._keys else None
        return Head(number, link.hex(), time, mac)

    def fits(self, head: Head) -> bool:
        """Whether one of the secrets has signed a head."""
        expected = [_mac(key, head.number, head.link, head.time) for key in self._keys]
        return head.mac is not None and any(hmac.compare_digest(head.mac, mac) for mac in expected)


def _mac(key: bytes, number: int, link: str, time: str) -> str:
    return hmac.digest(key, _HEAD + number.to_bytes(8) + bytes.fromhex(link) + time.encode(), "sha256").hex()


def write_head(head: Head) -> bytes:
    """A head as JSON."""
    return msgspec.json.format(msgspec.json.encode(head)) + b"\n"


def read_head(data: bytes) -> Head:
    """A head from JSON.

    Raises:
        ConfigurationError: if it is none.
    """
    try:
        return msgspec.json.decode(data, type=Head)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ConfigurationError(f"this is no head of a ledger as `verify --write-head` writes it: {error}") from None
