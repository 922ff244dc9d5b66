"""How far a reproduction is, and how long it will take.

Decides that a step's weight is believed at first (about a second for each), and the pace of this session more
and more; what was there before counts as done, and not for the pace or the time left. Must not know what a
step does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from testbed.runner import Progress

BELIEVED = 60.0  # weight whose pace is taken for granted: a second each


@dataclass(slots=True)
class Status:
    """What whoever watches may show. `share`: of the whole, 0..1; `seconds_left` None: nothing run yet."""

    step: int
    steps: int
    title: str
    share: float
    seconds_left: float | None = None
    notices: list[str] = field(default_factory=list)


class Meter:
    """`weights` and `titles` of the steps in their order, and the share of each that is `there` already, as
    far as can be told, 0..1; `clock` in seconds."""

    def __init__(
        self,
        weights: Sequence[float],
        titles: Sequence[str],
        there: Sequence[float],
        watch: Callable[[Status], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._weights, self._titles, self._watch, self._clock = weights, titles, watch, clock
        self._total = sum(weights) or 1.0
        self._lacking = [weight * (1 - share) for weight, share in zip(weights, there, strict=True)]
        self._before = 0.0  # weight of the steps that are over
        self._new = 0.0  # weight of the work of this session
        self._index = 0
        self._began = clock()
        self._here = self._here_new = 0.0

    def begin(self, index: int) -> None:
        self._index = index
        self._say([])

    def runs(self, progress: Progress) -> None:
        weight = self._weights[self._index] / max(progress.total, 1)
        self._here = weight * progress.done
        self._here_new = weight * (progress.done - progress.earlier)
        notices, progress.notices = progress.notices, []
        self._say(notices)

    def worked(self) -> None:
        """All of this step was work of this session."""
        self._here_new = self._weights[self._index]

    def end(self) -> None:
        self._before += self._weights[self._index]
        self._new += self._here_new
        self._here = self._here_new = 0.0

    def _say(self, notices: list[str]) -> None:
        new = self._new + self._here_new
        share = (self._before + self._here) / self._total
        pace = (self._clock() - self._began + BELIEVED) / (new + BELIEVED)
        lacking = self._weights[self._index] - self._here + sum(self._lacking[self._index + 1 :])
        left = pace * lacking if new > 0 else None
        title, steps = self._titles[self._index], len(self._weights)
        self._watch(Status(self._index + 1, steps, title, share, left, notices))
