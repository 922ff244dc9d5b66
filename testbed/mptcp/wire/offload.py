"""A segment as a network card with offloads takes it: checksum partial, perhaps many packets in one frame.

Decides the headers of such a frame, and the packets that it becomes on its way. The card's part (finish the
checksum, cut at `Segment.cut`) is done by the kernel for a TUN; `parts` does the same in Python where there
is no such kernel. Knows no device.
Read first: RFC 9293 §3.1; the kernel's Documentation/networking/segmentation-offloads.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from testbed.mptcp.wire.checksum import finish, pseudo_header, residue
from testbed.mptcp.wire.options import encode_options
from testbed.mptcp.wire.segment import FIN, IPPROTO_TCP, PSH, Segment
from testbed.mptcp.wire.sequence import MASK32

_IPV4_TCP = struct.Struct("!BBHHHBBH4s4sHHIIBBHHH")
_IPV6_TCP = struct.Struct("!IHBB16s16sHHIIBBHHH")
CHECKSUM_OFFSET = 16  # of the checksum's field in the TCP header


@lru_cache(maxsize=1024)
def _constant_sums(src: bytes, dst: bytes, hop_limit: int) -> tuple[int, int]:
    """Residues of the IPv4 header and of the pseudo-header, both but for the length."""
    ipv4 = residue(struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0x4000, hop_limit, IPPROTO_TCP, 0) + src + dst)
    return ipv4, pseudo_header(src, dst, IPPROTO_TCP, 0)


def partial_header(segment: Segment) -> bytes:
    """IP header, TCP header and options of one frame; the payload follows them as it is.

    The TCP checksum field holds the sum of the pseudo-header, not complemented: whoever finishes it adds
    everything from the TCP header on, this field included, and complements. The IPv4 checksum is complete.
    """
    raw = encode_options(segment.options) if segment.options else b""
    src, dst = segment.src, segment.dst
    length = 20 + len(raw) + len(segment.payload)
    ipv4, pseudo = _constant_sums(src, dst, segment.hop_limit)
    tcp = (
        segment.sport,
        segment.dport,
        segment.seq,
        segment.ack,
        (20 + len(raw)) << 2,
        segment.flags,
        segment.window,
        (pseudo + length) % 0xFFFF,
        0,
    )
    if len(src) == 4:
        total = 20 + length
        head = (0x45, 0, total, 0, 0x4000, segment.hop_limit, IPPROTO_TCP, finish(ipv4 + total))
        return _IPV4_TCP.pack(*head, src, dst, *tcp) + raw
    return _IPV6_TCP.pack(6 << 28, length, IPPROTO_TCP, segment.hop_limit, src, dst, *tcp) + raw


def parts(segment: Segment) -> Iterator[Segment]:
    """The packets that a large frame becomes: options on each, PSH and FIN on the last. Else the segment."""
    payload, cut = segment.payload, segment.cut
    if not 0 < cut < len(payload):
        yield segment
        return
    for at in range(0, len(payload), cut):
        last = at + cut >= len(payload)
        yield replace(
            segment,
            seq=(segment.seq + at) & MASK32,
            flags=segment.flags if last else segment.flags & ~(FIN | PSH),
            payload=payload[at : at + cut],
            cut=0,
        )
