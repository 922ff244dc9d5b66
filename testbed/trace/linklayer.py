"""A frame as captured -> the IP packet in it.

Decides where the IP header begins for each link type that a capture of TCP usually has. Knows nothing
of TCP. A frame that carries something else than IP gives None; a link type that is not listed raises
`UnknownLinkType`, since then not one packet of the file could be read.
Read first: tcpdump.org's link-layer header types; RFC 894 and IEEE 802.1Q for Ethernet.
"""

from __future__ import annotations

from collections.abc import Callable

NAMES = {
    0: "loopback (null)",
    1: "Ethernet",
    12: "raw IP",
    14: "raw IP",
    101: "raw IP",
    108: "loopback (OpenBSD)",
    113: "Linux cooked",
    228: "IPv4",
    229: "IPv6",
    276: "Linux cooked v2",
}

_IP_TYPES = (0x0800, 0x86DD)
_VLAN_TYPES = (0x8100, 0x88A8, 0x9100)
# A loopback frame begins with the address family as the capturing system counts it: AF_INET is 2
# everywhere, AF_INET6 is 10 on Linux, 24, 28 or 30 on the BSDs.
_FAMILIES = (2, 10, 24, 28, 30)


class UnknownLinkType(ValueError):
    """`str()` names the type and those that can be read."""

    def __init__(self, link_type: int) -> None:
        known = ", ".join(f"{name} ({number})" for number, name in NAMES.items())
        super().__init__(f"link type {link_type}; expected one of: {known}")


def ip_packet(link_type: int, frame: bytes) -> bytes | None:
    """The IP packet, link-layer padding behind it included; None when the frame holds no IP."""
    open_frame = _OPENERS.get(link_type)
    if open_frame is None:
        raise UnknownLinkType(link_type)
    return open_frame(frame)


def sighting(link_type: int, frame: bytes) -> str:
    """Tells the places apart at which a capture on "any" interface saw one packet; empty elsewhere."""
    if link_type == 276 and len(frame) >= 20:
        return f"if{int.from_bytes(frame[4:8], 'big')}"
    if link_type == 113 and len(frame) >= 16:
        return "out" if frame[1] == 4 else "in"
    return ""


def _raw(frame: bytes) -> bytes | None:
    return frame if frame and frame[0] >> 4 in (4, 6) else None


def _ethernet(frame: bytes) -> bytes | None:
    at = 12
    while int.from_bytes(frame[at : at + 2], "big") in _VLAN_TYPES:
        at += 4
    return frame[at + 2 :] if int.from_bytes(frame[at : at + 2], "big") in _IP_TYPES else None


def _null(frame: bytes) -> bytes | None:
    family = frame[:4]
    if int.from_bytes(family, "little") in _FAMILIES or int.from_bytes(family, "big") in _FAMILIES:
        return _raw(frame[4:])
    return None


def _cooked(frame: bytes) -> bytes | None:
    return frame[16:] if int.from_bytes(frame[14:16], "big") in _IP_TYPES else None


def _cooked_2(frame: bytes) -> bytes | None:
    return frame[20:] if int.from_bytes(frame[:2], "big") in _IP_TYPES else None


_OPENERS: dict[int, Callable[[bytes], bytes | None]] = {
    0: _null,
    1: _ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: _null,
    113: _cooked,
    228: _raw,
    229: _raw,
    276: _cooked_2,
}
