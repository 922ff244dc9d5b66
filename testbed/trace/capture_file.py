"""A pcap or pcapng file -> its frames, with times in nanoseconds and the comments of the wire.

Decides what a readable capture is: anything else ends in a UserError that names the file, the offset and
what was expected there. Knows frames as bytes; what is in them is linklayer.py's and packets.py's.
pcapng is read by the library python-pcapng. The classic format is four fixed layouts and is read here,
because the libraries at hand return its times as floats, which cannot hold nanoseconds.
Read first: draft-ietf-opsawg-pcap §4-5, draft-ietf-opsawg-pcapng §3.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pcapng
from pcapng import blocks, strictness

from testbed.errors import UserError

_SECTION_HEADER = bytes.fromhex("0a0d0d0a")
_CLASSIC = {
    # magic: (byte order, nanoseconds per unit of the fraction)
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b23c4d"): (">", 1),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
}
_LARGEST_FRAME = 1 << 26  # more is a damaged length, not a packet
_BILLION = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame. `number` counts from 1 as tshark does; `length` is the frame's on the wire,
    of which `data` may be a beginning; `offset` is where its record begins in the file."""

    number: int
    time: int
    data: bytes
    length: int
    link_type: int
    interface: str
    comments: tuple[str, ...]
    offset: int


def frames(path: Path) -> Iterator[Frame]:
    """Every frame of the file, in its order. UserError when it is no capture, or ends too early."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; expected a capture") from error
    with stream:
        try:
            magic = stream.read(4)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}; expected a capture") from error
        stream.seek(0)
        if magic in _CLASSIC:
            yield from _classic(path, stream, *_CLASSIC[magic])
        elif magic == _SECTION_HEADER:
            yield from _pcapng(path, stream)
        else:
            raise UserError(_foreign(path, magic))


def _foreign(path: Path, magic: bytes) -> str:
    if not magic:
        return f"{path}: offset 0: empty file; expected a pcap or pcapng capture"
    if magic[:2] == b"\x1f\x8b":
        return f"{path}: offset 0: gzip-compressed; expected a pcap or pcapng capture: gunzip it first"
    return (
        f"{path}: offset 0: {magic.hex(' ')}; expected a pcap capture (a1 b2 c3 d4 or a1 b2 3c 4d, in either "
        "byte order) or a pcapng capture (0a 0d 0d 0a)"
    )


def _short(path: Path, offset: int, whole: int, expected: str) -> UserError:
    message = f"{path}: offset {offset}: truncated; expected {expected}"
    if whole:
        message += f"; packets 1-{whole} are whole: `editcap -r {path.name} OUT 1-{whole}` keeps them"
    return UserError(message)


def _classic(path: Path, stream: BinaryIO, order: str, scale: int) -> Iterator[Frame]:
    head = stream.read(24)
    if len(head) < 24:
        raise _short(path, 0, 0, f"a file header of 24 bytes, found {len(head)}")
    # The upper bits of the last field may tell the length of a frame check sequence.
    link_type = struct.unpack(f"{order}HHiIII", head[4:])[-1] & 0xFFFF
    record = struct.Struct(f"{order}IIII")
    number, offset = 0, 24
    while head := stream.read(16):
        if len(head) < 16:
            raise _short(path, offset, number, f"a record header of 16 bytes, found {len(head)}")
        seconds, fraction, captured, length = record.unpack(head)
        if captured > _LARGEST_FRAME:
            raise UserError(
                f"{path}: offset {offset}: a packet of {captured} bytes; expected at most {_LARGEST_FRAME}: "
                "the file is damaged"
            )
        data = stream.read(captured)
        if len(data) < captured:
            raise _short(path, offset, number, f"a packet of {captured} bytes, found {len(data)}")
        number += 1
        time = seconds * _BILLION + fraction * scale
        yield Frame(number, time, data, max(length, captured), link_type, "", (), offset)
        offset += 16 + captured


def _pcapng(path: Path, stream: BinaryIO) -> Iterator[Frame]:
    strictness.set_strictness(strictness.Strictness.NONE)  # questionable options are none of our business
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"pcapng\.")
    size = path.stat().st_size
    scanner = iter(pcapng.FileScanner(stream))
    number = 0
    while True:
        offset = stream.tell()
        try:
            block = next(scanner, None)
            found = _frame(block, number + 1, offset)
        except pcapng.exceptions.TruncatedFile as error:
            raise _short(path, offset, number, f"a whole block, found {size - offset} bytes") from error
        except Exception as error:
            # Damaged blocks make the library raise errors of many kinds, not only its own.
            raise UserError(
                f"{path}: offset {offset}: {error or type(error).__name__}; expected a valid pcapng block"
            ) from error
        if block is None:
            if offset < size:
                raise _short(path, offset, number, f"a whole block, found {size - offset} bytes")
            return
        if found is not None:
            number += 1
            yield found


def _frame(block: Any, number: int, offset: int) -> Frame | None:
    """None for the blocks that hold no packet."""
    if not isinstance(block, blocks.EnhancedPacket | blocks.ObsoletePacket | blocks.SimplePacket):
        return None
    # A simple packet has neither a time nor options.
    simple = isinstance(block, blocks.SimplePacket)
    comments = () if simple or "opt_comment" not in block.options else block.options.get_all("opt_comment")
    interface = block.interface
    return Frame(
        number,
        0 if simple else _time(block),
        bytes(block.packet_data),
        int(block.packet_len),
        int(interface.link_type),
        str(interface.options.get("if_name") or ""),
        tuple(str(comment) for comment in comments),
        offset,
    )


def _time(block: Any) -> int:
    """Nanoseconds, in integers throughout: the library's own figure is a float."""
    options = block.interface.options
    resolution = int(options["if_tsresol"][0]) if "if_tsresol" in options else 6
    units = 1 << (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    ticks = int((block.timestamp_high << 32) + block.timestamp_low)
    shift = int(options["if_tsoffset"]) if "if_tsoffset" in options else 0
    return ticks * _BILLION // units + shift * _BILLION
