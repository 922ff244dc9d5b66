"""What one direction of a link does to packets, as plain values.

Decides which values make sense, and the words in which the error says so. How they act on packets is in
model.py; what a drop rule matches is in rules.py. Knows nothing of topologies, paths or hosts.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.errors import UserError
from testbed.link.boxes import BoxSpec
from testbed.link.rules import parse_rule

MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class LinkParams:
    """One direction. Times in nanoseconds, probabilities 0..1 and each packet's own (independent).

    `rate` in bit/s of frames (IP length + 14 bytes); None: as fast as one likes, and no queue.
    `queue`: packets that may wait; one more is being sent. Drop-tail.
    `jitter`: each packet's delay is uniform in delay ± jitter; it never reorders.
    `reorder`: probability that a packet is held back `hold` longer, so that others overtake it.
    `duplicate`: probability that a packet arrives twice.
    `drops`: exact drops, see rules.py.
    `boxes`: middleboxes that stand before all of this, see link.py.
    """

    rate: int | None = None
    queue: int = 100
    delay: int = 0
    jitter: int = 0
    loss: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    drops: tuple[str, ...] = ()
    hold: int = 5 * MILLISECOND
    boxes: tuple[BoxSpec, ...] = ()

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate <= 0:
            raise UserError(
                f"rate: {self.rate} bit/s; a positive number is expected, or nothing for no limit"
            )
        if self.queue < 1:
            raise UserError(f"queue: {self.queue} packets; at least 1 is expected")
        for name in ("delay", "jitter", "hold"):
            if getattr(self, name) < 0:
                raise UserError(f"{name}: {getattr(self, name)} ns; a time of 0 or more is expected")
        if self.jitter > self.delay:
            raise UserError(
                f"jitter: {self.jitter} ns is more than the delay, {self.delay} ns; no packet arrives early"
            )
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                percent = getattr(self, name) * 100
                raise UserError(f"{name}: {percent:g} %; a probability between 0 % and 100 % is expected")
        for text in self.drops:
            parse_rule(text)
