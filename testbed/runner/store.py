"""The output directory: made, recognised, resumed, and never overwritten by another experiment.

Decides names of directories and runs, which runs are still to do, and what happens when a directory holds
something else: an error where the user named it, the next free name where the default was taken. `--fresh`
moves old results aside and deletes nothing. A lock keeps two runners out of one directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.errors import UserError
from testbed.records import FAILURE, RECORD, finished_runs, write_atomically
from testbed.runner.document import parse
from testbed.runner.experiment import Campaign, CellPlan
from testbed.runner.room import needs_room
from testbed.runner.seeds import derive

TRIES = 3
UNCOUNTED = ("jobs", "question", "figures")  # change these and the results are still the same experiment's


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a cell. `attempt` counts from 1."""

    plan: CellPlan
    repeat: int
    attempt: int
    seed: int
    name: str


def make_run(plan: CellPlan, repeat: int, attempt: int, seed: int, repeats: int = 1) -> Run:
    """`seed` is the experiment's; the run's own comes from it, the factors, the repeat and the try."""
    words = [re.sub(r"[^A-Za-z0-9.]+", "_", str(value)).strip("_") for value in plan.factors.values()]
    slug = "-".join(words)[:48]
    name = f"{plan.index:03d}" + (f"-{slug}" if slug else "")
    name += f"-r{repeat}" if repeats > 1 else ""
    name += f".try{attempt}" if attempt > 1 else ""
    own = derive(seed, dict(plan.factors), repeat, attempt)
    return Run(plan, repeat, attempt, own, name)


def may_retry(record: Mapping[str, Any], tries: int) -> bool:
    """Whether an invalid run, the last of `tries`, may be tried again with another seed.

    Only where the machine made it invalid. Repeating a simulated run, or one whose queue overflowed, would
    choose the runs by their outcome.
    """
    return tries < TRIES and bool(record.get("retry", record.get("net") != "sim"))


@dataclass(slots=True)
class Store:
    directory: Path
    campaign: Campaign
    resumed: bool = False
    moved: Path | None = None
    _lock: int = field(default=-1, repr=False)

    @property
    def runs(self) -> Path:
        return self.directory / "runs"

    def pending(self) -> list[Run]:
        """The first missing try of every execution that has no valid run yet, in order."""
        done: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for _, record in finished_runs(self.directory):
            done.setdefault((record["cell"], record["repeat"]), []).append(record)
        missing = []
        for plan in self.campaign.cells:
            for repeat in range(1, self.campaign.experiment.repeats + 1):
                records = done.get((plan.index, repeat), [])
                if any(record["invalid"] is None for record in records):
                    continue
                if records and not may_retry(records[-1], len(records)):
                    continue
                missing.append(self.run(plan, repeat, len(records) + 1))
        return missing

    def run(self, plan: CellPlan, repeat: int, attempt: int) -> Run:
        experiment = self.campaign.experiment
        return make_run(plan, repeat, attempt, experiment.seed, experiment.repeats)

    def start(self, run: Run) -> Path:
        """An empty directory for a run. What an interrupted run left there is cleared away."""
        directory = self.runs / run.name
        if directory.exists():
            if (directory / RECORD).exists():
                raise AssertionError(f"{directory} is finished")
            shutil.rmtree(directory)
        directory.mkdir(parents=True)
        return directory

    def fail(self, run: Run, message: str) -> None:
        directory = self.runs / run.name
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / FAILURE, message + "\n")

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def open_store(campaign: Campaign, out: Path | None, net: str, fresh: bool) -> Store:
    """The directory to write to, new or resumed, locked. `campaign` already knows its way of running."""
    moved = None
    if out is not None:
        directory = out
        if fresh and _occupied(directory):
            moved = _set_aside(directory)
        difference = _difference(directory, campaign)
        if difference:
            raise UserError(
                f"--out {directory}: holds another experiment ({difference}); choose another directory, "
                "or --fresh to move it aside and start again"
            )
    else:
        directory = Path("results") / f"{campaign.name}-{net}"
        number = 1
        first = directory
        while _difference(directory, campaign):
            number += 1
            directory = first.with_name(f"{first.name}-{number}")
        if fresh and _occupied(directory):
            moved = _set_aside(directory)
    resumed = (directory / "experiment.yaml").exists()
    try:
        (directory / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {directory}: cannot be made: {error.strerror}") from None
    lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UserError(
            f"{directory}: another testbed run is writing there; wait for it or use --out"
        ) from None
    if not resumed:
        with needs_room(directory):
            write_atomically(directory / "experiment.yaml", campaign.text())
    return Store(directory, campaign, resumed, moved, lock)


def _occupied(directory: Path) -> bool:
    return (directory / "experiment.yaml").exists()


def _used(directory: Path) -> bool:
    """Whether it holds more than what a runner makes that was stopped before its first word."""
    begun = {".lock", "runs", "experiment.yaml.partial"}
    return any(file.name not in begun for file in directory.iterdir()) or any(directory.glob("runs/*"))


def _set_aside(directory: Path) -> Path:
    number = 1
    while (aside := directory.with_name(f"{directory.name}.old-{number}")).exists():
        number += 1
    directory.rename(aside)
    return aside


def _difference(directory: Path, campaign: Campaign) -> str:
    """How the experiment in `directory` differs from `campaign`; '' where there is none or it is the same."""
    file = directory / "experiment.yaml"
    if not file.exists():
        if directory.exists() and (not directory.is_dir() or _used(directory)):
            return "or something else: it is not empty and has no experiment.yaml"
        return ""
    here = parse(file.read_text(encoding="utf-8"), str(file)).data
    there = parse(campaign.text(), "this").data
    flat_here, flat_there = _flat(here), _flat(there)
    for key in sorted(flat_here.keys() | flat_there.keys()):
        if key.split(".")[0] in UNCOUNTED:
            continue
        old, new = flat_here.get(key), flat_there.get(key)
        if old != new:
            return f"{key}: {_short(old)} there, {_short(new)} now"
    return ""


def _flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{above}{key}."))
        else:
            flat[f"{above}{key}"] = value
    return flat


def _short(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)
