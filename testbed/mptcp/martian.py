"""Addresses that no TCP connection can have, as source or as destination ("martians").

Decides that from the addresses alone. A subnet's own broadcast address cannot be told from a host's without
the netmask; the kernel or the link has to keep it away.
Read first: RFC 9293 §3.9.2.3 (MUST-57, MUST-63), RFC 1122 §3.2.1.3, RFC 4291 §2.
"""

from __future__ import annotations

_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96 never appears in a packet (RFC 4942 §2.2)
_LOOPBACK_V6 = bytes(15) + b"\x01"


def is_loopback(address: bytes) -> bool:
    """127.0.0.0/8 or ::1."""
    return address[0] == 127 if len(address) == 4 else address == _LOOPBACK_V6


def is_host(address: bytes) -> bool:
    """Whether one host can have it: not multicast, broadcast or unspecified. `address`: 4 or 16 bytes."""
    if len(address) == 4:
        return address[0] != 0 and not 224 <= address[0] <= 239 and address != b"\xff" * 4
    return address[0] != 0xFF and any(address) and not address.startswith(_MAPPED)


def can_talk(one: bytes, other: bytes) -> bool:
    """Whether packets may go between these addresses: both are hosts', and loopback talks to loopback."""
    return is_host(one) and is_host(other) and is_loopback(one) == is_loopback(other)
