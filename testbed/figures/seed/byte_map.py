"""The very bytes of an option with the fields that they are: 32 bits a row, as RFCs draw them.

Decides where each field begins and ends by asking the codec: a field's bits are flipped one by one, and the
bytes that change are where it stands; what the parser does not give back was no bit of it. What no field
claims is the option's head, whose places RFC 8684 §3 gives. Must not know which options a slide shows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from testbed.figures.seed.panel import BLUE, GREEN, GREY, MUTED, ORANGE, box, panel, words
from testbed.mptcp.wire import Dss, MpCapable, parse_options

Drawn = MpCapable | Dss

ROW_BITS = 32
HEAD = ((0, 8, "Kind"), (8, 16, "Length"), (16, 20, "Subtype"))  # RFC 8684 §3
REST = "Flags"
# As the RFCs write them.
NAMES = {
    "version": "Version",
    "flags": "A to H",
    "sender_key": "Sender's Key",
    "receiver_key": "Receiver's Key",
    "data_length": "Data-Level Length",
    "checksum": "Checksum",
    "data_ack": "Data ACK",
    "dsn": "Data Sequence Number",
    "ssn": "Subflow Sequence Number",
    "length": "Data-Level Length",
}
TINTS = {
    "sender_key": BLUE,
    "receiver_key": BLUE,
    "data_length": ORANGE,
    "checksum": ORANGE,
    "length": ORANGE,
}
NUMBERS = ("data_ack", "dsn", "ssn")
UNIT, ROW, LEFT, TOP = 11.0, 34.0, 34.0, 42.0  # a bit's width, a row's height, margins


@dataclass(frozen=True, slots=True)
class Field:
    """Bits `begin` to `end` of the option, `end` excluded, counted from its first byte."""

    name: str
    begin: int
    end: int

    @property
    def bits(self) -> int:
        return self.end - self.begin


def layout(option: Drawn) -> list[Field]:
    """The fields of an option as it stands, in the order of its bytes; together they are all of its bits."""
    raw = option.encode()
    found = [
        Field(each.name, min(bits), max(bits) + 1)
        for each in fields(option)
        if (bits := _bits(option, each.name, raw))
    ]
    claimed = [(one.begin, one.end) for one in found]
    for begin, end, name in HEAD:
        found.append(Field(name, begin, end))
        claimed.append((begin, end))
    found += [Field(REST, begin, end) for begin, end in _gaps(claimed, 8 * len(raw))]
    return sorted(found, key=lambda one: one.begin)


def _bits(option: Drawn, name: str, raw: bytes) -> list[int]:
    value = getattr(option, name)
    if not isinstance(value, int) or isinstance(value, bool):
        return []
    changed = []
    for bit in range(64):
        change: dict[str, Any] = {name: value ^ (1 << bit)}
        other = replace(option, **change)
        try:
            block = other.encode()
        except (ValueError, struct.error):  # wider than the field
            break
        if len(block) == len(raw) and parse_options(block) == (other,):
            changed += [at for at in range(8 * len(raw)) if _bit(block, at) != _bit(raw, at)]
    return changed


def _bit(block: bytes, at: int) -> int:
    return block[at // 8] >> (7 - at % 8) & 1


def _gaps(claimed: Sequence[tuple[int, int]], whole: int) -> Iterator[tuple[int, int]]:
    at = 0
    for begin, end in sorted(claimed):
        if begin > at:
            yield at, begin
        at = max(at, end)
    if at < whole:
        yield at, whole


def byte_map(option: Drawn, title: str, said: str = "") -> str:
    """SVG text. `said`: a line below the title."""
    raw = option.encode()
    rows = -(-8 * len(raw) // ROW_BITS)
    top = TOP + (13 if said else 0)
    width, height = LEFT + ROW_BITS * UNIT + 12, top + rows * ROW + 18
    parts = [words(LEFT, 14, title, size=12.5, weight=600)]
    if said:
        parts.append(words(LEFT, 28, said, size=10.5, ink=MUTED))
    parts += [
        words(LEFT + bit * UNIT + (UNIT / 2), top - 5, str(bit), size=9, ink=MUTED, anchor="middle")
        for bit in (0, 8, 16, 24, 31)
    ]
    parts += [
        words(LEFT - 6, top + row * ROW + ROW / 2 + 4, str(4 * row), size=9.5, ink=MUTED, anchor="end")
        for row in range(rows)
    ]
    for one in layout(option):
        parts += _field(one, raw, top)
    alt = f"{title}: " + ", ".join(
        f"{NAMES.get(one.name, one.name)} {one.bits} bits at byte {one.begin // 8}" for one in layout(option)
    )
    return panel(width, height, parts, alt)


def _field(one: Field, raw: bytes, top: float) -> Iterator[str]:
    """Its box, the name, and its bytes; one box where it takes whole rows."""
    tint = TINTS.get(one.name, GREEN if one.name in NUMBERS else GREY)
    rows = [
        (max(one.begin, row * ROW_BITS), min(one.end, (row + 1) * ROW_BITS))
        for row in range(one.begin // ROW_BITS, -(-one.end // ROW_BITS))
    ]
    if all((end - begin) == ROW_BITS for begin, end in rows):
        yield box(LEFT, top + _down(one.begin), ROW_BITS * UNIT, len(rows) * ROW, fill=tint, opacity=0.18)
    else:
        for begin, end in rows:
            x, wide = LEFT + begin % ROW_BITS * UNIT, (end - begin) * UNIT
            yield box(x, top + _down(begin), wide, ROW, fill=tint, opacity=0.18)
    for begin, end in rows:
        middle, y = LEFT + (begin % ROW_BITS + (end - begin) / 2) * UNIT, top + _down(begin)
        if begin == one.begin:
            name = NAMES.get(one.name, one.name)
            yield words(middle, y + 13, name, size=9.5, ink=MUTED, anchor="middle")
        lower = 28 if end == one.end and begin == one.begin else 30 if begin == one.begin else 22
        yield words(middle, y + lower, _hex(raw, begin, end), size=12, anchor="middle", mono=True)


def _down(bit: int) -> float:
    return bit // ROW_BITS * ROW


def _hex(raw: bytes, begin: int, end: int) -> str:
    """Whole bytes in pairs of digits; a nibble as one."""
    if end - begin == 4:
        return f"{raw[begin // 8] >> (4 if begin % 8 == 0 else 0) & 0xF:x}"
    if begin % 8:
        return f"{raw[begin // 8] & 0xF:x} " + raw[begin // 8 + 1 : end // 8].hex(" ")
    return raw[begin // 8 : end // 8].hex(" ")
