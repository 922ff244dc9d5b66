"""The blocks of a pcapng file -> frames.

Decides which blocks hold a packet, on which interface and at what time. A block of another kind is passed
over. A packet of an interface that was never described has no link type: packets.py counts it as left out.
Read here, not by a library: the libraries at hand take 50 times as long per packet.
Read first: draft-ietf-opsawg-pcapng §3 (blocks, options), §4.1 (section header), §4.2 (interface),
§4.3 (enhanced packet), §4.4 (simple packet), Appendix A (the obsolete packet block).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from testbed.errors import UserError
from testbed.trace.source import BILLION, LARGEST_FRAME, Frame, Source, Warn, cut_short

SECTION_HEADER = bytes.fromhex("0a0d0d0a")

_INTERFACE, _OBSOLETE_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_COMMENT, _IF_NAME, _IF_TSRESOL, _IF_TSOFFSET = 1, 2, 9, 14
_ORDERS = {bytes.fromhex("1a2b3c4d"): ">", bytes.fromhex("4d3c2b1a"): "<"}


class _Interface(NamedTuple):
    link_type: int | None
    name: str
    snaplen: int
    units: int  # per second
    shift: int  # ns


_UNKNOWN = _Interface(None, "", 0, 1_000_000, 0)


class _Damaged(Exception):
    """`str()` says what is wrong with a block."""


class _Section:
    """What the blocks of one section share: byte order and interfaces."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.interfaces: list[_Interface] = []
        self.head = struct.Struct(f"{order}II")
        self.trailer = struct.Struct(f"{order}I")
        self.option = struct.Struct(f"{order}HH")
        self.enhanced = struct.Struct(f"{order}IIIII")
        self.obsolete = struct.Struct(f"{order}HHIIII")

    def interface(self, number: int) -> _Interface:
        return self.interfaces[number] if number < len(self.interfaces) else _UNKNOWN

    def options(self, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        while at + 4 <= len(body):
            code, length = self.option.unpack_from(body, at)
            if code == 0:
                return
            if at + 4 + length > len(body):
                raise _Damaged(f"an option of {length} bytes runs past its block")
            yield code, body[at + 4 : at + 4 + length]
            at += 4 + (length + 3 & ~3)

    def describe(self, body: bytes) -> None:
        """An interface description block."""
        if len(body) < 8:
            raise _Damaged(f"an interface description of {len(body)} bytes")
        link_type, _, snaplen = struct.unpack_from(f"{self.order}HHI", body)
        name, units, shift = "", 1_000_000, 0
        for code, value in self.options(body, 8):
            if code == _IF_NAME:
                name = value.rstrip(b"\0").decode("utf-8", "replace")
            elif code == _IF_TSRESOL and value:
                units = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == _IF_TSOFFSET and len(value) == 8:
                shift = struct.unpack(f"{self.order}q", value)[0] * BILLION
        self.interfaces.append(_Interface(link_type, name, snaplen, units, shift))

    def frame(self, kind: int, body: bytes, number: int, offset: int) -> Frame:
        """Of a block that holds a packet."""
        if kind == _SIMPLE_PACKET:
            return self._simple(body, number, offset)
        if len(body) < 20:
            raise _Damaged(f"a packet block of {len(body)} bytes")
        if kind == _ENHANCED_PACKET:
            which, high, low, captured, length = self.enhanced.unpack_from(body)
        else:
            which, _, high, low, captured, length = self.obsolete.unpack_from(body)
        end = 20 + captured
        if end > len(body):
            raise _Damaged(f"a packet of {captured} bytes in a block of {len(body)}")
        interface = self.interface(which)
        comments: tuple[str, ...] = ()
        if len(body) > end + 3:
            found = self.options(body, (end + 3) & ~3)
            comments = tuple(value.decode("utf-8", "replace") for code, value in found if code == _COMMENT)
        ticks = high << 32 | low
        time = ticks if interface.units == BILLION else ticks * BILLION // interface.units
        return Frame(
            number,
            time + interface.shift,
            body[20:end],
            max(length, captured),
            interface.link_type,
            interface.name,
            comments,
            offset,
        )

    def _simple(self, body: bytes, number: int, offset: int) -> Frame:
        """It has neither a time nor options, and is always of the first interface."""
        if len(body) < 4:
            raise _Damaged(f"a simple packet block of {len(body)} bytes")
        interface = self.interface(0)
        length = self.trailer.unpack_from(body)[0]
        captured = min(length, len(body) - 4, interface.snaplen or length)
        data = body[4 : 4 + captured]
        return Frame(number, 0, data, length, interface.link_type, interface.name, (), offset)


def read_blocks(source: Source, warn: Warn) -> Iterator[Frame]:
    """The frames of all sections. The first four bytes of the file have been read."""
    section: _Section | None = None
    number, kind_bytes = 0, SECTION_HEADER
    while True:
        offset = source.at - len(kind_bytes)
        head = kind_bytes + source.read(8 - len(kind_bytes))
        if not head and not source.cut:
            return
        if head[:4] == SECTION_HEADER:
            magic = source.read(4) if len(head) == 8 else b""
            if len(magic) == 4 and magic not in _ORDERS:
                _damaged(source, offset, f"byte order {magic.hex(' ')}")
            # A new section that is cut before its byte order has nothing to be read.
            section = _Section(_ORDERS[magic]) if magic in _ORDERS else _Section("<")
            head_size = 12
            head += magic
        else:
            head_size = 8
        if len(head) < head_size:
            _short(source, warn, offset, number, len(head))
            return
        assert section is not None  # the file begins with a section header
        kind, total = section.head.unpack_from(head)
        if total < head_size + 4 or total % 4 or total > LARGEST_FRAME:
            _damaged(source, offset, f"a block of {total} bytes")
        rest = source.read(total - head_size)
        if len(rest) < total - head_size:
            _short(source, warn, offset, number, head_size + len(rest))
            return
        if section.trailer.unpack_from(rest, len(rest) - 4)[0] != total:
            _damaged(source, offset, "the two lengths of a block differ")
        kind_bytes = b""
        try:
            if kind == _INTERFACE:
                section.describe(rest[:-4])
            elif kind in (_ENHANCED_PACKET, _OBSOLETE_PACKET, _SIMPLE_PACKET):
                number += 1
                yield section.frame(kind, rest[:-4], number, offset)
        except _Damaged as error:
            _damaged(source, offset, str(error))


def _damaged(source: Source, offset: int, what: str) -> NoReturn:
    raise UserError(f"{source.name}: offset {offset}: {what}; expected a valid pcapng block")


def _short(source: Source, warn: Warn, offset: int, number: int, found: int) -> None:
    """UserError where not even the first section header is whole."""
    if offset == 0:
        raise UserError(f"{source.name}: offset 0: truncated; expected a whole block, found {found} bytes")
    warn(cut_short(source, offset, number, f"a whole block, found {found} bytes"))
