"""A TCP segment in an IPv4 or IPv6 packet <-> a value.

Decides header layouts and which packets are no TCP segment at all. Knows nothing of connections.
Read first: RFC 9293 §3.1, RFC 791 §3.1, RFC 8200 §3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from testbed.mptcp.wire.checksum import finish, pseudo_header, residue
from testbed.mptcp.wire.options import Option, encode_options, encoded_length, parse_options

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10
URG = 0x20

IPPROTO_TCP = 6
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_TCP = struct.Struct("!HHIIBBHHH")

FLAG_LETTERS = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (URG, "U"), (ACK, "."))


@dataclass(slots=True)
class Segment:
    """One TCP segment. `src` and `dst` are 4 or 16 bytes; `window` is the field as sent, unscaled.

    `cut`: payload bytes per packet when the segment is a large frame, to be cut on its way out with the
    same options on every part; 0 when it is one packet.
    """

    src: bytes
    dst: bytes
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int = 0
    options: tuple[Option, ...] = ()
    payload: bytes = b""
    hop_limit: int = field(default=64, compare=False)
    cut: int = field(default=0, compare=False)

    @property
    def header_length(self) -> int:
        """IP and TCP header with options, in bytes."""
        return (40 if len(self.src) == 4 else 60) + encoded_length(self.options)

    @property
    def length(self) -> int:
        """The IP packet's length in bytes."""
        return self.header_length + len(self.payload)

    @property
    def seq_length(self) -> int:
        """Sequence numbers used: payload, plus one each for SYN and FIN (RFC 9293 §3.4)."""
        flags = self.flags
        return len(self.payload) + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)

    def flag_text(self) -> str:
        """tcpdump's notation, for example `S.` or `P.`."""
        return "".join(letter for bit, letter in FLAG_LETTERS if self.flags & bit) or "none"


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Why bytes are no TCP segment: for the counter and the log."""

    why: str


def encode(segment: Segment) -> bytes:
    """The IP packet, both checksums filled in."""
    options = encode_options(segment.options)
    header = _TCP.pack(
        segment.sport,
        segment.dport,
        segment.seq,
        segment.ack,
        (5 + len(options) // 4) << 4,
        segment.flags,
        segment.window,
        0,
        0,
    )
    tcp = bytearray(header + options + segment.payload)
    total = pseudo_header(segment.src, segment.dst, IPPROTO_TCP, len(tcp)) + residue(tcp)
    struct.pack_into("!H", tcp, 16, finish(total))
    if len(segment.src) == 4:
        head = (0x45, 0, 20 + len(tcp), 0, 0x4000, segment.hop_limit, IPPROTO_TCP)
        checksum = finish(residue(_IPV4.pack(*head, 0, segment.src, segment.dst)))
        return _IPV4.pack(*head, checksum, segment.src, segment.dst) + tcp
    ipv6 = _IPV6.pack(6 << 28, len(tcp), IPPROTO_TCP, segment.hop_limit, segment.src, segment.dst)
    return ipv6 + tcp


def decode(packet: bytes | memoryview, *, verify: bool = True) -> Segment | Undecodable:
    """Never raises. `verify=False` accepts any TCP checksum (captures with offload, partial checksums).

    Only the payload is copied, once; of a memoryview nothing is kept.
    """
    size = len(packet)
    if not size:
        return Undecodable("empty packet")
    version = packet[0] >> 4
    if version == 4:
        if size < 20:
            return Undecodable("truncated IPv4 header")
        first, _, total, _, fragment, hop_limit, protocol, _, src, dst = _IPV4.unpack_from(packet)
        at = (first & 0x0F) * 4
        if at < 20 or total < at or total > size:
            return Undecodable("IPv4 lengths do not fit the packet")
        if fragment & 0x3FFF:
            return Undecodable("IP fragment")
        if verify and residue(packet[:at]) != 0:
            return Undecodable("wrong IPv4 header checksum")
    elif version == 6:
        if size < 40:
            return Undecodable("truncated IPv6 header")
        _, payload_length, protocol, hop_limit, src, dst = _IPV6.unpack_from(packet)
        at, total = 40, 40 + payload_length
        if total > size:
            return Undecodable("IPv6 length does not fit the packet")
    else:
        return Undecodable(f"IP version {version}")
    if protocol != IPPROTO_TCP:
        return Undecodable(f"protocol {protocol}, not TCP")
    if total - at < 20:
        return Undecodable("truncated TCP header")
    sport, dport, seq, ack, offset, flags, window, _, _ = _TCP.unpack_from(packet, at)
    data = at + (offset >> 4) * 4
    if data < at + 20 or data > total:
        return Undecodable("TCP data offset does not fit the segment")
    if verify and (pseudo_header(src, dst, IPPROTO_TCP, total - at) + residue(packet[at:total])) % 0xFFFF:
        return Undecodable("wrong TCP checksum")
    options = parse_options(bytes(packet[at + 20 : data])) if data > at + 20 else ()
    payload = bytes(packet[data:total])
    return Segment(src, dst, sport, dport, seq, ack, flags, window, options, payload, hop_limit)
