"""Loss recovery: its phases, the window while it lasts, and what to give back if nothing was lost.

Decides cwnd while losses are repaired (PRR) and keeps what an undo needs. What is lost is decided in
rack.py, and in loss.py for peers without SACK; how far cwnd falls in cc/.
Read first: RFC 9937 §6.2, RFC 6675 §5, RFC 4015 §3.2.
"""

from __future__ import annotations

from enum import Enum

from testbed.mptcp.cc import Controller

DUPLICATE_THRESHOLD = 3


class Phase(Enum):
    OPEN = "open"
    RECOVERY = "recovery"  # something is lost and ACKs still come
    LOSS = "loss"  # the RTO fired; slow start until all of that window has arrived


class Recovery:
    """`recover`: the end of what had been sent when the phase began; it lasts until that is acknowledged."""

    __slots__ = (
        "_before",
        "_needless",
        "_since",
        "delivered",
        "duplicates",
        "flight",
        "out",
        "partials",
        "phase",
        "recover",
        "resent_at",
    )

    def __init__(self) -> None:
        self.phase = Phase.OPEN
        self.recover = 0
        self.duplicates = 0  # ACKs in a row that moved nothing and say that something arrived
        self.partials = 0  # ACKs of a part, in recovery without SACK
        # PRR, since recovery began; `flight` is what was outstanding then (RFC 9937's RecoverFS).
        self.delivered = self.out = self.flight = 0
        # For an undo: when the first copy was sent, cwnd and ssthresh from before, the offset where this
        # recovery began, and the bytes sent again that no D-SACK has called needless.
        self.resent_at: int | None = None
        self._before: tuple[int, int] | None = None
        self._since = 0
        self._needless = 0

    @property
    def can_undo(self) -> bool:
        return self._before is not None and self.resent_at is not None

    @property
    def is_slow(self) -> bool:
        """Without SACK one segment is repaired in a round trip. Only the first ACK of a part restarts the
        RTO, so that it ends this when too many are lost (RFC 6582 §3.2 step 3)."""
        return self.phase is Phase.RECOVERY and self.partials > 1

    def begin(self, phase: Phase, una: int, nxt: int, flight: int, cc: Controller) -> None:
        """Call it before the controller hears of the loss."""
        if self.phase is Phase.OPEN:
            self._before = (cc.cwnd, cc.ssthresh)
            self._since, self._needless = una, 0
            self.resent_at = None
        else:
            self._before = None  # a timeout in recovery: the loss is real
        self.phase, self.recover, self.flight = phase, nxt, flight
        self.duplicates = self.delivered = self.out = 0
        self.partials = 0

    def sent(self, count: int, again: bool, now: int) -> None:
        self.out += count
        if again:
            self._needless += count
            if self.resent_at is None:
                self.resent_at = now

    def reduce(self, delivered: int, pipe: int, safe: bool, cc: Controller) -> None:
        """Proportional Rate Reduction: cwnd after an ACK in recovery (RFC 9937 §6.2). `safe`: una moved
        and no further loss was found."""
        self.delivered += delivered
        if pipe > cc.ssthresh:
            send = -(-self.delivered * cc.ssthresh // max(self.flight, 1)) - self.out
        else:
            send = max(self.delivered - self.out, delivered) + (cc.mss if safe else 0)
            send = min(cc.ssthresh - pipe, send)
        if not self.out:
            send = max(send, cc.mss)  # the first copy leaves at once
        cc.cwnd = max(pipe + max(send, 0), cc.mss)

    def needless(self, left: int, right: int) -> bool:
        """A D-SACK: these bytes arrived twice. True when all that was sent again did (RFC 3708 §2)."""
        if not self.can_undo or not self._since <= left < self.recover:
            return False
        self._needless -= right - left
        return self._needless <= 0

    def revert(self, cc: Controller) -> None:
        """It was for nothing: the window of before (RFC 4015 §3.2)."""
        if self._before is not None:
            cwnd, ssthresh = self._before
            cc.cwnd, cc.ssthresh = max(cc.cwnd, cwnd), max(cc.ssthresh, ssthresh)
        self._before = None
        self.phase = Phase.OPEN

    def settle(self) -> None:
        """It was for a reason: nothing to revert."""
        self._before = None
