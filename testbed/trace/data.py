"""What was carried: mappings, and the bytes delivered each way.

Decides `bytes`. A byte counts once, however often it was sent and on however many
subflows, and only as far as the stream has no gap before it: what a receiver could hand to its
application. A packet that the wire dropped delivers nothing.
Read first: RFC 8684 §3.3.1-§3.3.3 (mappings, DATA_FIN).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.mptcp.wire import ACK, FIN, RST, SYN
from testbed.mptcp.wire.sequence import MASK32, dsn_add, dsn_diff, promote
from testbed.trace.flows import Flow
from testbed.trace.handshake import capable, dss


@dataclass(slots=True)
class Mapping:
    """`length` bytes from the relative subflow number `ssn` are the data from `dsn`."""

    ssn: int
    length: int
    dsn: int


@dataclass(slots=True)
class Intervals:
    """A set of numbers as half-open intervals."""

    parts: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        if start < end:
            self.parts.append((start, end))

    def reach(self, start: int) -> int:
        """The end of the gapless run that begins at or before `start`."""
        for left, right in sorted(self.parts):
            if left > start:
                break
            start = max(start, right)
        return start


def mappings(flow: Flow, side: int, idsn: int | None) -> list[Mapping]:
    """Those that `side` (0 initiator, 1 listener) declared and the wire delivered, infinite ones left out.

    DSNs of 4 bytes are promoted near the last one known (RFC 8684 §3.3.1).
    """
    found: list[Mapping] = []
    seen: set[tuple[int, int]] = set()
    near = idsn
    for packet in flow.packets:
        segment = packet.segment
        if packet.dropped is not None or flow.upward(segment) == bool(side):
            continue
        option = dss(segment)
        if option is not None and option.dsn is not None and option.length:
            dsn = option.dsn if option.dsn_8 else promote(option.dsn, near or 0)
            near = dsn
            length = option.length - option.data_fin
            if length and (option.ssn, length) not in seen:
                seen.add((option.ssn, length))
                found.append(Mapping(option.ssn, length, dsn))
        first = capable(segment)
        if (
            first is not None
            and first.data_length
            and idsn is not None
            and (1, first.data_length) not in seen
        ):
            # MP_CAPABLE with data maps the first bytes: SSN 1, DSN IDSN + 1 (RFC 8684 §3.1).
            seen.add((1, first.data_length))
            found.append(Mapping(1, first.data_length, dsn_add(idsn, 1)))
    return sorted(found, key=lambda each: each.ssn)


def stream_bytes(flow: Flow, side: int) -> int:
    """Bytes of the plain TCP stream of `side` that arrived, or that the other end acknowledged."""
    if flow.isn[side] is None:
        return 0
    arrived = Intervals()
    acknowledged = seen = 1
    ends = 1 << 32
    for packet in flow.packets:
        segment = packet.segment
        if flow.upward(segment) == (not side):
            start = flow.offset(segment) + bool(segment.flags & SYN)
            if segment.flags & FIN:
                ends = min(ends, start + len(segment.payload))
            if not segment.flags & RST:
                seen = max(seen, start + len(segment.payload))
            if packet.dropped is None and not segment.flags & RST:
                arrived.add(start, start + len(segment.payload))
        elif segment.flags & (ACK | SYN | RST) == ACK:
            acknowledged = max(acknowledged, flow.acked(segment))
    if acknowledged == seen + 1:
        acknowledged = seen  # a FIN that the capture missed
    return max(0, max(arrived.reach(1), min(acknowledged, ends)) - 1)


def data_bytes(flows: Sequence[Flow], side: int, idsn: int | None) -> int:
    """Bytes of the connection-level stream of `side`, over all subflows."""
    declared = [mappings(flow, side, idsn) for flow in flows]
    if idsn is None:
        first = [each.dsn for each in declared[0]] if declared else []
        if not first:
            return stream_bytes(flows[0], side)
        idsn = dsn_add(min(first), -1)
    arrived = Intervals()
    highest, ends = 1, 1 << 63
    for flow, declarations in zip(flows, declared, strict=True):
        _add_mapped(arrived, flow, side, idsn, declarations)
        for packet in flow.packets:
            option = dss(packet.segment)
            if option is None:
                continue
            if flow.upward(packet.segment) == (not side):
                if option.data_fin and option.dsn is not None:
                    dsn = option.dsn if option.dsn_8 else promote(option.dsn, dsn_add(idsn, highest))
                    ends = min(ends, dsn_diff(dsn, idsn) + option.length - 1)
            elif option.data_ack is not None:
                number = option.data_ack
                if not option.data_ack_8:
                    number = promote(number, dsn_add(idsn, highest))
                highest = max(highest, dsn_diff(number, idsn))
    reach = max((right for _, right in arrived.parts), default=1)
    if highest == reach + 1:
        highest = reach  # a DATA_FIN that the capture missed
    with_syn = flows[0].fast_open[side]
    return max(0, max(arrived.reach(1), min(highest, ends)) - 1) + with_syn


def _add_mapped(arrived: Intervals, flow: Flow, side: int, idsn: int, declarations: list[Mapping]) -> None:
    """Both lists in the order of the subflow's numbers: one pass over them."""
    pieces = sorted(
        (flow.ssn(packet.segment), len(packet.segment.payload))
        for packet in flow.packets
        if packet.dropped is None
        and packet.segment.payload
        and flow.upward(packet.segment) == (not side)
        and not packet.segment.flags & (SYN | RST)
    )
    first = 0
    for start, length in pieces:
        end = start + length
        while first < len(declarations) and declarations[first].ssn + declarations[first].length <= start:
            first += 1
        for mapping in declarations[first:]:
            if mapping.ssn >= end:
                break
            left, right = max(start, mapping.ssn), min(end, mapping.ssn + mapping.length)
            at = dsn_diff(mapping.dsn, idsn) + left - mapping.ssn
            arrived.add(at, at + right - left)


def relative_data_ack(number: int, wide: bool, idsn: int) -> int:
    return dsn_diff(number, idsn) if wide else (number - idsn) & MASK32
