"""What was carried: mappings, bytes delivered each way, and how the connection was closed.

Decides `bytes` and `closed_by`. A byte counts once, however often it was sent and on however many
subflows, and only as far as the stream has no gap before it: what a receiver could hand to its
application. A packet that the wire dropped delivers nothing.
Read first: RFC 8684 §3.3.1-§3.3.3 (mappings, DATA_FIN), §3.5 (fast close); RFC 9293 §3.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.mptcp.wire import ACK, FIN, RST, SYN
from testbed.mptcp.wire.sequence import MASK32, dsn_add, dsn_diff, promote
from testbed.trace.flows import Flow
from testbed.trace.handshake import capable, dss, fastclose

DATA_FIN, FASTCLOSE, FINS, RESET, OPEN = "data_fin", "fastclose", "fin", "rst", "open"


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
    acknowledged = 1
    ends = 1 << 32
    for packet in flow.packets:
        segment = packet.segment
        if flow.upward(segment) == (not side):
            start = flow.offset(segment) + bool(segment.flags & SYN)
            if segment.flags & FIN:
                ends = min(ends, start + len(segment.payload))
            if packet.dropped is None and not segment.flags & RST:
                arrived.add(start, start + len(segment.payload))
        elif segment.flags & (ACK | SYN | RST) == ACK:
            acknowledged = max(acknowledged, flow.acked(segment))
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


def closed_by(flows: Sequence[Flow], keys: tuple[int | None, int | None], *, mptcp: bool) -> str:
    """How the connection ended: the first thing that settled it, in the order of time."""
    packets = sorted(
        ((packet, flow) for flow in flows for packet in flow.packets if packet.dropped is None),
        key=lambda pair: pair[0].arrived,
    )
    data_fins: set[bool] = set()
    fins: dict[int, set[bool]] = {id(flow): set() for flow in flows}
    dead: set[int] = set()
    for packet, flow in packets:
        segment = packet.segment
        up = flow.upward(segment)
        if fastclose(segment, flow, keys):
            return FASTCLOSE
        option = dss(segment)
        if option is not None and option.data_fin and option.dsn is not None:
            data_fins.add(up)
        if mptcp and len(data_fins) == 2:
            return DATA_FIN
        if segment.flags & FIN:
            fins[id(flow)].add(up)
        if segment.flags & RST:
            dead.add(id(flow))
        if all(id(each) in dead or len(fins[id(each)]) == 2 for each in flows):
            return RESET if dead and id(flow) in dead else FINS
    return OPEN


def highest_data_ack(flow: Flow, side: int, idsn: int, before: int) -> int:
    """The largest DATA_ACK that `side` had sent by then, relative to the other end's IDSN; 0 for none."""
    highest = 0
    for packet in flow.packets:
        if packet.time > before:
            break
        option = dss(packet.segment)
        if option is None or option.data_ack is None or flow.upward(packet.segment) == bool(side):
            continue
        highest = max(highest, relative_data_ack(option.data_ack, option.data_ack_8, idsn))
    return highest


def relative_data_ack(number: int, wide: bool, idsn: int) -> int:
    return dsn_diff(number, idsn) if wide else (number - idsn) & MASK32
