"""What a subflow carries: data of the connection that was committed to it and is not DATA_ACKed.

Decides how these books are kept, so that no question costs more where a connection has thousands of small
mappings: pieces stand in the order of time, and ranges of data beside them. Knows no subflow and no segment.
Read first: RFC 8684 §3.3.6.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import NamedTuple

from testbed.mptcp.ranges import RangeSet


class Carried(NamedTuple):
    """Data from `start` to `end`, committed to a subflow at `at` (ns)."""

    start: int
    end: int
    at: int


_at = attrgetter("at")
_end = attrgetter("end")


class Carrying:
    """`forgotten` pieces stand in front of the list and count no longer. Behind the index `disorder` pieces
    are in the order of their data as well, as nearly always."""

    __slots__ = ("_disorder", "_forgotten", "_held", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[Carried] = []
        self._forgotten = 0
        self._disorder = 0
        self._held = RangeSet()

    def __iter__(self) -> Iterator[Carried]:
        """In the order of time."""
        return iter(self._pieces[self._forgotten :])

    def __len__(self) -> int:
        return len(self._pieces) - self._forgotten

    def commit(self, start: int, end: int, at: int) -> None:
        """`at` is not before that of earlier pieces."""
        pieces = self._pieces
        if len(self):
            last = pieces[-1]
            if (last.end, last.at) == (start, at):
                pieces[-1] = Carried(last.start, end, at)
                self._held.add(start, end)
                return
            if start < last.end:
                self._disorder = len(pieces)
        pieces.append(Carried(start, end, at))
        self._held.add(start, end)

    def forget(self, una: int) -> None:
        """Data before `una` was DATA_ACKed."""
        pieces, first = self._pieces, self._forgotten
        while first < len(pieces) and pieces[first].end <= una:
            first += 1
        self._forgotten = first
        if 2 * first > len(pieces):
            del pieces[:first]
            self._forgotten, self._disorder = 0, max(self._disorder - first, 0)
        self._held.drop_below(una)

    def keep(self, wanted: Callable[[Carried], bool]) -> None:
        """Forget all other pieces. Looks at each of them."""
        kept = [one for one in self if wanted(one)]
        self.clear()
        for one in kept:
            self.commit(*one)

    def clear(self) -> None:
        self._pieces.clear()
        self._forgotten = self._disorder = 0
        self._held = RangeSet()

    def holds(self, data: int) -> bool:
        return self._held.past(data) > data

    def held_to(self, data: int) -> int:
        """The first offset from `data` on that is not held."""
        return self._held.past(data)

    def later_than(self, since: int, data: int) -> Iterator[tuple[int, int]]:
        """What was committed after `since`, from `data` on: (start, end), in the order of the data."""
        pieces = self._pieces
        first = bisect_right(pieces, since, lo=self._forgotten, key=_at)
        if first < self._disorder:
            yield from sorted([(max(start, data), end) for start, end, _ in pieces[first:] if end > data])
            return
        for index in range(bisect_right(pieces, data, lo=first, key=_end), len(pieces)):
            yield max(pieces[index].start, data), pieces[index].end
