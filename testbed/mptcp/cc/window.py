"""What all controllers share: the initial window, slow start, the reaction to loss and timeout.

Decides nothing that tells one controller from another: each says how cwnd grows in congestion
avoidance (`_avoid`) and, if it is not a half, what is left after a loss (`_reduced`).
Read first: RFC 5681 §3.1, RFC 6928 §2, RFC 9406 §4.3.
"""

from __future__ import annotations

from typing import ClassVar

from testbed.mptcp.cc.group import Group

NO_THRESHOLD = 1 << 62
LARGE_FRAME = 1 << 16
SLOW_START_SEGMENTS = 8  # RFC 9406 §4.3: L of a sender that does not pace


class Window:
    __slots__ = ("acked_at", "cwnd", "group", "initial", "mss", "recovering", "srtt", "ssthresh")

    meaning: ClassVar[str]
    source: ClassVar[str]

    def __init__(
        self, mss: int, initial_window: int, lost_syn: bool = False, group: Group | None = None
    ) -> None:
        """`initial_window` in segments; one segment after a lost SYN or SYN/ACK (RFC 5681 §3.1)."""
        self.mss = mss
        self.initial = min(initial_window * mss, max(2 * mss, initial_window * 1460))
        self.cwnd = mss if lost_syn else self.initial
        self.ssthresh = NO_THRESHOLD
        self.srtt: int | None = None  # None: nothing was acknowledged yet
        self.acked_at = 0
        self.recovering = False
        self.group = group
        if group is not None:
            group.join(self)

    def on_ack(self, acked: int, now: int, srtt: int | None, limited: bool, rtt: int | None = None) -> None:
        """A window that was not used up says nothing about the path (RFC 7661 §1)."""
        self.srtt = None if srtt is None else max(srtt, 1)  # coupled controllers divide by it
        self.acked_at = now
        self.recovering = False
        if not limited:
            return
        acked = min(acked, self.cwnd)  # an ACK that ends a recovery tells of more than this window
        if self.cwnd < self.ssthresh:
            self._slow_start(acked, rtt)
        else:
            self._avoid(acked, now)

    def on_loss(self, flight: int, now: int) -> None:
        self.ssthresh = self._reduced(flight)
        self.recovering, self.acked_at = True, now

    def on_recovered(self, now: int) -> None:
        self.cwnd = self.ssthresh
        self.recovering, self.acked_at = False, now

    def on_timeout(self, flight: int, again: bool, now: int) -> None:
        """ssthresh is not lowered again for the same data (RFC 5681 §3.1)."""
        if not again:
            self.ssthresh = self._reduced(flight)
        self.cwnd = self.mss
        self.recovering = False

    def on_idle(self, timeouts: int) -> None:
        """Departs from RFC 5681 §4.1 because a short pause makes little of the window untrue: half of it
        for each timeout, not all at once. ssthresh remembers where it was."""
        if self.cwnd > self.initial:
            self.ssthresh = max(self.ssthresh, self.cwnd * 3 // 4)
            self.cwnd = max(self.cwnd >> timeouts, self.initial)

    def penalize(self) -> None:
        """Ends slow start, too: else the window is back a round trip later."""
        self.cwnd = self.ssthresh = max(self.cwnd // 2, 2 * self.mss)

    @property
    def steady(self) -> int:
        """What others should take for this window: in recovery cwnd is the subflow's own business."""
        return min(self.ssthresh, self.cwnd) if self.recovering else self.cwnd

    def _slow_start(self, acked: int, rtt: int | None) -> None:
        """Twice the window for a window acknowledged.

        Departs from RFC 5681 §3.1, one segment for each ACK, because one ACK answers every second segment
        or a whole large frame. After a timeout an ACK may also cover what had arrived long before.
        """
        first = self.ssthresh == NO_THRESHOLD
        most = LARGE_FRAME if first else SLOW_START_SEGMENTS * self.mss
        self.cwnd += min(acked, most, self.ssthresh - self.cwnd)

    def _avoid(self, acked: int, now: int) -> None:
        """`acked` bytes arrived in congestion avoidance."""
        raise NotImplementedError

    def _reduced(self, flight: int) -> int:
        """ssthresh after a loss with `flight` bytes outstanding (RFC 5681 §3.1)."""
        return max(flight // 2, 2 * self.mss)
