"""NewReno: in congestion avoidance one segment more for each window acknowledged.

Decides that and nothing else; repairing the loss is tcp/recovery.py's.
Read first: RFC 5681 §3.1.
"""

from __future__ import annotations

from testbed.mptcp.cc.group import Group
from testbed.mptcp.cc.window import Window


class NewReno(Window):
    __slots__ = ("_acked",)

    meaning = "one segment more per round trip, half the window after a loss"
    source = "RFC 5681 §3.1"

    def __init__(
        self, mss: int, initial_window: int, lost_syn: bool = False, group: Group | None = None
    ) -> None:
        super().__init__(mss, initial_window, lost_syn, group)
        self._acked: float = 0  # of the present window

    def on_loss(self, flight: int, now: int) -> None:
        super().on_loss(flight, now)
        self._acked = 0

    def on_timeout(self, flight: int, again: bool, now: int) -> None:
        super().on_timeout(flight, again, now)
        self._acked = 0

    def _avoid(self, acked: float, now: int) -> None:
        self._acked += acked
        if self._acked >= self.cwnd:
            self._acked -= self.cwnd
            self.cwnd += self.mss
