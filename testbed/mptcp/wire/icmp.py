"""What a router says about a packet of ours that was too big for its next link.

Decides which ICMP messages say so, about which TCP segment, and which MTU they name. Whether to believe them
is not decided here: anybody can send them. Never raises.
Read first: RFC 1191 §4 (IPv4), RFC 4443 §3.2 and RFC 8201 §4 (IPv6).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from testbed.mptcp.wire.checksum import residue
from testbed.mptcp.wire.segment import IPPROTO_TCP, Undecodable

DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED = 3, 4  # ICMP type and code
PACKET_TOO_BIG = 2  # ICMPv6 type
SMALLEST_IPV4, SMALLEST_IPV6 = 68, 1280  # MTU of any link
_ICMP = struct.Struct("!BBHHH")  # type, code, checksum, unused, next-hop MTU
_ICMPV6 = struct.Struct("!BBHI")  # type, code, checksum, MTU
_TCP_START = struct.Struct("!HHI")  # what is quoted of a TCP header at the least: ports, sequence number


@dataclass(frozen=True, slots=True)
class TooBig:
    """`local` and `remote` are address and port of the segment as we sent it, `seq` its first byte."""

    local: tuple[bytes, int]
    remote: tuple[bytes, int]
    seq: int
    mtu: int


def too_big_ipv4(packet: bytes) -> TooBig | Undecodable:
    """From an ICMP packet with its IPv4 header, as a raw socket gives it."""
    start = (packet[0] & 0x0F) * 4 if packet else 0
    message = packet[start:]
    if start < 20 or len(message) < _ICMP.size:
        return Undecodable("truncated ICMP message")
    kind, code, _, _, mtu = _ICMP.unpack_from(message)
    if (kind, code) != (DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED):
        return Undecodable(f"ICMP type {kind} code {code}")
    if residue(message):
        return Undecodable("wrong ICMP checksum")
    if mtu < SMALLEST_IPV4:
        return Undecodable(f"an MTU of {mtu}: routers that name none are not supported")
    quoted = message[_ICMP.size :]
    if len(quoted) < 20 or quoted[0] >> 4 != 4:
        return Undecodable("no IPv4 header quoted")
    if int.from_bytes(quoted[6:8], "big") & 0x1FFF:
        return Undecodable("about a later fragment")
    return _about(quoted[12:16], quoted[16:20], quoted[9], quoted[(quoted[0] & 0x0F) * 4 :], mtu)


def too_big_ipv6(message: bytes) -> TooBig | Undecodable:
    """From an ICMPv6 message without its IPv6 header; raw sockets give it so, and only if its checksum is
    right."""
    if len(message) < _ICMPV6.size:
        return Undecodable("truncated ICMPv6 message")
    kind, _, _, mtu = _ICMPV6.unpack_from(message)
    if kind != PACKET_TOO_BIG:
        return Undecodable(f"ICMPv6 type {kind}")
    if mtu < SMALLEST_IPV6:
        return Undecodable(f"an MTU of {mtu}, below that of any IPv6 link")
    quoted = message[_ICMPV6.size :]
    if len(quoted) < 40 or quoted[0] >> 4 != 6:
        return Undecodable("no IPv6 header quoted")
    return _about(quoted[8:24], quoted[24:40], quoted[6], quoted[40:], mtu)


def _about(src: bytes, dst: bytes, protocol: int, tcp: bytes, mtu: int) -> TooBig | Undecodable:
    if protocol != IPPROTO_TCP:
        return Undecodable(f"about protocol {protocol}, not TCP")
    if len(tcp) < _TCP_START.size:
        return Undecodable("too little of the TCP header is quoted")
    sport, dport, seq = _TCP_START.unpack_from(tcp)
    return TooBig((src, sport), (dst, dport), seq, mtu)
