"""Packets -> flows: one TCP connection each, with its two ends and initial sequence numbers.

Decides where a flow begins when a port pair is used again, who opened it, and what the sequence numbers
are relative to. Knows nothing of MPTCP connections, only that MP_CAPABLE and MP_JOIN betray the opener.
Read first: RFC 9293 §3.4-3.5; RFC 8684 §3.1-3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.mptcp.wire import ACK, RST, SYN, Dss, MpCapable, MpJoinAck, Segment
from testbed.mptcp.wire.sequence import MASK32, seq_lt
from testbed.trace.packets import Packet

Address = tuple[bytes, int]


@dataclass(slots=True)
class Flow:
    """`packets` in the order of time. `isn` of the initiator and of the listener; None for an end of
    which nothing was captured. `seen_open`: the SYN is in the capture."""

    initiator: Address
    listener: Address
    packets: list[Packet]
    isn: tuple[int | None, int | None] = (None, None)
    seen_open: bool = False
    fast_open: list[int] = field(default_factory=lambda: [0, 0])  # bytes accepted with the SYN, per end

    @property
    def start(self) -> int:
        return self.packets[0].time

    def upward(self, segment: Segment) -> bool:
        """Initiator to listener."""
        return segment.sport == self.initiator[1] and segment.src == self.initiator[0]

    def offset(self, segment: Segment) -> int:
        """The segment's sequence number relative to its sender's ISN: the SYN is 0."""
        isn = self.isn[0 if self.upward(segment) else 1]
        return (segment.seq - (isn or 0)) & MASK32

    def acked(self, segment: Segment) -> int:
        """Its acknowledgement number relative to the receiver's ISN: 1 acknowledges the SYN."""
        isn = self.isn[1 if self.upward(segment) else 0]
        return (segment.ack - (isn or 0)) & MASK32

    def ssn(self, segment: Segment) -> int:
        """The relative subflow sequence number that mappings use (RFC 8684 §3.3.1).

        Data accepted with a Fast Open SYN lies outside of it (RFC 8684 Appendix B.2).
        """
        return self.offset(segment) - self.fast_open[0 if self.upward(segment) else 1]


def split_flows(packets: Sequence[Packet]) -> list[Flow]:
    """In the order of their first packets."""
    groups: list[list[Packet]] = []
    current: dict[tuple[Address, Address], list[Packet]] = {}
    opened_with: dict[int, tuple[Address, int]] = {}  # per group: who sent a SYN, with which number
    for packet in packets:
        segment = packet.segment
        source, target = (segment.src, segment.sport), (segment.dst, segment.dport)
        key = (source, target) if source < target else (target, source)
        group = current.get(key)
        opens = segment.flags & (SYN | ACK | RST) == SYN
        if group is None or (opens and opened_with.get(id(group)) != (source, segment.seq)):
            group = current[key] = []
            groups.append(group)
        if opens:
            opened_with[id(group)] = (source, segment.seq)
        group.append(packet)
    return [_flow(group) for group in groups]


def _flow(packets: list[Packet]) -> Flow:
    initiator, listener, seen = _roles(packets)
    flow = Flow(initiator, listener, packets, seen_open=seen)
    up = [packet for packet in packets if flow.upward(packet.segment)]
    down = [packet for packet in packets if not flow.upward(packet.segment)]
    flow.isn = (_initiator_isn(up), _listener_isn(up, down))
    for packet in up:
        # A SYN/ACK that acknowledges more than the SYN took Fast Open data with it (RFC 7413 §4.2).
        data = len(packet.segment.payload) if packet.segment.flags & SYN else 0
        if data and flow.isn[0] is not None:
            answers = [flow.acked(answer.segment) for answer in down if answer.segment.flags & SYN]
            if answers:
                flow.fast_open[0] = min(data, max(0, min(answers) - 1))
            break
    return flow


def _roles(packets: list[Packet]) -> tuple[Address, Address, bool]:
    """Initiator and listener, and whether the SYN is there."""
    for packet in packets:
        segment = packet.segment
        ends = (segment.src, segment.sport), (segment.dst, segment.dport)
        if segment.flags & SYN:
            return (ends[1], ends[0], False) if segment.flags & ACK else (*ends, True)
    for packet in packets:
        segment = packet.segment
        for option in segment.options:
            both_keys = isinstance(option, MpCapable) and option.receiver_key is not None
            if both_keys or isinstance(option, MpJoinAck):
                return (segment.src, segment.sport), (segment.dst, segment.dport), False
    segment = packets[0].segment
    ends = (segment.src, segment.sport), (segment.dst, segment.dport)
    return (ends[1], ends[0], False) if segment.sport < segment.dport else (*ends, False)


def _initiator_isn(up: list[Packet]) -> int | None:
    for packet in up:
        if packet.segment.flags & SYN:
            return packet.segment.seq
    return _guess(up)


def _listener_isn(up: list[Packet], down: list[Packet]) -> int | None:
    """A stateless listener may answer two SYNs with two numbers: the one that was taken up counts."""
    answers = [packet for packet in down if packet.segment.flags & SYN]
    taken = {
        (packet.segment.ack - 1) & MASK32 for packet in up if packet.segment.flags & (ACK | SYN | RST) == ACK
    }
    for packet in answers:
        if packet.segment.seq in taken:
            return packet.segment.seq
    for packet in answers:
        if packet.dropped is None:
            return packet.segment.seq
    return answers[0].segment.seq if answers else _guess(down)


def _guess(packets: list[Packet]) -> int | None:
    """From a mapping or a handshake option, else as if the lowest sequence number seen were the first."""
    lowest: int | None = None
    for packet in packets:
        segment = packet.segment
        for option in segment.options:
            if isinstance(option, MpCapable | MpJoinAck):
                return (segment.seq - 1) & MASK32
            if isinstance(option, Dss) and option.ssn and len(segment.payload) == option.length:
                return (segment.seq - option.ssn) & MASK32
        if not segment.flags & RST and (lowest is None or seq_lt(segment.seq, lowest)):
            lowest = segment.seq
    return None if lowest is None else (lowest - 1) & MASK32
