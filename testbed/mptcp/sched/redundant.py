"""Redundant: every byte on every subflow, so that the fastest copy counts.

Decides that copies are made (`duplicates`); the first goes to the subflow with the lowest RTT. Trades
bandwidth for delay. Read first: Frömmgen et al., "ReMP TCP", ICC 2016.
"""

from __future__ import annotations

from typing import ClassVar

from testbed.mptcp.sched.lowest_rtt import LowestRtt


class Redundant(LowestRtt):
    __slots__ = ()

    meaning: ClassVar[str] = "every byte on every subflow that has room for it"
    source: ClassVar[str] = "Frömmgen et al., ReMP TCP, ICC 2016"
    duplicates: ClassVar[bool] = True
