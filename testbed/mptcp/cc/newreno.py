"""NewReno: how large the congestion window is. All sizes in bytes.

Decides cwnd and ssthresh. When a loss happened is decided in tcp/recovery.py.
Read first: RFC 5681 §3, RFC 6582 §3.2, RFC 6928 §2.
"""

from __future__ import annotations


class NewReno:
    __slots__ = ("_acked", "cwnd", "mss", "ssthresh")

    def __init__(self, mss: int, initial_window: int, lost_syn: bool = False) -> None:
        """`initial_window` in segments; one segment after a lost SYN or SYN/ACK (RFC 5681 §3.1)."""
        self.mss = mss
        upper = initial_window * mss
        self.cwnd = mss if lost_syn else min(upper, max(2 * mss, initial_window * 1460))
        self.ssthresh = 1 << 62
        self._acked = 0

    def on_ack(self, acked: int, limited: bool) -> None:
        """New data acknowledged outside recovery. `limited`: the window was in fact used up (RFC 7661 §1)."""
        if not limited:
            return
        if self.cwnd < self.ssthresh:
            self.cwnd += min(acked, self.mss)
            return
        self._acked += acked
        if self._acked >= self.cwnd:
            self._acked -= self.cwnd
            self.cwnd += self.mss

    def on_loss(self, flight: int) -> None:
        """Third duplicate ACK: halve, plus the three segments that have left (RFC 5681 §3.2)."""
        self.ssthresh = max(flight // 2, 2 * self.mss)
        self.cwnd = self.ssthresh + 3 * self.mss
        self._acked = 0

    def on_duplicate(self) -> None:
        """Each further duplicate ACK in recovery: one more segment has left (RFC 5681 §3.2 step 4)."""
        self.cwnd += self.mss

    def on_partial_ack(self, acked: int) -> None:
        """RFC 6582 §3.2 step 5: deflate by what was acknowledged, add back one segment."""
        self.cwnd = max(self.cwnd - acked, 0) + (self.mss if acked >= self.mss else 0)
        self.cwnd = max(self.cwnd, self.mss)

    def on_recovered(self, flight: int) -> None:
        """RFC 6582 §3.2 step 3: leave with a window that cannot burst."""
        self.cwnd = max(min(self.ssthresh, max(flight, self.mss) + self.mss), self.mss)

    def on_timeout(self, flight: int, again: bool) -> None:
        """The RTO fired. `again`: for the same data, so ssthresh stays (RFC 5681 §3.1)."""
        if not again:
            self.ssthresh = max(flight // 2, 2 * self.mss)
        self.cwnd = self.mss
        self._acked = 0
