"""Keys and what is derived from them: tokens, initial data sequence numbers, HMACs.

Decides no policy: which hash belongs to a profile is in profiles.py, when a key is drawn or verified
in listener.py and connection.py. Read first: RFC 8684 §3.1-§3.2, RFC 6824 §3.1-§3.2.
"""

from __future__ import annotations

import hashlib
import hmac
import struct


def token_and_idsn(key: int, sha256: bool) -> tuple[int, int]:
    """The 32-bit token and the 64-bit IDSN of a key: both ends of its hash (RFC 8684 §3.1)."""
    digest = (hashlib.sha256 if sha256 else hashlib.sha1)(key.to_bytes(8, "big")).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[-8:], "big")


def _hmac(sha256: bool, first_key: int, second_key: int, message: bytes) -> bytes:
    secret = struct.pack("!QQ", first_key, second_key)
    return hmac.digest(secret, message, "sha256" if sha256 else "sha1")


def join_hmac(own_key: int, peer_key: int, own_nonce: int, peer_nonce: int, sha256: bool) -> bytes:
    """HMAC-A when called by the joining side, HMAC-B by the other (RFC 8684 §3.2), untruncated.

    The SYN/ACK carries its leftmost 64 bits, the third ACK its leftmost 160.
    """
    return _hmac(sha256, own_key, peer_key, struct.pack("!II", own_nonce, peer_nonce))


def add_addr_hmac(own_key: int, peer_key: int, address_id: int, address: bytes, port: int) -> bytes:
    """The 8 bytes that protect an ADD_ADDR: the *rightmost* 64 bits (RFC 8684 §3.4.1). Port 0 if none."""
    message = bytes((address_id,)) + address + struct.pack("!H", port)
    return _hmac(True, own_key, peer_key, message)[-8:]
