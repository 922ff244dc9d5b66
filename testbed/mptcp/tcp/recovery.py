"""When a segment counts as lost: duplicate ACKs and NewReno's partial ACKs.

Decides what to resend and tells the congestion controller; knows offsets and counts only.
SACK-based detection will replace it. Read first: RFC 5681 §3.2, RFC 6582 §3.2.
"""

from __future__ import annotations

from testbed.mptcp.cc import Controller

DUPLICATE_THRESHOLD = 3


class Recovery:
    """`active` between the third duplicate ACK and the ACK of `recover`."""

    __slots__ = ("active", "duplicates", "recover", "resend")

    def __init__(self) -> None:
        self.active = False
        self.duplicates = 0
        self.recover = 0
        self.resend: int | None = None  # offset of a segment to send again now

    def on_duplicate(self, una: int, snd_max: int, flight: int, now: int, cc: Controller) -> None:
        self.duplicates += 1
        if self.active:
            cc.cwnd += cc.mss  # one more segment has left (RFC 5681 §3.2 step 4)
        elif self.duplicates == DUPLICATE_THRESHOLD and una > self.recover:
            # RFC 6582 §3.2 step 2: not again for losses of a window that was already resent.
            self.active = True
            self.recover = snd_max
            cc.on_loss(flight, now)
            cc.cwnd = cc.ssthresh + 3 * cc.mss  # the three segments that have left (RFC 5681 §3.2 step 3)
            self.resend = una

    def on_advance(
        self, una: int, acked: int, flight: int, now: int, srtt: int | None, limited: bool, cc: Controller
    ) -> bool:
        """`una` moved forward. True on a partial ACK: its retransmission restarts the RTO."""
        self.duplicates = 0
        if not self.active:
            cc.on_ack(acked, now, srtt, limited)
            return False
        if una >= self.recover:
            self.active = False
            self.resend = None
            cc.on_recovered(now)
            cc.cwnd = min(cc.cwnd, max(flight, cc.mss) + cc.mss)  # no burst (RFC 6582 §3.2 step 3)
            return False
        self.resend = una
        # RFC 6582 §3.2 step 5: deflate by what was acknowledged, add back one segment.
        cc.cwnd = max(cc.cwnd - acked + (cc.mss if acked >= cc.mss else 0), cc.mss)
        return True

    def on_timeout(self, snd_max: int) -> None:
        """RFC 6582 §3.2 step 4: remember how far had been sent, leave fast recovery."""
        self.active = False
        self.duplicates = 0
        self.resend = None
        self.recover = snd_max
