"""Runs what a reproduction still lacks, step by step, and says how far it is.

Decides what becomes of a step that cannot be done here (left out, with the reason) or that failed (said at
the end, the others go on), and how the time left is told. Finished runs are never repeated: the campaigns are
ordinary output directories of `testbed run` below DIR/campaigns. Must not know what is drawn.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.errors import MachineError, RunFailed
from testbed.linux import node
from testbed.records import write_atomically
from testbed.reproduce.measure import measured
from testbed.reproduce.steps import CAMPAIGNS, MEASUREMENTS, Step
from testbed.runner import Progress, Way, choose_way, run_campaign


@dataclass(slots=True)
class Status:
    """What whoever watches may show. `share`: of the whole, 0..1; `seconds_left` None: not yet known."""

    step: int
    steps: int
    title: str
    share: float
    seconds_left: float | None = None
    notices: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Done:
    """`missing`: steps that this machine cannot do, and why. `failures`: lines for the user."""

    missing: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def run_steps(
    steps: Sequence[Step], directory: Path, *, jobs: int | None, fresh: bool, watch: Callable[[Status], None]
) -> Done:
    """KeyboardInterrupt passes through; what has been finished stays."""
    done = Done()
    calibrated: list[Path] = []  # by this session's own campaigns
    meter = _Meter(steps, watch)
    for index, step in enumerate(steps):
        meter.begin(index)
        try:
            if step.measurement is not None:
                _measure(step, directory, fresh)
            else:
                done.failures += _run(step, directory, jobs, fresh, meter, calibrated)
                calibrated.append(directory / CAMPAIGNS / step.key)
        except MachineError as error:
            done.missing[step.key] = str(error).splitlines()[0]
        except RunFailed as error:
            done.failures.append(f"{step.title}: {error}")
        meter.end()
    return done


def _run(
    step: Step, directory: Path, jobs: int | None, fresh: bool, meter: _Meter, calibrated: list[Path]
) -> list[str]:
    assert step.loaded is not None
    assert step.campaign is not None
    if step.net == "mininet" and step.campaign.linux:
        node.check()
    way: Way = choose_way(step.loaded, step.net)
    finished = run_campaign(
        step.loaded,
        net=way.net,
        way=way.words,
        out=directory / CAMPAIGNS / step.key,
        jobs=jobs,
        fresh=fresh,
        watch=meter.runs,
        calibrated=calibrated,
    )
    return finished.failures


def _measure(step: Step, directory: Path, fresh: bool) -> None:
    """Kept as JSON with the sizes that it was made for."""
    assert step.measurement is not None
    path = measurement_file(directory, step.key)
    if not fresh and path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["sizes"] == list(step.sizes):
            return
    rows = measured(step.measurement.measured_by, step.sizes)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"sizes": list(step.sizes), "rows": rows}, indent=1))


def measurement_file(directory: Path, key: str) -> Path:
    return directory / MEASUREMENTS / f"{key}.json"


class _Meter:
    """How far the whole is. What was there before counts as done, and not for the pace."""

    def __init__(self, steps: Sequence[Step], watch: Callable[[Status], None]) -> None:
        self._steps, self._watch = steps, watch
        self._total = sum(step.weight for step in steps) or 1.0
        self._before = 0.0  # weight of the steps that are over
        self._new = 0.0  # weight of the work of this session
        self._index = 0
        self._began = time.monotonic()
        self._here = self._here_new = 0.0

    def begin(self, index: int) -> None:
        self._index = index
        self._here = self._here_new = 0.0
        self._say([])

    def runs(self, progress: Progress) -> None:
        weight = self._steps[self._index].weight / max(progress.total, 1)
        self._here = weight * progress.done
        self._here_new = weight * (progress.done - progress.earlier)
        notices, progress.notices = progress.notices, []
        self._say(notices)

    def end(self) -> None:
        step = self._steps[self._index]
        self._before += step.weight
        self._new += self._here_new
        self._here = self._here_new = 0.0

    def _say(self, notices: list[str]) -> None:
        step = self._steps[self._index]
        new = self._new + self._here_new
        left = None
        if new > 0:
            remaining = self._total - self._before - self._here
            left = (time.monotonic() - self._began) * remaining / new
        share = (self._before + self._here) / self._total
        self._watch(Status(self._index + 1, len(self._steps), step.title, share, left, notices))
