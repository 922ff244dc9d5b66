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
from testbed.records import write_atomically
from testbed.reproduce.measure import measured
from testbed.reproduce.meter import Meter, Status
from testbed.reproduce.steps import CAMPAIGNS, MEASUREMENTS, Step
from testbed.runner import Way, choose_way, run_campaign


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
    meter = Meter([step.weight for step in steps], [step.title for step in steps], watch)
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
    path = measurement_file(directory, step.key)
    if not fresh and path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["sizes"] == list(step.sizes):
            return False
    rows = measured(step.measurement.measured_by, step.sizes)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"sizes": list(step.sizes), "rows": rows}, indent=1))
    return True


def measurement_file(directory: Path, key: str) -> Path:
    return directory / MEASUREMENTS / f"{key}.json"
