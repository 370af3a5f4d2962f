"""How many records an address may have the ledger write: anyone can post. In memory, and of hashed addresses only."""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address


class WriteLimit:
    """A bucket of writes for each address, which fills up again.

    An IPv6 network of /64 is one address: a single visitor has as many. All without an address share one bucket.

    Args:
        burst: writes that may come at once.
        refill_s: seconds until there is one more.
        max_addresses: of more than these, those that wrote longest ago are forgotten.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        *,
        burst: int = 60,
        refill_s: float = 6.0,
        max_addresses: int = 4_096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slack_s = (burst - 1) * refill_s
        self._refill_s = refill_s
        self._max_addresses = max_addresses
        self._clock = clock
        self._key = secrets.token_bytes(16)
        self._full_at: dict[bytes, float] = {}  # when a bucket is full again; oldest write first

    def take(self, address: str | None) -> int:
        """Take one write.

        Args:
            address: of the client; None if it isn't known.

        Returns:
            0 if it may be written, else the whole seconds to wait; such a call takes nothing.
        """
        key, now = self._hashed(address), self._clock()
        full_at = max(self._full_at.pop(key, now), now)
        wait_s = full_at - now - self._slack_s
        self._full_at[key] = full_at if wait_s > 0 else full_at + self._refill_s
        if len(self._full_at) > self._max_addresses:
            self._full_at.pop(next(iter(self._full_at)), None)
        return math.ceil(wait_s) if wait_s > 0 else 0

    def _hashed(self, address: str | None) -> bytes:
        return hashlib.blake2b(_network(address).encode(), key=self._key, digest_size=16).digest()


def _network(address: str | None) -> str:
    try:
        ip = ip_address(address or "")
    except ValueError:
        return address or ""
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or int(ip) >> 64)
