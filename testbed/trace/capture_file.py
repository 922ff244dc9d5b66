"""A pcap or pcapng file -> its frames, with times in nanoseconds and the comments of the wire.

Decides what a readable capture is. A file that ends within a record is read up to that record, with a
warning; a file that is no capture, or is damaged, ends in a UserError that names the file, the offset and
what was expected there. Knows frames as bytes; what is in them is linklayer.py's and headers.py's. The blocks
of pcapng are read by blocks.py.
Read first: draft-ietf-opsawg-pcap §4-5, draft-ietf-opsawg-pcapng §3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from testbed.errors import UserError
from testbed.trace.blocks import SECTION_HEADER, read_blocks
from testbed.trace.linklayer import NAMES, UnknownLinkType
from testbed.trace.source import BILLION, LARGEST_FRAME, Frame, Source, Warn, cut_short, opened

_CLASSIC = {
    # magic: (byte order, nanoseconds per unit of the fraction)
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b23c4d"): (">", 1),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
}


def frames(path: Path, warn: Warn = lambda message: None) -> Iterator[Frame]:
    """Every frame of the file, in its order; `-` is standard input.

    `warn` is called with one line when the file ends within a record. UserError when it is no capture.
    """
    with opened(path) as source:
        magic = source.read(4)
        if magic in _CLASSIC:
            yield from _classic(source, warn, *_CLASSIC[magic])
        elif magic == SECTION_HEADER:
            yield from read_blocks(source, warn)
        else:
            raise UserError(_foreign(source.name, magic))


def _foreign(name: str, magic: bytes) -> str:
    if not magic:
        return f"{name}: offset 0: empty file; expected a pcap or pcapng capture"
    return (
        f"{name}: offset 0: {magic.hex(' ')}; expected a pcap capture (a1 b2 c3 d4 or a1 b2 3c 4d, in either "
        "byte order) or a pcapng capture (0a 0d 0d 0a)"
    )


def _classic(source: Source, warn: Warn, order: str, scale: int) -> Iterator[Frame]:
    head = source.read(20)
    if len(head) < 20:
        raise UserError(
            f"{source.name}: offset 0: truncated; expected a file header of 24 bytes, found {len(head) + 4}"
        )
    # The upper bits of the last field may tell the length of a frame check sequence.
    link_type = struct.unpack(f"{order}HHiIII", head)[-1] & 0xFFFF
    unpack = struct.Struct(f"{order}IIII").unpack
    number = 0
    while True:
        offset = source.at
        head = source.read(16)
        if len(head) < 16:
            if head or source.cut:
                warn(cut_short(source, offset, number, f"a header of 16 bytes, found {len(head)}"))
            return
        seconds, fraction, captured, length = unpack(head)
        if captured > LARGEST_FRAME:
            raise UserError(
                f"{source.name}: offset {offset}: a packet of {captured} bytes; expected at most "
                f"{LARGEST_FRAME}: the file is damaged"
            )
        data = source.read(captured)
        if len(data) < captured:
            warn(cut_short(source, offset, number, f"a packet of {captured} bytes, found {len(data)}"))
            return
        if link_type not in NAMES:
            raise UserError(f"{source.name}: offset {offset}: {UnknownLinkType(link_type)}")
        number += 1
        time = seconds * BILLION + fraction * scale
        yield Frame(number, time, data, max(length, captured), link_type, "", (), offset)
