"""A frame as captured -> where the IP packet in it begins.

Decides this for each link type that a capture of TCP usually has, for frames of which only the beginning was
captured as well. Knows nothing of TCP. A frame that carries something else than IP has no such place; a link
type that is not listed raises `UnknownLinkType`.
Read first: tcpdump.org's link-layer header types; RFC 894, RFC 1042 and IEEE 802.1Q for Ethernet; RFC 1661
and RFC 1662 for PPP, RFC 2516 for PPPoE; radiotap.org and IEEE 802.11 §9.2 for wireless frames.
"""

from __future__ import annotations

from collections.abc import Callable

NAMES = {
    0: "loopback (null)",
    1: "Ethernet",
    9: "PPP",
    12: "raw IP",
    14: "raw IP",
    50: "PPP in HDLC framing",
    51: "PPPoE",
    101: "raw IP",
    105: "IEEE 802.11",
    108: "loopback (OpenBSD)",
    113: "Linux cooked",
    127: "IEEE 802.11 with radiotap",
    228: "IPv4",
    229: "IPv6",
    276: "Linux cooked v2",
}

NOT_IP = -1

_VLAN_TYPES = (0x8100, 0x88A8, 0x9100)
_PPPOE_SESSION = 0x8864
_LARGEST_LENGTH = 1500  # of the field where Ethernet II has a type
_LLC_SNAP = b"\xaa\xaa\x03"
_LLC_IP = b"\x06\x06\x03"
# A loopback frame begins with the address family as the capturing system counts it: AF_INET is 2
# everywhere, AF_INET6 is 10 on Linux, 24, 28 or 30 on the BSDs.
_FAMILIES = (2, 10, 24, 28, 30)


class UnknownLinkType(ValueError):
    """`str()` names the type and those that can be read."""

    def __init__(self, link_type: int) -> None:
        known = ", ".join(f"{name} ({number})" for number, name in NAMES.items())
        super().__init__(f"link type {link_type}; expected one of: {known}")


def ip_offset(link_type: int, frame: bytes) -> int:
    """Offset of the IP header in the frame; NOT_IP when the frame holds none.

    For example 14 for an Ethernet frame without a VLAN tag.
    """
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


def _ip_at(frame: bytes, at: int) -> int:
    return at if len(frame) > at and frame[at] >> 4 in (4, 6) else NOT_IP


def _raw(frame: bytes) -> int:
    return _ip_at(frame, 0)


def _ethernet(frame: bytes) -> int:
    return _typed(frame, 12)


def _typed(frame: bytes, at: int) -> int:
    """`at`: offset of an Ethernet type, or of a length with LLC behind it."""
    kind = int.from_bytes(frame[at : at + 2], "big")
    while kind in _VLAN_TYPES:
        at += 4
        kind = int.from_bytes(frame[at : at + 2], "big")
    if kind in (0x0800, 0x86DD):
        return at + 2
    if kind == _PPPOE_SESSION:
        return _pppoe_at(frame, at + 2)
    if kind <= _LARGEST_LENGTH:
        return _llc_at(frame, at + 2)
    return NOT_IP


def _llc_at(frame: bytes, at: int) -> int:
    """LLC and SNAP (RFC 1042); LLC alone may name IP as well."""
    if frame[at : at + 3] == _LLC_SNAP:
        known = frame[at + 3 : at + 6] in (b"\0\0\0", b"\0\0\xf8")
        return at + 8 if known and frame[at + 6 : at + 8] in (b"\x08\0", b"\x86\xdd") else NOT_IP
    return at + 3 if frame[at : at + 3] == _LLC_IP else NOT_IP


def _pppoe(frame: bytes) -> int:
    return _pppoe_at(frame, 0)


def _pppoe_at(frame: bytes, at: int) -> int:
    """A session packet: version and type 1, code 0, 6 bytes of header (RFC 2516 §4)."""
    return _ppp_at(frame, at + 6) if frame[at : at + 2] == b"\x11\0" else NOT_IP


def _ppp(frame: bytes) -> int:
    return _ppp_at(frame, 0)


def _ppp_at(frame: bytes, at: int) -> int:
    """Address and control may stand before the protocol, which may be one byte (RFC 1661 §6.5-§6.6)."""
    if frame[at : at + 2] == b"\xff\x03":
        at += 2
    first = frame[at : at + 1]
    if first in (b"\x21", b"\x57"):
        return _ip_at(frame, at + 1)
    return _ip_at(frame, at + 2) if frame[at : at + 2] in (b"\0\x21", b"\0\x57") else NOT_IP


def _null(frame: bytes) -> int:
    family = frame[:4]
    if int.from_bytes(family, "little") in _FAMILIES or int.from_bytes(family, "big") in _FAMILIES:
        return _ip_at(frame, 4)
    return NOT_IP


def _cooked(frame: bytes) -> int:
    return _typed(frame, 14) if len(frame) >= 16 else NOT_IP


def _cooked_2(frame: bytes) -> int:
    kind = int.from_bytes(frame[:2], "big")
    return 20 if kind in (0x0800, 0x86DD) and len(frame) >= 20 else NOT_IP


def _radiotap(frame: bytes) -> int:
    """Version 0, and the length of the whole header in little endian."""
    if len(frame) < 8 or frame[0] != 0:
        return NOT_IP
    length = int.from_bytes(frame[2:4], "little")
    return _wireless_at(frame, length, _padded(frame)) if length >= 8 else NOT_IP


def _padded(frame: bytes) -> bool:
    """Whether the 802.11 header is padded to 4 bytes: bit 0x20 of the field "flags".

    That field is the second: behind TSFT (8 bytes, aligned to 8), if that is there.
    """
    present = int.from_bytes(frame[4:8], "little")
    at, more = 8, present
    while more & 1 << 31 and at + 4 <= len(frame):
        more = int.from_bytes(frame[at : at + 4], "little")
        at += 4
    if not present & 2:
        return False
    if present & 1:
        at = (at + 7 & ~7) + 8
    return at < len(frame) and bool(frame[at] & 0x20)


def _wireless(frame: bytes) -> int:
    return _wireless_at(frame, 0, False)


def _wireless_at(frame: bytes, at: int, padded: bool) -> int:
    """A data frame that is not encrypted, with LLC and SNAP in it (IEEE 802.11 §9.3.2)."""
    control = frame[at : at + 2]
    if len(control) < 2 or control[0] & 0x0F != 0x08 or control[0] & 0x40 or control[1] & 0x40:
        return NOT_IP  # no data frame, or one without data, or an encrypted one
    size = 30 if control[1] & 0x03 == 0x03 else 24  # a fourth address from access point to access point
    if control[0] & 0x80:
        size += 2 + (4 if control[1] & 0x80 else 0)  # quality of service, and high throughput control
    if padded:
        size = size + 3 & ~3
    return _llc_at(frame, at + size)


_OPENERS: dict[int, Callable[[bytes], int]] = {
    0: _null,
    1: _ethernet,
    9: _ppp,
    12: _raw,
    14: _raw,
    50: _ppp,
    51: _pppoe,
    101: _raw,
    105: _wireless,
    108: _null,
    113: _cooked,
    127: _radiotap,
    228: _raw,
    229: _raw,
    276: _cooked_2,
}
