"""A box that insists on order: data behind a hole is dropped until the hole is filled.

Decides only that; the hole must come from another link, before this one. A box that inspects streams and
keeps no queue does this, and selective acknowledgements never get a chance. Read first: Honda et al. (IMC
2011) §4.4.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from testbed.link.boxes.box import Box, Flows, Sent, Way
from testbed.mptcp.wire import SYN, Segment
from testbed.mptcp.wire.sequence import seq_add, seq_lt


@dataclass(slots=True)
class _Next:
    seq: int | None = None


class InOrder(Box):
    meaning = "drops data behind a hole"

    def __init__(self, way: Way, rng: random.Random) -> None:
        super().__init__(way, rng)
        self._flows: Flows[_Next] = Flows(_Next)

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        if way != self.way:
            return [(way, segment)]
        flow = self._flows[self.flow(way, segment)]
        end = seq_add(segment.seq, segment.seq_length)
        if segment.flags & SYN or flow.seq is None:
            flow.seq = end
        elif seq_lt(flow.seq, segment.seq) and segment.seq_length:
            return []
        elif seq_lt(flow.seq, end):
            flow.seq = end
        return [(way, segment)]
