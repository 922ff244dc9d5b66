"""Byte ranges: what waits to be sent, what waits to be put in order.

Decides how bytes are kept, by offset in an unbounded stream, never per segment. Used for subflow
sequence numbers and for data sequence numbers alike; knows neither.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

SMALL = 1 << 12  # bytes: pieces shorter than this are gathered
GATHERED = 1 << 16  # into pieces of about so many bytes
SPARSE, FEWEST = 256, 64  # a piece out of order for so many bytes of window, but never fewer than that


def most_pieces(window: int) -> int:
    """How many pieces, or mappings, are kept of what may come out of order."""
    return max(window // SPARSE, FEWEST)


class SendBuffer:
    """Bytes from `start` to `end`; freed from the front, appended at the back.

    Kept as the pieces that were appended, so that a large one is not copied to be stored; small ones are
    gathered, so that a byte at a time takes no more memory than the bytes.
    """

    __slots__ = ("_pieces", "_starts", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self._pieces: list[bytes | bytearray] = []
        self._starts: list[int] = []

    def append(self, data: bytes | memoryview) -> None:
        size = len(data)
        if not size:
            return
        last = self._pieces[-1] if self._pieces else b""
        if size < SMALL and isinstance(last, bytearray) and len(last) < GATHERED:
            last += data
        else:
            self._starts.append(self.end)
            self._pieces.append(bytearray(data) if size < SMALL else bytes(data))
        self.end += size

    def read(self, offset: int, length: int) -> bytes:
        if offset < self.start or offset + length > self.end:
            raise IndexError(f"{offset}+{length} is outside {self.start}..{self.end}")
        if not length:
            return b""
        index = bisect_right(self._starts, offset) - 1
        piece = self._pieces[index]
        at = offset - self._starts[index]
        if at + length <= len(piece):
            return bytes(piece) if length == len(piece) else bytes(memoryview(piece)[at : at + length])
        parts = [memoryview(piece)[at:]]
        length -= len(piece) - at
        while length:
            index += 1
            parts.append(memoryview(self._pieces[index])[:length])
            length -= len(parts[-1])
        return b"".join(parts)

    def free(self, upto: int) -> None:
        """Forget everything before `upto`; a piece goes when all of it is before."""
        if upto >= self.end:
            self.start = self.end
            self._pieces.clear()
            self._starts.clear()
        elif upto > self.start:
            self.start = upto
            gone = bisect_right(self._starts, upto) - 1
            if gone:
                del self._pieces[:gone], self._starts[:gone]


class Reassembly:
    """Puts pieces in order. `next` is the first offset still missing. `window`: bytes that may lie beyond.

    Holds no byte twice: of overlapping pieces the first copy wins, at both levels
    (RFC 9293 §3.10.7.4 leaves it open; RFC 8684 §3.3.1 says the first copy of a DSN wins).
    Small pieces that touch are gathered. Those that do not touch cost more than their bytes, so once they
    are too many for the window it is `full`, and takes only what is next.
    """

    __slots__ = ("_data", "_most", "_starts", "held", "next")

    def __init__(self, start: int, window: int) -> None:
        self.next = start
        self.held = 0  # bytes out of order
        self._most = most_pieces(window)
        self._starts: list[int] = []
        self._data: list[bytes | bytearray] = []

    @property
    def full(self) -> bool:
        return len(self._starts) >= self._most

    @property
    def end(self) -> int:
        """Behind the last byte that ever came, in order or not."""
        return self._starts[-1] + len(self._data[-1]) if self._starts else self.next

    def insert(self, offset: int, data: bytes) -> bytes:
        """Takes a piece; gives the bytes now in order (possibly none), starting at the old `next`."""
        if offset < self.next:
            data = data[self.next - offset :]
            offset = self.next
        if not data:
            return b""
        if offset == self.next and not self._starts:
            self.next += len(data)
            return data
        self._store(offset, data)
        return self._take()

    def _store(self, offset: int, data: bytes) -> None:
        """Keep the parts of the piece that nobody holds yet."""
        end = offset + len(data)
        index = bisect_right(self._starts, offset) - 1
        at = offset
        if index >= 0:
            at = max(at, self._starts[index] + len(self._data[index]))
        index += 1
        while at < end:
            stop = min(end, self._starts[index]) if index < len(self._starts) else end
            if stop > at:
                index = self._keep(index, at, data[at - offset : stop - offset])
            if index < len(self._starts):
                at = max(at, self._starts[index] + len(self._data[index]))
                index += 1
            else:
                at = end

    def _keep(self, index: int, at: int, piece: bytes) -> int:
        """As the piece `index`, or gathered into the one before; the index behind it."""
        self.held += len(piece)
        before = self._data[index - 1] if index else b""
        touches = index > 0 and self._starts[index - 1] + len(before) == at
        if touches and len(piece) < SMALL and len(before) < GATHERED:
            if not isinstance(before, bytearray):
                self._data[index - 1] = before = bytearray(before)
            before += piece
            return index
        self._starts.insert(index, at)
        self._data.insert(index, piece)
        return index + 1

    def _take(self) -> bytes:
        ready: list[bytes | bytearray] = []
        while self._starts and self._starts[0] == self.next:
            piece = self._data.pop(0)
            self._starts.pop(0)
            self.next += len(piece)
            self.held -= len(piece)
            ready.append(piece)
        first = ready[0] if len(ready) == 1 else b""
        return first if first and isinstance(first, bytes) else b"".join(ready)

    def first_held(self, start: int, end: int) -> tuple[int, int] | None:
        """The first run of bytes from `start` to `end` that lie here out of order."""
        index = max(bisect_right(self._starts, start) - 1, 0)
        if index < len(self._starts) and self._starts[index] + len(self._data[index]) <= start:
            index += 1
        if index >= len(self._starts) or self._starts[index] >= end:
            return None
        first = right = max(start, self._starts[index])
        while index < len(self._starts) and self._starts[index] <= right < end:
            right = self._starts[index] + len(self._data[index])
            index += 1
        return first, min(right, end)

    def blocks(self) -> list[tuple[int, int]]:
        """The out-of-order ranges as (start, end), merged, lowest first."""
        merged: list[tuple[int, int]] = []
        for start, piece in zip(self._starts, self._data, strict=True):
            end = start + len(piece)
            if merged and merged[-1][1] == start:
                merged[-1] = (merged[-1][0], end)
            else:
                merged.append((start, end))
        return merged


class RangeSet:
    """A set of offsets, as (start, end) ranges in order that neither touch nor overlap."""

    __slots__ = ("ranges",)

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def add(self, start: int, end: int) -> None:
        if start >= end:
            return
        ranges = self.ranges
        first = bisect_left(ranges, start, key=lambda one: one[1])  # the first that ends at or behind start
        last = bisect_right(ranges, end, key=lambda one: one[0])  # one past the last that begins by end
        if first < last:
            start, end = min(start, ranges[first][0]), max(end, ranges[last - 1][1])
        ranges[first:last] = [(start, end)]

    def past(self, offset: int) -> int:
        """The first offset from this one on that is not in the set."""
        index = bisect_right(self.ranges, offset, key=lambda one: one[0]) - 1
        return max(offset, self.ranges[index][1]) if index >= 0 else offset

    def from_offset(self, offset: int) -> Iterator[tuple[int, int]]:
        """The ranges that end behind this offset, cut there, while the set does not change."""
        ranges = self.ranges
        for index in range(bisect_right(ranges, offset, key=lambda one: one[1]), len(ranges)):
            start, end = ranges[index]
            yield max(start, offset), end

    def remove(self, start: int, end: int) -> None:
        ranges = self.ranges
        first = bisect_right(ranges, start, key=lambda one: one[1])  # the first that ends behind start
        last = bisect_left(ranges, end, key=lambda one: one[0])  # one past the last that begins before end
        if first >= last or start >= end:
            return
        rest = [(ranges[first][0], start), (end, ranges[last - 1][1])]
        ranges[first:last] = [one for one in rest if one[0] < one[1]]

    def drop_below(self, offset: int) -> None:
        ranges = self.ranges
        count = 0
        while count < len(ranges) and ranges[count][1] <= offset:
            count += 1
        if count:
            del ranges[:count]
        if ranges and ranges[0][0] < offset:
            ranges[0] = (offset, ranges[0][1])

    def take(self, most: int) -> tuple[int, int]:
        """Remove and give at most `most` offsets from the front; there must be some."""
        start, end = self.ranges[0]
        if end - start > most:
            end = start + most
            self.ranges[0] = (end, self.ranges[0][1])
        else:
            self.ranges.pop(0)
        return start, end
