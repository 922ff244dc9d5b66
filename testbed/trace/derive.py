"""What a key implies: token, IDSN, HMACs. Written from the RFCs and apart from the endpoints' own
derivation, since a capture is read to check the endpoints.

Read first: RFC 6824 §3.1-3.2 (SHA-1), RFC 8684 §3.1-3.2 (SHA-256).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hash:
    name: str

    def token(self, key: int) -> int:
        """The most significant 32 bits of the hash."""
        return int.from_bytes(self._digest(key)[:4], "big")

    def idsn(self, key: int) -> int:
        """The least significant 64 bits of the hash."""
        return int.from_bytes(self._digest(key)[-8:], "big")

    def join(self, keys: tuple[int, int], nonces: tuple[int, int]) -> bytes:
        """The HMAC of the host whose key and nonce come first; untruncated."""
        secret = b"".join(key.to_bytes(8, "big") for key in keys)
        message = b"".join(nonce.to_bytes(4, "big") for nonce in nonces)
        return hmac.new(secret, message, self.name).digest()

    def _digest(self, key: int) -> bytes:
        return hashlib.new(self.name, key.to_bytes(8, "big")).digest()


SHA1 = Hash("sha1")
SHA256 = Hash("sha256")
