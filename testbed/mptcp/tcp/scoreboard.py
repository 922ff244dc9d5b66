"""What was sent and is not acknowledged: which bytes, when, and what became of them.

Decides how the books are kept, by byte ranges that split where a SACK block or a segment ends, and so
what "in flight" means. When a range counts as lost is decided in rack.py and recovery.py, when it is sent
again in output.py. A range may be one segment or a frame of many. Read first: RFC 6675 §2-4.

Ranges lie end to end from the first byte outstanding to the last one sent. Those never sent again were
sent in the order of their offsets; those sent again stand in `resent`, in the order of their last copy.
So what was sent before a given moment is the front of two lists, and nothing here walks over a window.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import NamedTuple


class Sent:
    """Bytes `start`..`end` (a FIN counts as one), last sent at `at`. `order` counts what was sent, since
    much can leave at one moment. `lost`: to be sent again."""

    __slots__ = ("again", "at", "end", "lost", "order", "sacked", "start")

    def __init__(self, start: int, end: int, at: int, order: int, again: bool = False) -> None:
        self.start, self.end, self.at, self.order = start, end, at, order
        self.again = again  # more than one copy was sent
        self.sacked = self.lost = False


class Delivered(NamedTuple):
    """A range that the peer now has, by SACK or by cumulative ACK, and had not reported before."""

    start: int
    end: int
    at: int
    order: int
    again: bool


_start = attrgetter("start")
MOST_SPLITS = 4096


class Scoreboard:
    """`sacked` and `lost`: bytes. What is in flight is all that was sent, less both.

    Without SACK, `presumed` takes the place of `sacked`: a duplicate ACK says that some segment has
    arrived, but not which (RFC 5681 §3.2, RFC 9937 §6).
    """

    __slots__ = (
        "_hint",
        "_order",
        "_splits",
        "judged",
        "lost",
        "presumed",
        "ranges",
        "resent",
        "sacked",
        "top",
    )

    def __init__(self) -> None:
        self.ranges: list[Sent] = []
        self.resent: deque[tuple[int, Sent]] = deque()  # (order, range); an entry can be out of date
        self.sacked = self.lost = self.presumed = 0
        self.top = 0  # end of the highest range ever delivered (RFC 8985's RACK.fack)
        self.judged = 0  # below it no range waits for its first judgement (rack.py)
        self._order = 0
        self._hint = 0  # no lost range lies below it
        self._splits = 0  # about how many ranges there are more than were sent

    @property
    def plain(self) -> bool:
        """Nothing but bytes in flight, each sent once."""
        return not (self.sacked or self.lost or self.presumed or self.resent)

    @property
    def reneged(self) -> bool:
        """What was SACKed begins where the cumulative ACK ends: the peer no longer has it (RFC 2018 §8)."""
        return bool(self.ranges) and self.ranges[0].sacked

    # -- sending --------------------------------------------------------------------------------------

    def sent(self, start: int, end: int, now: int) -> None:
        """New bytes have left."""
        self._order += 1
        self.ranges.append(Sent(start, end, now, self._order))

    def sent_again(self, start: int, end: int, now: int) -> None:
        """Another copy of bytes that are outstanding; nothing of them is in `lost` any more."""
        ranges = self.ranges
        first = self._cut(start)
        last = self._cut(end)
        if first == last:
            return
        for one in ranges[first:last]:
            if one.lost:
                self.lost -= one.end - one.start
            one.start = one.end  # its entry in `resent`, if it has one, is out of date
        self._order += 1
        whole = Sent(start, end, now, self._order, again=True)
        ranges[first:last] = [whole]
        self.resent.append((self._order, whole))
        if self._hint == start:
            self._hint = end

    def next_lost(self, most: Callable[[int], int]) -> tuple[int, int] | None:
        """The first bytes to send again, as one stretch; None when nothing is lost. `most(offset)`: how
        much one segment carries from there."""
        if not self.lost:
            return None
        ranges = self.ranges
        index = max(bisect_right(ranges, self._hint, key=_start) - 1, 0)
        while not ranges[index].lost:
            index += 1
        start = self._hint = ranges[index].start
        end, room = ranges[index].end, most(start)
        while end - start < room and index + 1 < len(ranges) and ranges[index + 1].lost:
            index += 1
            end = ranges[index].end
        return start, min(end, start + max(room, 1))

    def first_missing(self, now: int, since: int) -> int | None:
        """The first byte that is lost (if `now` is later than `since`), or whose last copy left after `since`
        and has not arrived; None without any. Looks at what was sent again, not at all that was sent."""
        starts = [
            one.start
            for order, one in self.resent
            if one.order == order and one.start < one.end and one.at > since and not (one.sacked or one.lost)
        ]
        if self.lost and now > since:
            found = self.next_lost(lambda offset: 1)
            assert found is not None
            starts.append(found[0])
        return min(starts, default=None)

    # -- what the peer says ---------------------------------------------------------------------------

    def trim(self, ack: int) -> Sent | None:
        """`acknowledge` where the board is plain; the last range of which something arrived."""
        ranges = self.ranges
        count, last = 0, None
        for one in ranges:
            if one.start >= ack:
                break
            last = one
            if one.end > ack:
                one.start = ack
                break
            count += 1
        if count:
            del ranges[:count]
        self.top = ack
        return last

    def acknowledge(self, ack: int) -> list[Delivered]:
        """Everything before `ack` has arrived; what of it was news."""
        ranges = self.ranges
        count, news = 0, []
        for one in ranges:
            if one.start >= ack:
                break
            end = one.end
            if end > ack:
                end = ack
            else:
                count += 1
            if one.sacked:
                self.sacked -= end - one.start
            else:
                news.append(Delivered(one.start, end, one.at, one.order, one.again))
                if one.lost:
                    self.lost -= end - one.start
            one.start = end
        if count:
            del ranges[:count]
            self._splits = max(self._splits - count, 0)
        self.top = max(self.top, ack)
        if self.resent:
            self.first_resent()
        return news

    def sack(self, left: int, right: int) -> list[Delivered]:
        """One block, within what is outstanding; what of it was news. Neighbours that are both SACKed
        become one range, so that there are as many as holes. A peer that splits what was sent into crumbs is
        not heard any more until some of it is acknowledged: SACK is advice (RFC 2018 §8)."""
        ranges = self.ranges
        if self._splits >= MOST_SPLITS:
            return []
        index = bisect_right(ranges, left, key=_start) - 1
        if index >= 0 and ranges[index].sacked and ranges[index].end >= right:
            return []
        index = self._cut(left)
        news = []
        while index < len(ranges) and ranges[index].start < right:
            one = ranges[index]
            if not one.sacked:
                if one.end > right:
                    self._cut(right)
                if one.lost:
                    one.lost = False
                    self.lost -= one.end - one.start
                one.sacked = True
                self.sacked += one.end - one.start
                news.append(Delivered(one.start, one.end, one.at, one.order, one.again))
                if index and ranges[index - 1].sacked:
                    self._merge(index)
                    continue
            elif index and ranges[index - 1].sacked:
                self._merge(index)
                continue
            index += 1
        if 0 < index < len(ranges) and ranges[index].sacked and ranges[index - 1].sacked:
            self._merge(index)
        self.top = max(self.top, right)
        return news

    def _merge(self, index: int) -> None:
        """This range and the one before are one."""
        self.ranges[index - 1].end = self.ranges[index].end
        del self.ranges[index]
        self._splits = max(self._splits - 1, 0)

    # -- what is made of it ---------------------------------------------------------------------------

    def mark_lost(self, one: Sent) -> None:
        if not (one.lost or one.sacked):
            one.lost = True
            self._hint = min(self._hint, one.start) if self.lost else one.start
            self.lost += one.end - one.start

    def first_resent(self) -> Sent | None:
        """The range whose last copy is the oldest, of those sent again and in flight."""
        resent = self.resent
        while resent:
            order, one = resent[0]
            if one.order == order and one.start < one.end and not (one.lost or one.sacked):
                return one
            resent.popleft()
        return None

    def mark_first_lost(self, most: int) -> None:
        """The first segment outstanding: all that can be known without SACK (RFC 6582 §3.2)."""
        if self.ranges:
            first = self.ranges[0]
            self._cut(first.start + most)
            self.mark_lost(first)

    def mark_longer_lost(self, size: int) -> None:
        """All that left in segments longer than this (a router refused one: RFC 1191 §6.4)."""
        for one in self.ranges:
            if one.end - one.start > size:
                self.mark_lost(one)

    def mark_all_lost(self, sent_by: int) -> None:
        """The timer ran out: all that was sent up to then and is not SACKed, and the first range whenever
        it was sent (RFC 8985 §6.3)."""
        for index, one in enumerate(self.ranges):
            if index == 0 or one.at <= sent_by:
                self.mark_lost(one)
        self.presumed = 0

    def forget_sacks(self) -> None:
        """The peer dropped what it had reported, as it may (RFC 2018 §8)."""
        for one in self.ranges:
            one.sacked = False
        self.sacked = 0
        self._list_again()

    def unmark_lost(self) -> None:
        """Nothing was lost after all: what has not been sent again is in flight as before."""
        for one in self.ranges:
            one.lost = False
        self.lost = 0
        self._list_again()

    def _list_again(self) -> None:
        """Ranges came back to be judged once more."""
        self.judged = 0
        flying = [one for one in self.ranges if one.again and not (one.lost or one.sacked)]
        self.resent = deque(sorted([(one.order, one) for one in flying], key=itemgetter(0)))

    def presume(self, count: int, outstanding: int) -> int:
        """A duplicate ACK without SACK: `count` bytes more have arrived somewhere behind the first
        segment; how many could be believed."""
        added = max(min(count, outstanding - self.lost - self.presumed - count), 0)
        self.presumed += added
        return added

    def _cut(self, at: int) -> int:
        """A range begins at `at` from here on; its index (or the one behind the last)."""
        ranges = self.ranges
        index = bisect_right(ranges, at, key=_start) - 1
        if index < 0:
            return 0
        one = ranges[index]
        if one.start == at:
            return index
        if one.end <= at:
            return index + 1
        rest = Sent(at, one.end, one.at, one.order, one.again)
        rest.sacked, rest.lost = one.sacked, one.lost
        one.end = at
        ranges.insert(index + 1, rest)
        self._splits += 1
        if one.again and not (one.lost or one.sacked):
            entry = (one.order, one)
            if entry in self.resent:
                self.resent.insert(self.resent.index(entry) + 1, (rest.order, rest))
        return index + 1
