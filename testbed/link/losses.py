"""Losses that are not independent, and damage: bursts, blackouts, flipped bits.

Decides the Gilbert-Elliott chain in the terms of tc-netem's `gemodel`, what an interval is, and which bit of
a packet is flipped. Chance is handed in. Knows nothing of queues and delays.
Read first: Gilbert 1960; Elliott 1963; tc-netem(8), "loss gemodel".
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from testbed.errors import UserError
from testbed.link.pairs import parse_pairs
from testbed.units import parse_percent, parse_time


@dataclass(frozen=True, slots=True)
class Burst:
    """`p`: from the good state to the bad one, `r`: back, each packet. `good`, `bad`: loss in that state."""

    p: float
    r: float
    good: float = 0.0
    bad: float = 1.0

    @property
    def share(self) -> float:
        """Of packets that meet the bad state."""
        return self.p / (self.p + self.r)

    @property
    def loss(self) -> float:
        """Of packets that are lost in the long run."""
        return self.share * self.bad + (1 - self.share) * self.good


def parse_burst(text: str) -> Burst:
    """'p=1% r=25% good=0% bad=100%'; the last two may be left out."""
    words = dict.fromkeys(("p", "r", "good", "bad"), parse_percent)
    values = parse_pairs(text, words, "p=1% r=25%")
    if not values.get("p") or not values.get("r"):
        raise UserError(f"{text!r} is no burst; expected p and r, both above 0 %, as in 'p=1% r=25%'")
    return Burst(**values)


class BurstChain:
    """The state that packets meet one after the other. It begins as it is in the long run, so that the first
    packet is lost as often as any other."""

    def __init__(self, burst: Burst, rng: random.Random) -> None:
        self.burst = burst
        self._rng = rng
        self.is_bad = rng.random() < burst.share

    def takes(self) -> bool:
        """Whether the next packet is lost. Always two draws."""
        burst, chance = self.burst, self._rng.random
        lost = chance() < (burst.bad if self.is_bad else burst.good)
        if chance() < (burst.r if self.is_bad else burst.p):
            self.is_bad = not self.is_bad
        return lost


def parse_blackout(text: str) -> tuple[int, int]:
    """'2s-3s' -> nanoseconds since the run began; the end is not part of it."""
    start, dash, end = text.partition("-")
    try:
        interval = parse_time(start), parse_time(end)
    except UserError:
        interval = 0, 0
    if not dash or interval[0] >= interval[1]:
        raise UserError(f"{text!r} is no interval; expected a start and a later end as in '2s-3s'")
    return interval


def flip_bit(packet: bytes, where: float) -> bytes:
    """An IP packet with one bit of its payload flipped, the one at `where`: from 0, below 1."""
    if packet[0] >> 4 == 4:
        start, end = (packet[0] & 0x0F) * 4, int.from_bytes(packet[2:4])
    else:
        start, end = 40, 40 + int.from_bytes(packet[4:6])
    start, end = min(start, len(packet)), min(end, len(packet))
    if start >= end:
        return packet
    bit = int(where * (end - start) * 8)
    damaged = bytearray(packet)
    damaged[start + bit // 8] ^= 0x80 >> bit % 8
    return bytes(damaged)
