"""When a segment counts as lost: duplicate ACKs and NewReno's partial ACKs.

Decides what to resend and tells the congestion controller; knows offsets and counts only.
SACK-based detection will replace it. Read first: RFC 5681 §3.2, RFC 6582 §3.2.
"""

from __future__ import annotations

from testbed.mptcp.cc import NewReno

DUPLICATE_THRESHOLD = 3


class Recovery:
    """`active` between the third duplicate ACK and the ACK of `recover`."""

    __slots__ = ("active", "duplicates", "recover", "resend")

    def __init__(self) -> None:
        self.active = False
        self.duplicates = 0
        self.recover = 0
        self.resend: int | None = None  # offset of a segment to send again now

    def on_duplicate(self, una: int, snd_max: int, flight: int, cc: NewReno) -> None:
        self.duplicates += 1
        if self.active:
            cc.on_duplicate()
        elif self.duplicates == DUPLICATE_THRESHOLD and una > self.recover:
            # RFC 6582 §3.2 step 2: not again for losses of a window that was already resent.
            self.active = True
            self.recover = snd_max
            cc.on_loss(flight)
            self.resend = una

    def on_advance(self, una: int, acked: int, flight: int, limited: bool, cc: NewReno) -> bool:
        """`una` moved forward. True on a partial ACK: its retransmission restarts the RTO."""
        self.duplicates = 0
        if not self.active:
            cc.on_ack(acked, limited)
            return False
        if una >= self.recover:
            self.active = False
            self.resend = None
            cc.on_recovered(flight)
            return False
        self.resend = una
        cc.on_partial_ack(acked)
        return True

    def on_timeout(self, snd_max: int) -> None:
        """RFC 6582 §3.2 step 4: remember how far had been sent, leave fast recovery."""
        self.active = False
        self.duplicates = 0
        self.resend = None
        self.recover = snd_max
