"""An IP packet, of which perhaps only the beginning was captured -> what its headers say.

Decides what is known of a packet: addresses, ports, numbers and flags, or it is left out; the length of the
payload from the IP header, bounded by the frame's length on the wire; options as far as they were captured.
Contents of payloads are not kept. Checksums are not verified: captures of hosts with checksum offload hold
unfinished ones. The codec for whole segments is testbed/mptcp/wire; this view may have parts unknown.
Read first: RFC 791 §3.1, RFC 8200 §4, RFC 9293 §3.1.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_TCP = 6
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION, _MOBILITY, _HIP, _SHIM6 = (
    0, 43, 44, 51, 60, 135, 139, 140,
)  # fmt: skip
_LENGTH_IN_EIGHTS = (_HOP_BY_HOP, _ROUTING, _DESTINATION, _MOBILITY, _HIP, _SHIM6)
_MOST_EXTENSIONS = 64  # headers; more is no packet of a host
_IPV4 = struct.Struct("!BBHHHBBH4s4s").unpack_from
_PORTS = struct.Struct("!HHIIBB").unpack_from
_FLAGS_AT = 14  # bytes of a TCP header up to its flags, which are needed
_MIN_TCP = 20

NOT_CAPTURED = "headers not captured"


class Header(NamedTuple):
    """`length`: payload bytes on the wire. `options`: those bytes of the option block that were captured;
    `options_size`: how many it has. `payload_at`: offset of the payload in the frame."""

    src: bytes
    dst: bytes
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    options: bytes
    options_size: int
    length: int
    payload_at: int


def read_header(frame: bytes, at: int, wire: int) -> Header | str:
    """`at`: offset of the IP header; `wire`: length of the frame on the wire.

    A str says why the frame is left out.
    """
    if at >= len(frame):
        return NOT_CAPTURED
    version = frame[at] >> 4
    if version == 4:
        if len(frame) < at + 20:
            return "truncated IPv4 header" if wire < at + 20 else NOT_CAPTURED
        first, _, total, _, fragment, _, protocol, _, src, dst = _IPV4(frame, at)
        tcp = at + (first & 0x0F) * 4
        # What a host hands to its network card to cut up may say 0 for its length.
        end = at + total if total else wire
        if tcp < at + 20 or end < tcp:
            return "IPv4 lengths do not fit the packet"
        if fragment & 0x3FFF:
            return "IP fragment"
    elif version == 6:
        if len(frame) < at + 40:
            return "truncated IPv6 header" if wire < at + 40 else NOT_CAPTURED
        size = frame[at + 4] << 8 | frame[at + 5]
        src, dst = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
        end = at + 40 + size if size else wire
        protocol, tcp = frame[at + 6], at + 40
        if protocol != _TCP:
            found = _behind_extensions(frame, protocol, tcp)
            if isinstance(found, str):
                return found
            protocol, tcp = found
    else:
        return f"IP version {version}"
    if protocol != _TCP:
        return f"protocol {protocol}, not TCP"
    end = min(end, wire)
    if end - tcp < _MIN_TCP:
        return "truncated TCP header"
    if len(frame) < tcp + _FLAGS_AT:
        return NOT_CAPTURED
    sport, dport, seq, ack, offset, flags = _PORTS(frame, tcp)
    data = tcp + (offset >> 4) * 4
    if data < tcp + _MIN_TCP or data > end:
        return "TCP data offset does not fit the segment"
    window = int.from_bytes(frame[tcp + 14 : tcp + 16], "big")
    options = frame[tcp + _MIN_TCP : data] if data > tcp + _MIN_TCP else b""
    return Header(
        src, dst, sport, dport, seq, ack, flags, window, options, data - tcp - _MIN_TCP, end - data, data
    )


def _behind_extensions(frame: bytes, kind: int, at: int) -> tuple[int, int] | str:
    """Protocol and offset behind the extension headers (RFC 8200 §4); a str says why there is none."""
    for _ in range(_MOST_EXTENSIONS):
        if kind in _LENGTH_IN_EIGHTS:
            size = 8 + 8 * (frame[at + 1] if at + 1 < len(frame) else 0)
        elif kind == _AUTHENTICATION:
            size = 8 + 4 * (frame[at + 1] if at + 1 < len(frame) else 0)
        elif kind == _FRAGMENT:
            size = 8
        else:
            return kind, at
        if at + 4 > len(frame):
            return NOT_CAPTURED
        if kind == _FRAGMENT and int.from_bytes(frame[at + 2 : at + 4], "big") & 0xFFF9:
            return "IP fragment"
        kind, at = frame[at], at + size
    return "too many IPv6 extension headers"


def whole_options(block: bytes) -> int:
    """How many bytes of a cut option block are whole options."""
    at = 0
    while at < len(block):
        kind = block[at]
        if kind == 0:
            return len(block)
        if kind == 1:
            at += 1
            continue
        if at + 1 >= len(block) or block[at + 1] < 2 or at + block[at + 1] > len(block):
            return at
        at += block[at + 1]
    return at
