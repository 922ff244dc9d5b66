"""The 40 bytes of TCP options as bars: what each option takes, the padding, and what is left or too much.

Decides short names, inks and the scale; sizes are those of encoded options. Must not know which segments a
slide shows. Read first: RFC 9293 §3.1 (the header's length field leaves 40 bytes for options).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed.figures.seed.panel import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    RED,
    RULE,
    box,
    panel,
    width_of,
    words,
)
from testbed.mptcp.wire import (
    MAX_OPTION_BYTES,
    FastOpen,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)
from testbed.mptcp.wire.mptcp_options import Dss, MpCapable, MpJoinAck, MpJoinSyn, MpJoinSynAck, MptcpOption

UNIT, HEIGHT = 9.2, 22.0  # a byte's width, a bar's height
STEP, TOP = 45.0, 62.0  # from bar to bar, above the first
SMALL = 10.0  # font
SHORT = {SackPermitted: "SP: SACK-permitted", WindowScale: "WS: window scale"}
LEGEND = "dashed: free, grey in it: padding"

NAMES: dict[type, tuple[str, ...]] = {  # the longest that fits is written
    MaximumSegmentSize: ("MSS",),
    SackPermitted: ("SP",),
    Sack: ("SACK",),
    WindowScale: ("WS",),
    Timestamps: ("timestamps", "TS"),
    FastOpen: ("Fast Open", "TFO"),
    MpCapable: ("MP_CAPABLE", "MPC"),
    MpJoinSyn: ("MP_JOIN",),
    MpJoinSynAck: ("MP_JOIN",),
    MpJoinAck: ("MP_JOIN",),
    Dss: ("DSS",),
}
KINDS = {29: "TCP-AO", 19: "MD5"}  # RFC 5925, RFC 2385


@dataclass(frozen=True, slots=True)
class Bar:
    """`said` stands at the right end of the line above the bar."""

    label: str
    options: tuple[Option, ...]
    said: str = ""


def sizes(options: Sequence[Option]) -> list[int]:
    """Encoded bytes of each."""
    return [len(one.encode()) for one in options]


def left(options: Sequence[Option]) -> int:
    """Bytes of the 40 that are free, before padding; negative: so many too many."""
    return MAX_OPTION_BYTES - sum(sizes(options))


def padding(options: Sequence[Option]) -> int:
    """Bytes that fill the header to a multiple of four; none where the options do not fit anyhow."""
    return -sum(sizes(options)) % 4 if left(options) >= 0 else 0


def fits(options: Sequence[Option]) -> bool:
    return left(options) >= 0


def room_left(options: Sequence[Option]) -> str:
    free = left(options)
    if free < 0:
        return f"{-free} too many"
    return f"{free} left" if free else "full"


def bars(title: str, rows: Sequence[Bar], alt: str, *, most: int = MAX_OPTION_BYTES) -> str:
    """SVG text. `most`: bytes across; more than 40 where a bar sticks out."""
    width, height = most * UNIT + 6, TOP + STEP * len(rows)
    end = 2 + MAX_OPTION_BYTES * UNIT
    parts = [words(2, 15, title, size=12.5, weight=600), words(2, 31, _legend(rows), size=10, ink=MUTED)]
    parts.append(words(end, 15, str(MAX_OPTION_BYTES), size=11, anchor="middle" if most > 41 else "end"))
    for index, row in enumerate(rows):
        y = TOP + STEP * index
        parts.append(words(2, y - 5, row.label, size=11))
        ink = RED if left(row.options) < 0 else MUTED
        parts.append(
            words(end, y - 5, row.said or room_left(row.options), size=11, ink=ink, anchor="end", weight=600)
        )
        parts += _bar(row.options, y)
    return panel(width, height, parts, alt)


def _legend(rows: Sequence[Bar]) -> str:
    drawn = {type(one) for row in rows for one in row.options}
    return "; ".join([*(text for kind, text in SHORT.items() if kind in drawn), LEGEND])


def _bar(options: Sequence[Option], y: float) -> Iterator[str]:
    x, end = 2.0, 2 + MAX_OPTION_BYTES * UNIT
    for one, size in zip(options, sizes(options), strict=True):
        wide = size * UNIT
        fill, opacity, ink = _inks(one)
        yield box(x, y, wide, HEIGHT, fill=fill, opacity=opacity, edge=PAPER if opacity == 1 else INK)
        begin, room = x, wide
        if x < end < x + wide:  # the mark at 40 cuts it: the words go into the larger part
            begin, room = max((x, end - x), (end, x + wide - end), key=lambda part: part[1])
        text = next((text for text in _texts(one, size) if width_of(text, SMALL) < room - 2), "")
        yield words(begin + room / 2, y + 15, text, size=SMALL, ink=ink, anchor="middle", weight=500)
        x += wide
    fill_up = padding(options) * UNIT
    if fill_up:
        yield box(x, y, fill_up, HEIGHT, fill=RULE, edge=MUTED, dashed=True)
    free = left(options) * UNIT - fill_up
    if free > 0:
        yield box(x + fill_up, y, free, HEIGHT, edge=MUTED, dashed=True)
    for ink, wide in ((PAPER, 5.0), (INK, 1.6)):  # to be seen on a dark bar as well
        yield f'<path d="M{end:.5g} {y - 3:.5g}v{HEIGHT + 6:g}" style="stroke:{ink};stroke-width:{wide}"/>'


def _inks(one: Option) -> tuple[str, float, str]:
    """Fill, its opacity, and the ink on it."""
    if isinstance(one, Dss):
        return GREEN, 1.0, PAPER
    if isinstance(one, MptcpOption):
        return BLUE, 1.0, PAPER
    if isinstance(one, FastOpen | UnknownOption):
        return ORANGE, 0.55, INK
    return GREY, 0.35 if isinstance(one, Timestamps) else 0.15, INK


def _texts(one: Option, size: int) -> Iterator[str]:
    known = (KINDS[one.kind],) if isinstance(one, UnknownOption) else NAMES[type(one)]
    for name in known:
        yield f"{name} {size}"
    yield from known
    yield str(size)
