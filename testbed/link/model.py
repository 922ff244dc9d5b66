"""One direction of a link: packets and their arrival times in, delivery times out.

Decides each packet's fate the moment it arrives: dropped by an exact rule, in a blackout, by chance, in a
burst, by RED or by a full queue; else delivered once or twice, at which nanosecond, perhaps damaged. So the
same object serves an event queue in virtual time and a wire in real time. Chance is drawn per packet from
streams of its own for each cause, so which packets are lost depends on their order alone, not on their timing
nor on the other settings. Losses come before the queue: a lost packet takes no capacity. A change of the
schedule acts on the packets that arrive from its time on; those on their way keep theirs.
Knows nothing of what is at its ends. Read first: params.py; queue.py, losses.py and exact.py for the causes.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter, deque
from typing import Any, Protocol

from testbed.link.exact import ExactDrop, ExactDrops
from testbed.link.losses import BurstChain, parse_blackout
from testbed.link.params import KEEP, LinkParams
from testbed.link.queue import Queue
from testbed.link.rules import parse_rule
from testbed.mptcp.wire.segment import Segment
from testbed.units import show_time

EXACT = "exact"
RANDOM = "random"
QUEUE = "queue"
BLACKOUT = "blackout"
BURST = "burst"
RED = "red"
CAUSES = (EXACT, RANDOM, QUEUE)  # that every report has; others where there were any
NEVER = 1 << 63


class Packet(Protocol):
    """`frame_length` in bytes: IP length + 14. `segment()` may decode lazily; None when it is not TCP.

    `corrupted` is the same packet with a bit of its IP payload flipped, see `flip_bit` in losses.py.
    """

    @property
    def frame_length(self) -> int: ...

    def segment(self) -> Segment | None: ...

    def corrupted(self, where: float) -> Packet: ...


class Direction:
    """`offer` packets in the order of their arrival, `now` never going back.

    `cause` says why the last `offer` came back empty: "random", "queue", "exact: RULE" or another.
    """

    def __init__(self, name: str, params: LinkParams, rng: random.Random) -> None:
        self.name = name
        self.params = self._asked = params
        self.cause: str | None = None
        self.dropped: Counter[str] = Counter()
        self.done: Counter[str] = Counter()  # to packets that were delivered
        self.packets = 0
        self.bytes = 0
        self.delivered = 0
        # One seed per stream, always all of them, so that asking for jitter does not move the losses.
        seeds = [rng.getrandbits(64) for _ in range(7)]
        streams = list(map(random.Random, seeds))
        self._loss, self._jitter, self._reorder, self._duplicate, self._burst, red, self._corrupt = streams
        self._exact = ExactDrops()
        self._queue = Queue(red)
        self._chain: BurstChain | None = None
        self._last = 0  # delivery time of the packet before, not counting those held back
        self._begin = 0
        self._steps = deque(params.steps())
        self._become(params)

    def start(self, now: int) -> None:
        """The run begins: blackouts and changes count from here. Without this call, from 0."""
        self._begin = now
        self._due = self._steps[0][0] + now if self._steps else NEVER

    @property
    def matches(self) -> list[ExactDrop]:
        return self._exact.matches

    @property
    def deepest(self) -> int:
        """Most packets ever waiting."""
        return self._queue.deepest

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
        if now >= self._due:
            self._change(now)
        return self._offer(now, packet)

    def _become(self, params: LinkParams) -> None:
        self.params = params
        self._delay = params.delay
        self._dark = params.dark()
        self._exact.heed(tuple(map(parse_rule, params.drops)))
        if params.rate is not None:
            self._queue.become(params.rate, params.queue, params.queue_in_bytes, params.red_queue())
        burst = params.burst_chain()
        if burst is None:
            self._chain = None
        elif self._chain is None:
            self._chain = BurstChain(burst, self._burst)
        else:
            self._chain.burst = burst
        self._due = self._steps[0][0] + self._begin if self._steps else NEVER
        inert = {name: getattr(params, name) for name in ("delay", "queue", "hold", "boxes")}
        self._plain = params == LinkParams(**inert) and not self._steps and not self._last

    def _change(self, now: int) -> None:
        while now >= self._due:
            _, params = self._steps.popleft()
            self._become(params)

    def _offer(self, now: int, packet: Packet) -> list[tuple[int, Packet]]:
        params = self.params
        lost = params.loss > 0 and self._loss.random() < params.loss
        in_burst = self._chain is not None and self._chain.takes()
        if params.drops:
            exact = self._exact.match(now, packet.segment())
            if exact is not None:
                self._drop(EXACT)
                self.cause = f"{EXACT}: {exact.rule}"
                return []
        if self._dark and self._is_dark(now - self._begin):
            return self._drop(BLACKOUT)
        if lost:
            return self._drop(RANDOM)
        if in_burst:
            return self._drop(BURST)
        at = now
        if params.rate is not None:
            sent = self._queue.send(now, packet.frame_length)
            if sent is None:
                return self._drop(self._queue.cause)
            at = sent
        at += self._delay
        if params.jitter:
            at += self._jitter.randint(-params.jitter, params.jitter)
        if at > self._last:
            self._last = at
        elif params.jitter_order == KEEP:
            at = self._last
        if params.reorder and self._reorder.random() < params.reorder:
            at += params.hold
            self.done["held_back"] += 1
        if params.corrupt and self._corrupt.random() < params.corrupt:
            packet = packet.corrupted(self._corrupt.random())
            self.done["corrupted"] += 1
        if params.duplicate and self._duplicate.random() < params.duplicate:
            self.delivered += 2
            self.done["duplicated"] += 1
            return [(at, packet), (at, packet)]
        self.delivered += 1
        return [(at, packet)]

    def _is_dark(self, since: int) -> bool:
        return any(start <= since < end for start, end in self._dark)

    def _drop(self, cause: str) -> list[tuple[int, Packet]]:
        self.cause = cause
        self.dropped[cause] += 1
        return []

    def _timed(self) -> list[dict[str, Any]]:
        """What was to happen at a time: nanoseconds since the run began, and what."""
        changes = [
            {"at": change.at, "what": f"change at {show_time(change.at)}"} for change in self._asked.changes
        ]
        blackouts = [
            {"at": parse_blackout(text)[0], "what": f"blackout {text}"} for text in self._asked.blackouts
        ]
        return sorted(changes + blackouts, key=lambda entry: entry["at"])

    def report(self) -> dict[str, Any]:
        """Plain values for the record: what went in, what was dropped and why."""
        return {
            "packets": self.packets,
            "bytes": self.bytes,
            "delivered": self.delivered,
            "dropped": {**dict.fromkeys(CAUSES, 0), **self.dropped},
            **self.done,
            "deepest_queue": self.deepest,
            **({"deepest_queue_bytes": self._queue.deepest_bytes} if self.params.queue_in_bytes else {}),
            "exact": [dataclasses.asdict(drop) for drop in self.matches],
            "unmatched": list(self.unmatched()),
            **({"timed": timed} if (timed := self._timed()) else {}),
        }
