"""The queue before a transmitter: when a packet leaves, or that it is dropped.

Decides drop-tail and RED on what waits, in packets or in bytes; the packet that is being sent waits no more.
RED drops each packet by the length that it meets, with a probability that is 0 up to `min`, linear to `p` at
`max` and from there linear to 1 at `limit` ("gentle"). The length is that of the moment (weight 1) or an
average. What has been queued leaves at the time that it got on its arrival, whatever changes later.
Read first: Floyd and Jacobson 1993; RFC 2309.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from testbed.errors import UserError
from testbed.link.pairs import parse_pairs
from testbed.units import parse_percent, parse_queue

BITS_TIMES_SECOND = 8 * 1_000_000_000
FULL_FRAME = 1514

# The defaults of `red: auto`, for this rate; in proportion for others.
AUTO_RATE, AUTO_MIN, AUTO_MAX, AUTO_PROBABILITY = 10_000_000, 25.0, 50.0, 0.1


@dataclass(frozen=True, slots=True)
class Red:
    """Lengths in packets, or in bytes where `in_bytes`. `weight` is that of the newest length."""

    min: float
    max: float
    limit: float
    p: float
    weight: float
    in_bytes: bool

    def probability(self, length: float) -> float:
        """That a packet is dropped which meets this length."""
        if length <= self.min:
            return 0.0
        if length <= self.max:
            return self.p * (length - self.min) / (self.max - self.min)
        if length < self.limit:
            return self.p + (1 - self.p) * (length - self.max) / (self.limit - self.max)
        return 1.0


def parse_red(text: str, rate: int) -> Red:
    """'auto', or any of 'min=25 max=50 limit=100 p=10% weight=1'; what is left out is as in auto."""
    words = {
        **dict.fromkeys(("min", "max", "limit"), parse_queue),
        "p": parse_percent,
        "weight": _weight,
    }
    given = {} if text == "auto" else parse_pairs(text, words, "min=25 max=50 p=10%")
    lengths = [given[name] for name in ("min", "max", "limit") if name in given]
    units = {in_bytes for _, in_bytes in lengths}
    if len(units) > 1:
        raise UserError(f"{text!r} has lengths in packets and in bytes; one unit is expected")
    in_bytes = units == {True}
    scale = rate / AUTO_RATE * (FULL_FRAME if in_bytes else 1)
    low = given["min"][0] if "min" in given else AUTO_MIN * scale
    high = given["max"][0] if "max" in given else AUTO_MAX * scale
    limit = given["limit"][0] if "limit" in given else 2 * high
    if not low < high <= limit:
        raise UserError(
            f"{text!r} means min {low:g}, max {high:g}, limit {limit:g}; expected min < max <= limit"
        )
    return Red(low, high, limit, given.get("p", AUTO_PROBABILITY), given.get("weight", 1.0), in_bytes)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight <= 1:
        raise UserError(f"{text!r} is no weight; expected a number above 0 and up to 1, as in 0.002")
    return weight


class Queue:
    """`send` packets in the order of their arrival. `cause` says why the last one was dropped."""

    def __init__(self, rng: random.Random) -> None:
        self.cause = ""
        self.deepest = 0  # most packets ever waiting
        self.deepest_bytes = 0
        self.waiting = 0  # bytes
        self.average = 0.0
        self._rng = rng
        self._free_at = 0  # when the transmitter has sent all it has
        self._starts: deque[tuple[int, int]] = deque()  # of each waiting packet: when it begins, its length

    def become(self, rate: int, limit: int, in_bytes: bool, red: Red | None) -> None:
        """From now on like this, for packets still to come."""
        self._rate, self._limit, self._in_bytes, self._red = rate, limit, in_bytes, red

    def send(self, now: int, length: int) -> int | None:
        """When its last bit has left, or None."""
        starts = self._starts
        while starts and starts[0][0] <= now:
            self.waiting -= starts.popleft()[1]
        if self._red is not None and self._red_drops(now, self._red):
            self.cause = "red"
            return None
        start = now
        if self._free_at > now:
            filled = self.waiting + length > self._limit if self._in_bytes else len(starts) >= self._limit
            if filled:
                self.cause = "queue"
                return None
            start = self._free_at
            starts.append((start, length))
            self.waiting += length
            self.deepest = max(self.deepest, len(starts))
            self.deepest_bytes = max(self.deepest_bytes, self.waiting)
        self._free_at = start + length * BITS_TIMES_SECOND // self._rate
        return self._free_at

    def _red_drops(self, now: int, red: Red) -> bool:
        length = self.waiting if red.in_bytes else len(self._starts)
        if self._free_at <= now and red.weight < 1:  # as if full frames had met an empty queue meanwhile
            missed = (now - self._free_at) * self._rate / (FULL_FRAME * BITS_TIMES_SECOND)
            self.average *= (1 - red.weight) ** missed
        self.average += red.weight * (length - self.average)
        return self._rng.random() < red.probability(self.average)
