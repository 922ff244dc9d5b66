"""Runs what a reproduction still lacks, step by step, and says how far it is.

Decides what becomes of a step that cannot be done here (left out, with the reason) or that failed (said at
the end, the others go on). Finished runs are never repeated: the campaigns are ordinary output directories of
`testbed run` below DIR/campaigns. Must not know what is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.errors import MachineError, RunFailed
from testbed.linux import node
from testbed.portable import need_linux
from testbed.records import RECORD, write_atomically
from testbed.reproduce.measure import measured
from testbed.reproduce.meter import Meter, Status
from testbed.reproduce.steps import CAMPAIGNS, MEASUREMENTS, Step
from testbed.runner import Way, choose_way, commit, machine, run_campaign


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
    weights, titles = [step.weight for step in steps], [step.title for step in steps]
    meter = Meter(weights, titles, [0.0 if fresh else _there(step, directory) for step in steps], watch)
    for index, step in enumerate(steps):
        meter.begin(index)
        try:
            if step.measurement is not None:
                if _measure(step, directory, fresh):
                    meter.worked()
            else:
                done.failures += _run(step, directory, jobs, fresh, meter, calibrated)
                calibrated.append(directory / CAMPAIGNS / step.key)
        except MachineError as error:
            done.missing[step.key] = str(error).splitlines()[0]
        except RunFailed as error:
            done.failures.append(f"{step.title}: {error}")
        meter.end()
    return done


def _there(step: Step, directory: Path) -> float:
    """The share of a step that seems to be done: runs are counted, not looked at."""
    if step.loaded is None:
        return float(kept(directory, step.key) is not None)
    done = sum(1 for _ in (directory / CAMPAIGNS / step.key).glob(f"runs/*/{RECORD}"))
    return min(done / max(len(step.loaded.cells), 1), 1.0)


def _run(
    step: Step, directory: Path, jobs: int | None, fresh: bool, meter: Meter, calibrated: list[Path]
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


def _measure(step: Step, directory: Path, fresh: bool) -> bool:
    """Whether it had to be. Kept as JSON with the sizes that it was made for."""
    assert step.measurement is not None
    need_linux(step.title)  # memory is read from /proc
    before = None if fresh else kept(directory, step.key)
    if before is not None and before["sizes"] == list(step.sizes):
        return False
    rows = measured(step.measurement.measured_by, step.sizes)
    path = measurement_file(directory, step.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {"commit": commit(), **machine()}
    write_atomically(path, json.dumps({"sizes": list(step.sizes), "made": made, "rows": rows}, indent=1))
    return True


def kept(directory: Path, key: str) -> dict[str, Any] | None:
    """A measurement that is there: `sizes`, `rows`, and where it was `made`."""
    try:
        found: dict[str, Any] = json.loads(measurement_file(directory, key).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found if "made" in found else None  # an earlier version did not say where


def measurement_file(directory: Path, key: str) -> Path:
    return directory / MEASUREMENTS / f"{key}.json"
