"""What was carried: mappings, and the bytes delivered each way.

Decides `bytes`: payload that was seen in the capture and that the receiver has, each byte once, however often
it was sent and on however many subflows. The receiver has what lies before the first gap, and what it
acknowledged. A packet that the wire dropped delivers nothing. What was acknowledged and never seen is counted
apart. Where the capture holds no acknowledgement at all, all that was seen counts.
Read first: RFC 8684 §3.3.1-§3.3.3 (mappings, DATA_FIN).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from testbed.mptcp.wire import ACK, FIN, RST, SYN
from testbed.mptcp.wire.sequence import MASK32, dsn_add, dsn_diff, promote, seq_diff
from testbed.trace.flows import HANDSHAKE, Flow
from testbed.trace.packets import HAS_CAPABLE
from testbed.trace.ranges import Ranges

_ENDLESS = 1 << 63


class Mapping(NamedTuple):
    """`length` bytes from the relative subflow number `ssn` are the data from `dsn`."""

    ssn: int
    length: int
    dsn: int


class Delivered(NamedTuple):
    """`seen`: bytes in the capture that the receiver has. `unseen`: bytes that it acknowledged, not in the
    capture."""

    seen: int
    unseen: int


def mappings(flow: Flow, side: int, idsn: int | None) -> list[Mapping]:
    """Those that `side` (0 initiator, 1 listener) declared and the wire delivered, infinite ones left out.

    In the order of their subflow numbers, disjoint: where two overlap, the first one counts. DSNs of 4 bytes
    are promoted near the last one known (RFC 8684 §3.3.1).
    """
    found: list[Mapping] = []
    near = idsn
    shift = flow.fast_open[side]
    for packet, up, start in zip(flow.packets, flow.ups, flow.starts, strict=True):
        if up == side or not packet.mptcp or packet.dropped is not None:
            continue
        option = packet.dss
        if option is not None and option.dsn is not None and option.length:
            near = option.dsn if option.dsn_8 else promote(option.dsn, near or 0)
            # The subflow's number has 32 bits; behind 4 GB it is the one nearest to the packet's own.
            ssn = start - shift + seq_diff(option.ssn, (start - shift) & MASK32)
            _declare(found, ssn if ssn > 0 else option.ssn, option.length - option.data_fin, near)
        if idsn is not None and packet.mptcp & HAS_CAPABLE:
            first = packet.capable
            if first is not None and first.data_length:
                # MP_CAPABLE with data maps the first bytes: SSN 1, DSN IDSN + 1 (RFC 8684 §3.1).
                _declare(found, 1, first.data_length, dsn_add(idsn, 1))
    return _disjoint(found)


def _declare(found: list[Mapping], ssn: int, length: int, dsn: int) -> None:
    """One that continues the last one makes it longer; most do."""
    if not length:
        return
    if found:
        last = found[-1]
        if ssn == last.ssn + last.length and dsn == last.dsn + last.length:
            found[-1] = Mapping(last.ssn, last.length + length, last.dsn)
            return
        if last.ssn <= ssn and ssn + length <= last.ssn + last.length and dsn - last.dsn == ssn - last.ssn:
            return  # sent again
    found.append(Mapping(ssn, length, dsn))


def _disjoint(found: list[Mapping]) -> list[Mapping]:
    order = sorted(range(len(found)), key=lambda index: (found[index].ssn, index))
    kept: list[Mapping] = []
    end = 0
    for index in order:
        ssn, length, dsn = found[index]
        hidden = max(0, end - ssn)
        if hidden < length:
            kept.append(Mapping(ssn + hidden, length - hidden, dsn + hidden))
            end = ssn + length
    return kept


def mapped(declared: Sequence[Mapping]) -> Ranges:
    """The subflow numbers that have a mapping."""
    found = Ranges()
    for each in declared:
        found.add(each.ssn, each.ssn + each.length)
    return found


def stream_bytes(flow: Flow, side: int) -> Delivered:
    """Of the plain TCP stream of `side`."""
    if not flow.carried[side].packets and not flow.carried[side].acked:
        return Delivered(0, 0)
    arrived = Ranges()
    acknowledged, acknowledges = 1, False
    ends = _ENDLESS
    for packet, up, start, acked in flow.steps():
        flags = packet.flags
        if up != side:
            if flags & RST:
                continue
            first = start + (flags & SYN != 0)
            if flags & FIN:
                ends = min(ends, first + packet.length)
            if packet.length and packet.dropped is None:
                arrived.add(first, first + packet.length)
        elif flags & HANDSHAKE == ACK:
            acknowledged, acknowledges = max(acknowledged, acked), True
    top = flow.carried[side].top
    return _delivered(arrived, acknowledged if acknowledges else None, ends, top, flow.anchored[side])


def _delivered(arrived: Ranges, acknowledged: int | None, ends: int, top: int, anchored: bool) -> Delivered:
    """Numbers begin at 1. `ends`: that of a FIN or DATA_FIN; `top`: behind the last byte that was seen.

    `anchored`: whether the stream really begins at 1.
    """
    if acknowledged is None:
        return Delivered(arrived.total(1, _ENDLESS), 0)
    known = min(acknowledged, ends)
    seen = arrived.total(1, max(arrived.reach(1), known))
    if ends == _ENDLESS and known > top:
        known -= 1  # it may acknowledge a FIN or DATA_FIN that was not captured
    if not anchored:
        known = min(known, top)
    return Delivered(seen, max(0, known - 1 - arrived.total(1, known)))


def data_bytes(flows: Sequence[Flow], side: int, idsn: int | None) -> Delivered:
    """Of the connection-level stream of `side`, over all subflows."""
    declared = [mappings(flow, side, idsn) for flow in flows]
    anchored = idsn is not None
    if idsn is None:
        first = [each.dsn for one in declared for each in one]
        if not first:
            return stream_bytes(flows[0], side) if len(flows) == 1 else Delivered(0, 0)
        nearest = first[0]
        idsn = dsn_add(nearest, min(dsn_diff(each, nearest) for each in first) - 1)
    arrived = Ranges()
    highest, acknowledges, ends = 1, False, _ENDLESS
    for flow, declarations in zip(flows, declared, strict=True):
        _add_mapped(arrived, flow, side, idsn, declarations)
        for packet, up in zip(flow.packets, flow.ups, strict=True):
            option = packet.dss
            if option is None:
                continue
            if up != side:
                if option.data_fin and option.dsn is not None:
                    dsn = option.dsn if option.dsn_8 else promote(option.dsn, dsn_add(idsn, highest))
                    ends = min(ends, dsn_diff(dsn, idsn) + option.length - 1)
            elif option.data_ack is not None:
                number = option.data_ack
                if not option.data_ack_8:
                    number = promote(number, dsn_add(idsn, highest))
                highest, acknowledges = max(highest, dsn_diff(number, idsn)), True
    top = max((right for _, right in arrived), default=1)
    found = _delivered(arrived, highest if acknowledges else None, ends, top, anchored)
    return Delivered(found.seen + flows[0].fast_open[side], found.unseen)


def _add_mapped(arrived: Ranges, flow: Flow, side: int, idsn: int, declarations: list[Mapping]) -> None:
    """Both in the order of the subflow's numbers, and disjoint: one pass over them."""
    carried = Ranges()
    shift = flow.fast_open[side]
    for packet, up, start, _ in flow.steps():
        if up != side and packet.length and packet.dropped is None and not packet.flags & (SYN | RST):
            carried.add(start - shift, start - shift + packet.length)
    first = 0
    for start, end in carried:
        while first < len(declarations) and declarations[first].ssn + declarations[first].length <= start:
            first += 1
        at = first
        while at < len(declarations) and declarations[at].ssn < end:
            ssn, length, dsn = declarations[at]
            left, right = max(start, ssn), min(end, ssn + length)
            number = dsn_diff(dsn, idsn) + left - ssn
            arrived.add(number, number + right - left)
            at += 1
        first = max(first, at - 1)


def relative_data_ack(number: int, wide: bool, idsn: int) -> int:
    return dsn_diff(number, idsn) if wide else (number - idsn) & MASK32
