"""HyStart++: the first slow start ends when the RTT rises, before a queue overflows.

Decides by how much less than slow start the window grows while it is not sure (conservative slow start), and
when to stop. A round is a window acknowledged: the subflow uses all of it, or nothing grows at all. Knows
no sequence numbers. Read first: RFC 9406 §4.2.
"""

from __future__ import annotations

MILLISECOND = 1_000_000

# RFC 9406 §4.3
MIN_RTT_THRESH = 4 * MILLISECOND
MAX_RTT_THRESH = 16 * MILLISECOND
MIN_RTT_DIVISOR = 8
N_RTT_SAMPLE = 8
CSS_GROWTH_DIVISOR = 4
CSS_ROUNDS = 5


class HyStart:
    """One for each connection; `done` once the first slow start should be over."""

    __slots__ = ("_baseline", "_css_rounds", "_last", "_least", "_left", "_samples", "done")

    def __init__(self) -> None:
        self.done = False
        self._left = 0  # bytes until this round is over
        self._samples = 0  # of this round
        self._least: int | None = None  # the lowest RTT of this round, and of the one before
        self._last: int | None = None
        self._baseline: int | None = None  # that at which conservative slow start began; None: plain
        self._css_rounds = 0

    def divisor(self, acked: int, cwnd: int, rtt: int) -> int:
        """An ACK with an RTT sample, in ns: by what to divide the growth for it."""
        if self._left <= 0:
            self._begin(cwnd)
        self._left -= acked
        self._samples += 1
        self._least = rtt if self._least is None else min(self._least, rtt)
        if self._samples >= N_RTT_SAMPLE:
            self._judge(self._least)
        if self._baseline is not None and self._left <= 0:
            self._css_rounds += 1
            self.done = self._css_rounds >= CSS_ROUNDS
        return 1 if self._baseline is None else CSS_GROWTH_DIVISOR

    def _begin(self, cwnd: int) -> None:
        self._left, self._samples = cwnd, 0
        self._last, self._least = self._least, None

    def _judge(self, least: int) -> None:
        """Into conservative slow start when the RTT rose; out of it when that was only jitter."""
        if self._baseline is not None:
            if least < self._baseline:
                self._baseline = None
        elif self._last is not None:
            threshold = max(MIN_RTT_THRESH, min(self._last // MIN_RTT_DIVISOR, MAX_RTT_THRESH))
            if least >= self._last + threshold:
                self._baseline, self._css_rounds = least, 0
