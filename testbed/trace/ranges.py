"""Sets of byte numbers, and what a direction of a flow has carried: new bytes, copies, holes.

Decides nothing about protocols. Time and memory grow linearly with what is added, for bytes in order; a set
of n pieces in any order takes n log n.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

MOST_HOLES = 4096  # of a direction; beyond it the oldest hole counts as filled


class Ranges:
    """A set of numbers as half-open ranges."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, int]] = []
        self._sorted = True

    def add(self, start: int, end: int) -> None:
        if start >= end:
            return
        parts = self._parts
        if parts:
            left, right = parts[-1]
            if left <= start <= right:  # in order, as most are
                if end > right:
                    parts[-1] = (left, end)
                return
            if start < left:
                self._sorted = False
        parts.append((start, end))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Disjoint, ascending, none touching the next."""
        return iter(self._merged())

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __contains__(self, number: int) -> bool:
        parts = self._merged()
        at = bisect_right(parts, (number, 1 << 80)) - 1
        return at >= 0 and number < parts[at][1]

    def reach(self, start: int) -> int:
        """The end of the run without a gap that begins at or before `start`."""
        parts = self._merged()
        at = bisect_right(parts, (start, 1 << 80)) - 1
        return max(start, parts[at][1]) if at >= 0 else start

    def total(self, start: int, end: int) -> int:
        """How many numbers of the set are in this range."""
        return sum(max(0, min(end, right) - max(start, left)) for left, right in self._merged())

    def _merged(self) -> list[tuple[int, int]]:
        if not self._sorted:
            self._parts.sort()
            merged: list[tuple[int, int]] = []
            for left, right in self._parts:
                if merged and left <= merged[-1][1]:
                    if right > merged[-1][1]:
                        merged[-1] = (merged[-1][0], right)
                else:
                    merged.append((left, right))
            self._parts, self._sorted = merged, True
        return self._parts


class Carried:
    """What one end of a flow sent, in the order in which it was seen.

    `packets`: how many, and of those with options that were not captured to their end `options_cut`. `top`:
    behind the highest byte. `bytes`: all payload, copies included. `copies`: segments that carry at least one
    byte that an earlier one carried. `acked`: the highest number that the other end acknowledged.
    """

    __slots__ = ("_holes", "acked", "bytes", "copies", "options_cut", "packets", "top")

    def __init__(self, start: int) -> None:
        self.packets = self.options_cut = 0
        self.top = start
        self.bytes = self.copies = self.acked = 0
        self._holes: list[tuple[int, int]] | None = None  # ascending, below `top`

    def count(self, complete: bool) -> None:
        self.packets += 1
        if not complete:
            self.options_cut += 1

    def acknowledge(self, number: int) -> None:
        self.acked = number

    def add(self, start: int, end: int) -> None:
        if start >= end:
            return
        self.bytes += end - start
        if start >= self.top:
            if start > self.top:
                if self._holes is None:
                    self._holes = []
                self._holes.append((self.top, start))
                if len(self._holes) > MOST_HOLES:
                    del self._holes[0]
            self.top = end
            return
        new = self._fill(start, min(end, self.top))
        if new < min(end, self.top) - start:
            self.copies += 1
        self.top = max(self.top, end)

    def _fill(self, start: int, end: int) -> int:
        """Takes these bytes out of the holes; how many of them were in one."""
        holes = self._holes
        if holes is None:
            return 0
        first = bisect_right(holes, (start, 1 << 80))
        if first and holes[first - 1][1] > start:
            first -= 1
        last, filled = first, 0
        rest: list[tuple[int, int]] = []
        while last < len(holes) and holes[last][0] < end:
            left, right = holes[last]
            filled += min(end, right) - max(start, left)
            if left < start:
                rest.append((left, start))
            if end < right:
                rest.append((end, right))
            last += 1
        if last > first:
            holes[first:last] = rest
            if len(holes) > MOST_HOLES:
                del holes[0]
        return filled

    def hole_below(self, end: int) -> bool:
        """Whether a byte before `end` was not seen, though one behind it was."""
        return self._holes is not None and bool(self._holes) and self._holes[0][0] < end
