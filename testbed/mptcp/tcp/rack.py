"""RACK: a range is lost when one sent later has arrived and the time for reordering has passed.

Decides which ranges of the scoreboard are lost, and when to look again. Knows times and ranges, no
segment and no window. Read first: RFC 8985 §6.2.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from operator import attrgetter

from testbed.mptcp.tcp.scoreboard import Delivered, Scoreboard, Sent

NEVER = 1 << 80
MULTIPLIER_LIFE = 16  # recoveries for which a widened window lasts (RFC 8985 §6.2 step 4)

_start = attrgetter("start")


class Rack:
    """`order` and `end`: of the delivered range that was sent last; `rtt` its round trip, `once`: no other
    copy of it was sent. Times in ns.

    Departs from RFC 8985 §5.2, which compares times of sending, because much leaves at one moment when
    time stands still while a segment is handled: the order of sending is counted.
    """

    __slots__ = ("_life", "_round", "end", "min_rtt", "multiplier", "once", "order", "reordering", "rtt")

    def __init__(self) -> None:
        self.order = self.end = -1
        self.once = True
        self.rtt = 0
        self.min_rtt: int | None = None
        self.reordering = False  # a range arrived after one that was sent later
        self.multiplier = 1  # of min_rtt / 4
        self._life = MULTIPLIER_LIFE
        self._round = 0  # D-SACKs below this offset have widened the window already

    def latest(self, one: Sent, now: int) -> None:
        """`delivered` where nothing was ever sent again or out of order."""
        self.order, self.end, self.once = one.order, one.end, True
        self.rtt = rtt = now - one.at
        if self.min_rtt is None or rtt < self.min_rtt:
            self.min_rtt = rtt

    def delivered(self, news: Iterable[Delivered], now: int, top: int, unechoed: int = NEVER) -> None:
        """Steps 1 to 3. `top`: where the highest range ended that was delivered before this ACK. What left
        at `unechoed` or later is not echoed, so that of such a range an earlier copy has arrived; what left
        before is. NEVER when no timestamp tells.

        Departs from RFC 8985 §6.2 because a SACK echoes no timestamp of what it reports (RFC 7323 §4.3):
        there the time alone tells which copy has arrived, as in Linux.
        """
        for start, end, at, order, again in news:
            rtt = now - at
            if again:
                if at >= unechoed:
                    continue
                if unechoed == NEVER and self.min_rtt is not None and rtt < self.min_rtt:
                    continue  # too soon for the copy
            elif start < top:
                self.reordering = True
            if self.min_rtt is None or rtt < self.min_rtt:
                self.min_rtt = rtt
            if order > self.order or (order == self.order and end > self.end):
                self.order, self.end, self.rtt, self.once = order, end, rtt, not again

    def on_dsack(self, una: int, nxt: int) -> None:
        """Sent again without need: wait longer, once per round trip (step 4)."""
        if una >= self._round:
            self._round = nxt
            self.multiplier += 1
            self._life = MULTIPLIER_LIFE

    def on_recovered(self) -> None:
        self._life -= 1
        if self._life <= 0:
            self.multiplier = 1
            self._life = MULTIPLIER_LIFE

    def reordering_window(self, srtt: int | None, sure: bool) -> int:
        """`sure`: in recovery, or as much is SACKed as three duplicate ACKs would tell."""
        if sure and not self.reordering:
            return 0
        if self.min_rtt is None:
            return 0
        window = self.multiplier * self.min_rtt // 4
        return window if srtt is None else min(window, srtt)

    def detect(self, board: Scoreboard, now: int, window: int) -> int | None:
        """Step 5: marks what is lost by now. The moment to look again, if something is undecided."""
        ranges, again_at = board.ranges, None
        patience = self.rtt + window
        index = bisect_left(ranges, board.judged, key=_start)
        while index < len(ranges):
            one = ranges[index]
            if not (one.sacked or one.lost or one.again):
                if one.order > self.order or (one.order == self.order and one.end >= self.end):
                    break
                if one.at + patience > now:
                    again_at = one.at + patience
                    break
                board.mark_lost(one)
            index += 1
        if index < len(ranges):
            board.judged = ranges[index].start
        elif ranges:
            board.judged = ranges[-1].end
        while (copy := board.first_resent()) is not None:
            if copy.order > self.order or (copy.order == self.order and copy.end >= self.end):
                break
            if copy.at + patience > now:
                again_at = min(again_at or copy.at + patience, copy.at + patience)
                break
            board.mark_lost(copy)
            board.resent.popleft()
        return again_at
