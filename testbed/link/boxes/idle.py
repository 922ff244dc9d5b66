"""A stateful firewall that forgets flows which say nothing for a while, and resets what comes then.

Decides when a flow is forgotten, and that both ends hear a RST that they must believe: with the next
sequence number of either side. Read first: RFC 5382 §5 (how long a NAT should wait), RFC 9293 §3.5.2.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

from testbed.link.boxes.box import Box, Flows, Key, Sent, Way
from testbed.mptcp.wire import ACK, RST, SYN, Segment
from testbed.units import parse_time

SECOND = 1_000_000_000


@dataclass(slots=True)
class _Last:
    at: int | None = None


class Idle(Box):
    meaning = "resets flows that say nothing for a while"
    keys: ClassVar[dict[str, Key]] = {"after": Key(parse_time, 30 * SECOND, "how long")}

    def __init__(self, way: Way, rng: random.Random, after: int = 30 * SECOND) -> None:
        super().__init__(way, rng)
        self._after = after
        self._flows: Flows[_Last] = Flows(_Last)

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        flow = self._flows[self.flow(way, segment)]
        forgotten = flow.at is not None and now - flow.at > self._after
        if forgotten and not segment.flags & (SYN | RST):
            onward = replace(segment, flags=RST | ACK, payload=b"", options=(), cut=0)
            answer = replace(
                segment,
                src=segment.dst,
                dst=segment.src,
                sport=segment.dport,
                dport=segment.sport,
                seq=segment.ack,
                ack=(segment.seq + segment.seq_length) & 0xFFFF_FFFF,
                flags=RST | ACK,
                payload=b"",
                options=(),
                cut=0,
            )
            return [(way, onward), ("backward" if way == "forward" else "forward", answer)]
        flow.at = now
        return [(way, segment)]
