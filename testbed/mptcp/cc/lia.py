"""LIA, linked increases: together the subflows take what one TCP would on the best of their paths.

Decides by how much less than NewReno each of them grows; slow start and the reaction to loss stay each
subflow's own. Read first: RFC 6356 §3.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.mptcp.cc.newreno import NewReno


def alpha(paths: Sequence[tuple[int, int]]) -> float:
    """The aggressiveness of the whole for (cwnd, srtt) of each subflow (RFC 6356 §3), in bytes and ns. An RTT
    of 0 counts as 1 ns; without any window there is nothing to share."""
    paths = [(cwnd, max(rtt, 1)) for cwnd, rtt in paths]
    total = sum(cwnd for cwnd, _ in paths)
    if total <= 0:
        return 1.0
    best = max(cwnd / rtt**2 for cwnd, rtt in paths)
    return float(total * best / sum(cwnd / rtt for cwnd, rtt in paths) ** 2)


class Lia(NewReno):
    __slots__ = ()

    meaning = "coupled: all subflows together take no more than one TCP on the best path"
    source = "RFC 6356 §3"

    def _avoid(self, acked: float, now: int) -> None:
        super()._avoid(acked * self._share(), now)

    def _share(self) -> float:
        """Of NewReno's increase on this path: alpha * cwnd / total, and never more than NewReno's."""
        if self.group is None or self.srtt is None:
            return 1.0
        paths = [(one.steady, one.srtt) for one in self.group.in_use() if one.srtt is not None]
        total = sum(cwnd for cwnd, _ in paths)
        return min(alpha(paths) * self.steady / total, 1.0) if len(paths) > 1 and total > 0 else 1.0
