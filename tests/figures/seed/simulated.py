"""Results, with captures or without, from an experiment's own cells run in this process, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.records import write_run
from testbed.results import Results, load
from testbed.runner import load_experiment
from testbed.runner.backends import Job, sim
from testbed.workloads.traffic import carried

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "seed"


def simulated(
    directory: Path, experiment: str | Path, sets: Sequence[str] = (), *, capture: bool = True
) -> Results:
    """Every cell once, with the experiment's seed. A name is one of experiments/seed."""
    campaign = load_experiment(EXPERIMENTS / experiment, list(sets))
    seed = campaign.experiment.seed
    for plan in campaign.cells:
        home = directory / "runs" / f"{plan.index:03d}"
        home.mkdir(parents=True)
        outcome = sim(Job(plan.cell, seed, home, capture=capture))
        record: dict[str, Any] = {
            "run": home.name,
            "cell": plan.index,
            "factors": dict(plan.factors),
            "settings": json.loads(json.dumps(plan.cell.model_dump(mode="json"))),
            "repeat": 1,
            "try": 1,
            "seed": seed,
            "commit": "0123456789ab",
            "invalid": outcome.invalid,
            "paths": {},
            "captures": outcome.captures,
            "held": outcome.held,
            "traffic": carried(outcome.rows, outcome.background),
        }
        write_run(home, record, outcome.rows, {})
    return load(directory)
