"""What the TCP of a subflow may ask of a congestion controller, and nothing more.

A controller decides how cwnd grows and what ssthresh becomes. It must not know segments, sequence
numbers or a connection: which bytes were lost, and the window while they are repaired, is decided in
tcp/. All sizes are bytes, all times ns. Read first: RFC 5681 §3.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from testbed.mptcp.cc.group import Group


class Controller(Protocol):
    """`mss`, `cwnd` and `ssthresh` are open: during recovery the subflow itself moves `cwnd`."""

    meaning: ClassVar[str]  # one line for people
    source: ClassVar[str]  # the RFC, draft or paper
    mss: int
    cwnd: int
    ssthresh: int

    def __init__(
        self, mss: int, initial_window: int, lost_syn: bool = False, group: Group | None = None
    ) -> None:
        """`initial_window` in segments. `group`: the connection's other controllers, for coupled ones."""

    def on_ack(self, acked: int, now: int, srtt: int | None, limited: bool, rtt: int | None = None) -> None:
        """New data acknowledged outside recovery. `limited`: the window was in fact used up. `rtt`: the
        newest sample, where there is one."""

    def on_loss(self, flight: int, now: int) -> None:
        """Recovery begins with `flight` bytes outstanding: sets ssthresh, leaves cwnd alone."""

    def on_recovered(self, now: int) -> None:
        """Recovery is over: cwnd = ssthresh."""

    def on_timeout(self, flight: int, again: bool, now: int) -> None:
        """The RTO fired: cwnd is one segment. `again`: for the same data, so ssthresh stays."""

    def on_idle(self, timeouts: int) -> None:
        """Nothing was sent or outstanding for so many RTOs: cwnd says little about the path now."""

    def penalize(self) -> None:
        """This subflow holds the whole connection up: halve cwnd, to 2 MSS at least, and go on from there
        slowly."""
