"""Lowest RTT first: the fastest subflow until its window is full, then the next.

Decides by the smoothed round-trip time alone, so that a slow subflow gets what the fast ones cannot take.
Read first: Paasch et al., "Experimental Evaluation of Multipath TCP Schedulers", CSWS 2014, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from testbed.mptcp.sched.candidate import Candidate

UNKNOWN = 1 << 62


def _speed(candidate: Candidate) -> tuple[int, int]:
    return (UNKNOWN if candidate.srtt is None else candidate.srtt, candidate.index)


class LowestRtt:
    __slots__ = ()

    meaning: ClassVar[str] = "the subflow with the lowest RTT that has room; of equal ones the older"
    source: ClassVar[str] = "Paasch et al., CSWS 2014"
    duplicates: ClassVar[bool] = False

    def pick(self, candidates: Sequence[Candidate], queued: int) -> int | None:
        return min(candidates, key=_speed).index
