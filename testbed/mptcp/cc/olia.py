"""OLIA, opportunistic linked increases: as LIA, but windows move to the better paths.

Decides each subflow's increase from rates, and from which paths deliver much between losses though their
window is small. Slow start and halving are NewReno's.
Read first: draft-khalili-mptcp-congestion-control-05, sections 2 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.mptcp.cc.group import Group
from testbed.mptcp.cc.newreno import NewReno


@dataclass(frozen=True, slots=True)
class Path:
    cwnd: int
    rtt: int
    delivered: int  # l_r: bytes between the last two losses or since the last one, whichever is more


def alphas(paths: Sequence[Path]) -> list[float]:
    """alpha of each path: what the largest windows give up, the best paths with smaller ones take.

    The draft calls those best that have the largest l_r^2 / rtt_r; the kernel of its authors compared
    l_r / rtt_r^2. With equal RTTs that is the same.
    """
    quality = [path.delivered**2 / max(path.rtt, 1) for path in paths]
    best = {index for index, one in enumerate(quality) if one == max(quality)}
    widest = max(path.cwnd for path in paths)
    largest = {index for index, path in enumerate(paths) if path.cwnd == widest}
    collected = best - largest
    given = dict.fromkeys(range(len(paths)), 0.0)
    if collected:
        given |= dict.fromkeys(largest, -1 / len(paths) / len(largest))
        given |= dict.fromkeys(collected, 1 / len(paths) / len(collected))
    return list(given.values())


class Olia(NewReno):
    __slots__ = ("_before", "_since")

    meaning = "coupled: as LIA, and moves traffic to the paths that lose less"
    source = "draft-khalili-mptcp-congestion-control-05"

    def __init__(
        self, mss: int, initial_window: int, lost_syn: bool = False, group: Group | None = None
    ) -> None:
        super().__init__(mss, initial_window, lost_syn, group)
        self._before = self._since = 0  # bytes delivered between the last two losses, and since the last

    def on_ack(self, acked: int, now: int, srtt: int | None, limited: bool, rtt: int | None = None) -> None:
        self._since += acked
        super().on_ack(acked, now, srtt, limited, rtt)

    def on_loss(self, flight: int, now: int) -> None:
        self._lost()
        super().on_loss(flight, now)

    def on_timeout(self, flight: int, again: bool, now: int) -> None:
        if not again:
            self._lost()
        super().on_timeout(flight, again, now)

    def _lost(self) -> None:
        if self._since:  # two losses of the same bytes are one
            self._before, self._since = self._since, 0

    def _reduced(self, flight: int) -> int:
        """With several paths a bad one may go down to one segment (section 4 of the draft)."""
        floor = 1 if len(self._paths()) > 1 else 2
        return max(flight // 2, floor * self.mss)

    def _paths(self) -> dict[Olia, Path]:
        """The subflows in use, this one among them."""
        members = self.group.in_use() if self.group is not None else ()
        return {
            one: Path(one.steady, one.srtt, max(one._before, one._since))
            for one in members
            if isinstance(one, Olia) and one.srtt is not None
        }

    def _avoid(self, acked: float, now: int) -> None:
        super()._avoid(acked * self._share(), now)
        if self._acked <= -self.cwnd:
            self._acked += self.cwnd
            self.cwnd = max(self.cwnd - self.mss, self.mss)

    def _share(self) -> float:
        """Of NewReno's increase: (this rate / all rates)^2 + alpha. Below 0 the window shrinks."""
        paths = self._paths()
        if len(paths) < 2 or self not in paths:
            return 1.0
        mine = list(paths).index(self)
        rates = [path.cwnd / max(path.rtt, 1) for path in paths.values()]
        if sum(rates) <= 0:
            return 1.0
        return (rates[mine] / sum(rates)) ** 2 + alphas(list(paths.values()))[mine]
