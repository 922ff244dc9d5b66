"""Packets -> flows: one TCP connection each, with its two ends and initial sequence numbers.

Decides where a flow begins when a port pair is used again, who opened it, what the sequence numbers are
relative to, and what the capture demonstrably missed of it. Knows nothing of MPTCP connections, only that
MP_CAPABLE and MP_JOIN betray the opener.
Read first: RFC 9293 §3.4-3.5; RFC 8684 §3.1-3.2.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from testbed.mptcp.wire import ACK, RST, SYN, MpJoinAck
from testbed.mptcp.wire.mptcp_options import MP_JOIN
from testbed.mptcp.wire.sequence import MASK32, seq_lt
from testbed.trace.packets import Address, Packet
from testbed.trace.ranges import Carried

_HALF = 1 << 31
SYN_ACK = SYN | ACK
HANDSHAKE = SYN | ACK | RST


class Step(NamedTuple):
    """One packet of a flow. `start`: its sequence number relative to its sender's ISN, where the SYN is 0;
    `acked`: what it acknowledges, where 1 is the SYN; neither wraps."""

    packet: Packet
    up: bool  # initiator to listener
    start: int
    acked: int


class Flow:
    """`packets` in the order of time. `isn` of the initiator and of the listener; None for an end of
    which nothing is known. `anchored`: whether it is the real one, not the lowest number that was seen.
    `seen_open`: the SYN is in the capture. `fast_open`: bytes accepted with the SYN, per end."""

    __slots__ = (
        "ackeds", "anchored", "carried", "fast_open", "initiator", "isn", "listener", "packets", "seen_open",
        "starts", "ups",
    )  # fmt: skip

    def __init__(self, packets: list[Packet]) -> None:
        self.packets = packets
        self.initiator, self.listener, self.seen_open = _roles(packets)
        self.ups = bytearray(packet.source == self.initiator for packet in packets)
        self.isn, self.anchored = _isns(self)
        self.starts, self.ackeds = array("q"), array("q")
        self.carried = (Carried(1), Carried(1))  # per end, what it sent
        self._number()
        self.fast_open = (_fast_open(self), 0)

    @property
    def start(self) -> int:
        return self.packets[0].time

    def upward(self, packet: Packet) -> bool:
        """Initiator to listener."""
        return packet.source == self.initiator

    def steps(self) -> Iterator[Step]:
        return map(Step, self.packets, map(bool, self.ups), self.starts, self.ackeds)

    def step(self, at: int) -> Step:
        return Step(self.packets[at], bool(self.ups[at]), self.starts[at], self.ackeds[at])

    def from_end(self, side: int, flags: int, mask: int = HANDSHAKE) -> list[Packet]:
        """Those of the initiator (0) or the listener (1) whose flags under the mask are these."""
        return [
            packet
            for packet, up in zip(self.packets, self.ups, strict=True)
            if packet.flags & mask == flags and up != side
        ]

    def flip(self) -> None:
        """Swaps the roles, where the listener of the connection opened this subflow."""
        self.initiator, self.listener = self.listener, self.initiator
        self.ups = bytearray(not up for up in self.ups)
        self.isn, self.anchored = self.isn[::-1], self.anchored[::-1]
        self.carried = self.carried[::-1]
        self.fast_open = self.fast_open[::-1]

    def missed(self, side: int) -> bool:
        """Whether the capture demonstrably lacks something that this end sent."""
        carried = self.carried[side]
        if not carried.packets:
            return True
        if not self.anchored[side] or (side == 0 and not self.seen_open):
            return True
        # One number more may be a FIN.
        return carried.acked > carried.top + 1 or carried.hole_below(carried.acked)

    def _number(self) -> None:
        unwrap = _Unwrap(self.isn)
        for packet, up in zip(self.packets, self.ups, strict=True):
            side = 0 if up else 1
            flags = packet.flags
            start = unwrap.near(side, packet.seq)
            acked = unwrap.near(1 - side, packet.ack) if flags & ACK else 0
            self.starts.append(start)
            self.ackeds.append(acked)
            self.carried[side].count(packet.complete)
            if flags & RST:
                continue
            unwrap.moved(side, start)
            if packet.length:
                first = start + (flags & SYN != 0)
                self.carried[side].add(first, first + packet.length)
            if flags & ACK and acked > self.carried[1 - side].acked:
                self.carried[1 - side].acknowledge(acked)
                unwrap.moved(1 - side, acked)


class _Unwrap:
    """Numbers of 32 bits -> relative numbers that do not wrap, each the one nearest to the last."""

    def __init__(self, isn: tuple[int | None, int | None]) -> None:
        self.isn = [each or 0 for each in isn]
        self.last = [0, 0]

    def near(self, side: int, number: int) -> int:
        last = self.last[side]
        return last + ((number - self.isn[side] - last + _HALF) & MASK32) - _HALF

    def moved(self, side: int, number: int) -> None:
        self.last[side] = number


def split_flows(packets: Sequence[Packet]) -> list[Flow]:
    """In the order of their first packets."""
    groups: list[list[Packet]] = []
    current: dict[tuple[Address, Address], int] = {}
    opened_with: list[tuple[Address, int] | None] = []  # per group: who sent a SYN, with which number
    for packet in packets:
        source, target = packet.source, packet.target
        key = (source, target) if source < target else (target, source)
        index = current.get(key)
        if packet.flags & HANDSHAKE == SYN:
            opening = (source, packet.seq)
            if index is not None and opened_with[index] != opening:
                index = None
        else:
            opening = None
        if index is None:
            index = current[key] = len(groups)
            groups.append([])
            opened_with.append(None)
        if opening is not None:
            opened_with[index] = opening
        groups[index].append(packet)
    current.clear()  # neither is needed while the flows are made
    opened_with.clear()
    return [Flow(group) for group in groups]


def _roles(packets: list[Packet]) -> tuple[Address, Address, bool]:
    """Initiator and listener, and whether the SYN is there."""
    for packet in packets:
        if packet.flags & SYN:
            ends = packet.source, packet.target
            return (ends[1], ends[0], False) if packet.flags & ACK else (*ends, True)
    for packet in packets:
        if _names_initiator(packet):
            return packet.source, packet.target, False
    ends = packets[0].source, packets[0].target
    return (ends[1], ends[0], False) if ends[0][1] < ends[1][1] else (*ends, False)


def _names_initiator(packet: Packet) -> bool:
    """An option that only the initiator sends, on the packet behind the SYN or with the first data."""
    capable = packet.capable
    if capable is not None and capable.receiver_key is not None:
        return True
    return packet.mptcp_option(MpJoinAck, MP_JOIN) is not None


def _isns(flow: Flow) -> tuple[tuple[int | None, int | None], tuple[bool, bool]]:
    own: tuple[list[Packet], list[Packet]] = ([], [])
    for packet, up in zip(flow.packets, flow.ups, strict=True):
        own[0 if up else 1].append(packet)
    first = next((packet.seq for packet in own[0] if packet.flags & SYN), None)
    second = _listener_isn(*own)
    answer = next((packet for packet in own[1] if packet.flags & HANDSHAKE == SYN_ACK), None)
    if first is None:
        first = _from_options(own[0])
    if first is None and answer is not None:
        first = (answer.ack - 1) & MASK32  # all that a SYN/ACK acknowledges, but for Fast Open
    if second is None:
        second = _from_options(own[1])
    anchored = first is not None, second is not None
    return (
        _lowest(*own) if first is None else first,
        _lowest(*own[::-1]) if second is None else second,
    ), anchored


def _listener_isn(up: list[Packet], down: list[Packet]) -> int | None:
    """A stateless listener may answer two SYNs with two numbers: the one that was taken up counts."""
    answers = [packet for packet in down if packet.flags & SYN]
    if len(answers) > 1:
        numbers = {packet.seq for packet in answers}
        for packet in up:
            taken = (packet.ack - 1) & MASK32
            if packet.flags & HANDSHAKE == ACK and taken in numbers:
                return taken
    for packet in answers:
        if packet.dropped is None:
            return packet.seq
    if answers:
        return answers[0].seq
    for packet in up:
        if packet.flags & HANDSHAKE == ACK and not packet.length and _names_initiator(packet):
            return (packet.ack - 1) & MASK32  # the third ACK acknowledges the SYN/ACK and nothing else yet
    return None


def _from_options(packets: list[Packet]) -> int | None:
    """From a mapping, which names the relative number of its first byte, or from a handshake option."""
    for packet in packets:
        dss = packet.dss
        if dss is not None and dss.ssn and dss.length and packet.length == dss.length - dss.data_fin:
            return (packet.seq - dss.ssn) & MASK32
        if packet.mptcp and _names_initiator(packet):
            return (packet.seq - 1) & MASK32
    return None


def _lowest(own: Iterable[Packet], other: Iterable[Packet]) -> int | None:
    """As if the lowest number seen or acknowledged were the first behind the SYN."""
    lowest: int | None = None
    for packet in own:
        if not packet.flags & RST and (lowest is None or seq_lt(packet.seq, lowest)):
            lowest = packet.seq
    for packet in other:
        if packet.flags & (ACK | RST) == ACK and (lowest is None or seq_lt(packet.ack, lowest)):
            lowest = packet.ack
    return None if lowest is None else (lowest - 1) & MASK32


def _fast_open(flow: Flow) -> int:
    """Bytes taken from the SYN: a SYN/ACK that acknowledges more than the SYN took them (RFC 7413 §4.2)."""
    data, answers = 0, []
    for step in flow.steps():
        if not step.packet.flags & SYN:
            continue
        if step.up:
            data = data or step.packet.length
        else:
            answers.append(step.acked)
    return min(data, max(0, min(answers) - 1)) if data and answers else 0
