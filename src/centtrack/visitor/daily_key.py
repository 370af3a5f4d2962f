"""The daily key: tells the visits of one day apart, and nothing beyond it.

Plausible and others work so; what differs is that the salt is random for each day, never derived, and destroyed.
"""

from __future__ import annotations

import hmac

DAY_S = 86_400


def make_daily_key(salt: bytes, site: str, address: bytes, user_agent: bytes, bits: int) -> str:
    """HMAC-SHA256 (RFC 2104) of site, address and user agent under the salt of the day, in hex.

    Args:
        salt: of the day. Without it nobody can try all addresses.
        site: from the policy, so that no key is the same on two sites.
        address: 4 or 16 bytes.
        user_agent: as it came.
        bits: how many are kept, a multiple of 4. Fewer make visitors share a key, and hide them among each other.
    """
    message = b"\0".join((site.encode(), b"%d" % len(address), address, user_agent))
    return hmac.digest(salt, message, "sha256").hex()[: bits // 4]
