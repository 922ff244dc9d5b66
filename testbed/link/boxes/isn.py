"""A firewall that gives both ends other initial sequence numbers than they chose.

Decides the offsets, one for each direction of a flow, drawn when its SYN passes. What is relative to the
ISN, as a DSS's subflow sequence number is, stays right. Read first: RFC 6824 §3.3.1, RFC 2018 §3 (absolute
blocks).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from testbed.link.boxes.box import Box, Flows, Sent, Way
from testbed.mptcp.wire import ACK, SYN, Option, Sack, Segment
from testbed.mptcp.wire.sequence import seq_add


@dataclass(slots=True)
class _Offsets:
    out: int = 0
    back: int = 0
    out_isn: int | None = None  # as its sender chose it
    back_isn: int | None = None


class Isn(Box):
    meaning = "chooses other initial sequence numbers, both ways"

    def __init__(self, way: Way, rng: random.Random) -> None:
        super().__init__(way, rng)
        self._flows: Flows[_Offsets] = Flows(_Offsets)

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        flow = self._flows[self.flow(way, segment)]
        if segment.flags & SYN:
            self._begin(flow, way, segment.seq)
        mine, other = (flow.out, flow.back) if way == self.way else (flow.back, flow.out)
        return [
            (
                way,
                replace(
                    segment,
                    seq=seq_add(segment.seq, mine),
                    ack=seq_add(segment.ack, -other) if segment.flags & ACK else segment.ack,
                    options=tuple(_moved(option, other) for option in segment.options),
                    cut=segment.cut,
                ),
            )
        ]

    def _begin(self, flow: _Offsets, way: Way, isn: int) -> None:
        """A SYN that is sent again keeps its number."""
        if way == self.way and flow.out_isn != isn:
            flow.out, flow.out_isn = self.rng.getrandbits(32), isn
        elif way != self.way and flow.back_isn != isn:
            flow.back, flow.back_isn = self.rng.getrandbits(32), isn


def _moved(option: Option, offset: int) -> Option:
    if not isinstance(option, Sack):
        return option
    return Sack(tuple((seq_add(left, -offset), seq_add(right, -offset)) for left, right in option.blocks))
