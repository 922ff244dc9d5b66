"""What a key implies: token and IDSN. Written from the RFCs and apart from the endpoints' own
derivation, since a capture is read to check the endpoints.

Read first: RFC 6824 §3.1-3.2 (SHA-1), RFC 8684 §3.1-3.2 (SHA-256).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Hash:
    name: str

    def token(self, key: int) -> int:
        """The most significant 32 bits of the hash."""
        return int.from_bytes(self._digest(key)[:4], "big")

    def idsn(self, key: int) -> int:
        """The least significant 64 bits of the hash."""
        return int.from_bytes(self._digest(key)[-8:], "big")

    def _digest(self, key: int) -> bytes:
        return _digest(self.name, key)


@lru_cache(maxsize=256)
def _digest(name: str, key: int) -> bytes:
    """The same few are asked for again and again while one connection is read."""
    return hashlib.new(name, key.to_bytes(8, "big")).digest()


SHA1 = Hash("sha1")
SHA256 = Hash("sha256")
