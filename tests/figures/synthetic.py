"""Output directories whose verdicts are dice with the closed form's own odds: to test drawing alone."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from testbed.model import predict
from testbed.records import write_run
from testbed.runner import load_experiment

REASONS = {"fallback": "cookie_without_key", "reset": "rst_received", "mptcp": "none"}


def write(directory: Path, experiment: Path, sets: list[str], seed: int = 1) -> Path:
    """An output directory as `testbed run` leaves it."""
    campaign = load_experiment(experiment, sets)
    rng = random.Random(seed)
    for plan in campaign.cells:
        cell = plan.cell
        profile, loss = plan.factors["client.profile"], plan.factors["paths.*.loss.up"]
        said = predict(profile, loss / 100, 1, 2)
        rows = []
        for index in range(cell.connections):
            dice = rng.random()
            verdict = "fallback" if dice < said.fallback else "mptcp"
            rows.append(_row(index, profile, verdict))
        home = directory / "runs" / f"{plan.index:03d}"
        home.mkdir(parents=True)
        record = {
            "run": home.name,
            "cell": plan.index,
            "factors": dict(plan.factors),
            "settings": json.loads(json.dumps(cell.model_dump(mode="json"))),
            "repeat": 1,
            "try": 1,
            "seed": seed,
            "commit": "0123456789ab",
            "invalid": None,
            "paths": {
                "1": {"client": "10.0.1.1", "server": "10.1.1.1", "rate_up": 10**7, "rate_down": 10**7}
            },
        }
        write_run(home, record, rows, {})
    facts = {
        "name": campaign.name,
        "question": campaign.experiment.question,
        "way": "dice",
        "figures": ["fallback_by_loss"],
        "packages": {"scipy": "1"},
        "experiment": campaign.resolved(),
    }
    (directory / "environment.json").write_text(json.dumps(facts))
    return directory


def _row(index: int, profile: str, verdict: str) -> dict[str, Any]:
    return {
        "role": "client",
        "connection": index,
        "profile": profile,
        "local_address": "10.0.1.1",
        "local_port": 21000 + index,
        "remote_address": "10.1.1.1",
        "remote_port": 20080,
        "verdict": verdict,
        "reason": REASONS[verdict],
        "opened_ns": 0,
        "connected_ns": 40_000_000 + index,
        "done_ns": 100_000_000,
        "bytes_received": 10_000,
        "intact": True,
        "paths": [
            {
                "subflow": 0,
                "local_address": "10.0.1.1",
                "local_port": 21000 + index,
                "remote_address": "10.1.1.1",
                "remote_port": 20080,
                "local_id": 0,
                "remote_id": 0,
                "backup": False,
                "bytes_sent": 300,
                "bytes_received": 10_000,
                "retransmits": 0,
                "srtt_ns": 20_000_000,
                "ended": "closed",
            }
        ],
    }
