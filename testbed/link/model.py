"""One direction of a link: packets and their arrival times in, delivery times out.

Decides each packet's fate the moment it arrives: dropped by an exact rule, by chance, or by a full queue;
else delivered once or twice, at which nanosecond. So the same object serves an event queue in virtual
time and a wire in real time. Chance is drawn per packet from streams of its own (loss, jitter,
reordering, duplication), so which packets are lost depends on their order alone, not on their timing nor
on the other settings. Losses come before the queue: a lost packet takes no capacity. Knows nothing of
what is at its ends.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter, deque
from typing import Any, Protocol

from testbed.link.exact import ExactDrop, ExactDrops
from testbed.link.params import LinkParams
from testbed.link.rules import parse_rule
from testbed.mptcp.wire.segment import Segment

BITS_TIMES_SECOND = 8 * 1_000_000_000

EXACT = "exact"
RANDOM = "random"
QUEUE = "queue"


class Packet(Protocol):
    """`frame_length` in bytes: IP length + 14. `segment()` may decode lazily; None when it is not TCP."""

    @property
    def frame_length(self) -> int: ...

    def segment(self) -> Segment | None: ...


class Direction:
    """`offer` packets in the order of their arrival, `now` never going back.

    `cause` says why the last `offer` came back empty: "random", "queue" or "exact: RULE".
    """

    def __init__(self, name: str, params: LinkParams, rng: random.Random) -> None:
        self.name = name
        self.params = params
        self.cause: str | None = None
        self.dropped: Counter[str] = Counter()
        self.packets = 0
        self.bytes = 0
        self.delivered = 0
        self.deepest = 0  # most packets ever waiting
        self._exact = ExactDrops(tuple(map(parse_rule, params.drops)))
        # One seed per stream, always all four, so that asking for jitter does not move the losses.
        seeds = [rng.getrandbits(64) for _ in range(4)]
        self._loss, self._jitter, self._reorder, self._duplicate = map(random.Random, seeds)
        self._plain = not (
            params.drops or params.loss or params.jitter or params.reorder or params.duplicate or params.rate
        )
        self._delay = params.delay
        self._free_at = 0  # when the transmitter has sent all it has
        self._starts: deque[int] = deque()  # when each waiting packet begins to be sent
        self._last = 0  # delivery time of the packet before, not counting those held back

    @property
    def matches(self) -> list[ExactDrop]:
        return self._exact.matches

    def unmatched(self) -> tuple[str, ...]:
        """Exact drop rules that took no packet."""
        return self._exact.unmatched()

    def offer(self, now: int, packet: Packet) -> list[tuple[int, Packet]]:
        """Deliveries (time, packet): one, two for a duplicate, none when dropped (see `cause`)."""
        self.packets += 1
        self.bytes += packet.frame_length
        if self._plain:
            self.delivered += 1
            return [(now + self._delay, packet)]
        return self._offer(now, packet)

    def _offer(self, now: int, packet: Packet) -> list[tuple[int, Packet]]:
        params = self.params
        lost = params.loss > 0 and self._loss.random() < params.loss
        if params.drops:
            exact = self._exact.match(now, packet.segment())
            if exact is not None:
                self._drop(EXACT)
                self.cause = f"{EXACT}: {exact.rule}"
                return []
        if lost:
            return self._drop(RANDOM)
        at = now
        if params.rate is not None:
            starts = self._starts
            while starts and starts[0] <= now:
                starts.popleft()
            if self._free_at > now:
                if len(starts) >= params.queue:
                    return self._drop(QUEUE)
                at = self._free_at
                starts.append(at)
                self.deepest = max(self.deepest, len(starts))
            at += packet.frame_length * BITS_TIMES_SECOND // params.rate
            self._free_at = at
        at += self._delay
        if params.jitter:
            at += self._jitter.randint(-params.jitter, params.jitter)
        at = self._last = max(at, self._last)
        if params.reorder and self._reorder.random() < params.reorder:
            at += params.hold
        if params.duplicate and self._duplicate.random() < params.duplicate:
            self.delivered += 2
            return [(at, packet), (at, packet)]
        self.delivered += 1
        return [(at, packet)]

    def _drop(self, cause: str) -> list[tuple[int, Packet]]:
        self.cause = cause
        self.dropped[cause] += 1
        return []

    def report(self) -> dict[str, Any]:
        """Plain values for the record: what went in, what was dropped and why."""
        return {
            "packets": self.packets,
            "bytes": self.bytes,
            "delivered": self.delivered,
            "dropped": {cause: self.dropped[cause] for cause in (EXACT, RANDOM, QUEUE)},
            "deepest_queue": self.deepest,
            "exact": [dataclasses.asdict(drop) for drop in self.matches],
            "unmatched": list(self.unmatched()),
        }
