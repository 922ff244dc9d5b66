"""A network in a page, for controllers alone: links that lose what exceeds their rate, and no packets.

Every path of a flow turns around once per RTT: its window arrives, less what the link lost. A link whose
load (the sum of cwnd / RTT over its paths) is above its rate loses each segment with the probability
1 - rate / load; one loss or more in a window is one loss event. The same seed gives the same numbers.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.mptcp.cc import CONTROLLERS, Controller, Group

MSS = 1000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
ACKS = 4  # of one window


@dataclass
class Link:
    rate: float  # bytes per second
    paths: list[Path] = field(default_factory=list)

    def loss(self) -> float:
        load = sum(path.cc.cwnd / path.rtt * SECOND for path in self.paths)
        return max(0.0, 1 - self.rate / load)


@dataclass
class Path:
    link: Link
    rtt: int
    cc: Controller
    delivered: int = 0

    def turn(self, now: int, dice: random.Random) -> None:
        window = self.cc.cwnd
        loss = self.link.loss()
        lost = sum(dice.random() < loss for _ in range(window // MSS))
        self.delivered += window - lost * MSS
        if lost and lost == window // MSS:
            self.cc.on_timeout(window, False, now)
        elif lost:
            self.cc.on_loss(window, now)
            self.cc.on_recovered(now)
        else:
            for _ in range(ACKS):
                self.cc.on_ack(window // ACKS, now, self.rtt, True)


@dataclass
class Flow:
    """`paths`: (link, RTT in ms) of each."""

    congestion: str
    links: Sequence[tuple[Link, int]]
    paths: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        group = Group()
        for link, milliseconds in self.links:
            cc = CONTROLLERS[self.congestion](MSS, 10, group=group)
            path = Path(link, milliseconds * MILLISECOND, cc)
            link.paths.append(path)
            self.paths.append(path)


def rates(flows: Sequence[Flow], seconds: int = 400, seed: int = 1) -> list[list[float]]:
    """Bytes per second of every path of every flow, the first quarter of the time left out."""
    dice = random.Random(seed)
    paths = [path for flow in flows for path in flow.paths]
    due = [(dice.randrange(path.rtt), index) for index, path in enumerate(paths)]
    heapq.heapify(due)
    end, begun = seconds * SECOND, False
    while due[0][0] < end:
        now, index = due[0]
        if not begun and now >= end // 4:
            begun = True
            for path in paths:
                path.delivered = 0
        paths[index].turn(now, dice)
        heapq.heapreplace(due, (now + paths[index].rtt, index))
    return [[path.delivered / (seconds * 3 / 4) for path in flow.paths] for flow in flows]
