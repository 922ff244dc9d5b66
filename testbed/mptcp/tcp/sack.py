"""Selective acknowledgement: which blocks to report, and what a peer's blocks mean as offsets.

Decides what the receiver remembers of bytes that came out of order, and of bytes that came twice. What
the sender makes of blocks is decided in loss.py. Read first: RFC 2018 §4, RFC 2883 §4.
"""

from __future__ import annotations

from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import Sack, Segment
from testbed.mptcp.wire.sequence import MASK32

MOST_BLOCKS = 64  # remembered; the oldest go, having been reported long ago


def took_out_of_order(tcb: Tcb, start: int, end: int) -> None:
    """Bytes beyond a hole are kept from now on: their block is the first to be reported (RFC 2018 §4)."""
    rest = []
    first, last = start, end
    for left, right in tcb.sack_blocks:
        if right < start or left > end:
            rest.append((left, right))
            continue
        first, last = min(first, left), max(last, right)
    tcb.sack_blocks = [(first, last), *rest[: MOST_BLOCKS - 1]]


def first_copy(tcb: Tcb, start: int, end: int) -> tuple[int, int] | None:
    """The first run of bytes from `start` to `end` that have arrived before (RFC 2883 §4.2: of several, one
    block reports the first). Ask before the bytes are taken."""
    if start < tcb.rcv_nxt:
        return start, min(end, tcb.rcv_nxt)
    return tcb.reassembly.first_held(start, end) if tcb.reassembly.held else None


def came_twice(tcb: Tcb, start: int, end: int) -> None:
    """Reported once, in the next ACK (RFC 2883 §4)."""
    tcb.dsack = (start, end)


def forget_blocks(tcb: Tcb) -> None:
    """A hole was filled: the cumulative ACK now tells of what lies before it."""
    nxt = tcb.rcv_nxt
    tcb.sack_blocks = [block for block in tcb.sack_blocks if block[1] > nxt]


def sack_due(tcb: Tcb) -> bool:
    """There are blocks to report, and data has no room for them: first an ACK of its own."""
    return tcb.ack_now and tcb.sack_on and (bool(tcb.sack_blocks) or tcb.dsack is not None)


def sack_option(tcb: Tcb, room: int) -> Sack | None:
    """As many blocks as `room` bytes hold, the D-SACK first, then the most recently changed."""
    count = (room - 2) // 8
    if count < 1 or not tcb.sack_on:
        return None
    blocks = tcb.sack_blocks
    if tcb.dsack is not None:
        blocks = _behind(tcb.dsack, blocks)
        tcb.dsack = None
    if not blocks:
        return None
    irs = tcb.irs
    return Sack(tuple([((irs + left) & MASK32, (irs + right) & MASK32) for left, right in blocks[:count]]))


def _behind(dsack: tuple[int, int], blocks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The block that contains a D-SACK stands right behind it, or nobody could tell what it is."""
    around = [block for block in blocks if block[0] <= dsack[0] and dsack[1] <= block[1]]
    return [dsack, *around, *[block for block in blocks if block not in around]]


def read_blocks(tcb: Tcb, segment: Segment) -> list[tuple[int, int]]:
    """The peer's blocks as offsets of ours; empty without SACK."""
    for option in segment.options:
        if isinstance(option, Sack):
            return [(tcb.ack_offset(left), tcb.ack_offset(right)) for left, right in option.blocks]
    return []
