"""Round robin: the subflows take turns, whatever their speed.

Decides by whose turn it is; one that has no room is passed over and has missed its turn.
Read first: Paasch et al., "Experimental Evaluation of Multipath TCP Schedulers", CSWS 2014, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from testbed.mptcp.sched.candidate import Candidate


class RoundRobin:
    __slots__ = ("_last",)

    meaning: ClassVar[str] = "the subflows that have room take turns, a segment each"
    source: ClassVar[str] = "Paasch et al., CSWS 2014"
    duplicates: ClassVar[bool] = False

    def __init__(self) -> None:
        self._last = -1

    def pick(self, candidates: Sequence[Candidate], queued: int) -> int | None:
        later = [one.index for one in candidates if one.index > self._last]
        self._last = later[0] if later else candidates[0].index
        return self._last
