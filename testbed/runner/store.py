"""The output directory: made, recognised, resumed, and never overwritten by another experiment.

Decides names of directories, which runs are still to do, and what happens when a directory holds something
else: an error where the user named it, the next free name where the default was taken. The same experiment
with more values, cases, repeats or connections is not something else: it adds runs. `--fresh` moves old
results aside and deletes nothing. A lock keeps two runners out of one directory.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.errors import UserError
from testbed.portable import lock_file
from testbed.records import FAILURE, RECORD, every_run, write_atomically, write_listed
from testbed.runner.blocks import in_blocks
from testbed.runner.cases import EXPECT
from testbed.runner.document import FOR_OWN_FILES, parse
from testbed.runner.executions import Execution, Run, plan_runs
from testbed.runner.experiment import Campaign, load_experiment
from testbed.runner.room import needs_room

# Change these and results are still the same experiment's.
UNCOUNTED = ("jobs", "question", "figures", "blocks", "expect")
GROWING = ("connections", "repeats")  # a larger number adds to what is there


@dataclass(slots=True)
class Store:
    directory: Path
    campaign: Campaign
    moved: Path | None = None
    executions: list[Execution] = field(default_factory=list)
    _lock: int = field(default=-1, repr=False)

    @property
    def runs(self) -> Path:
        return self.directory / "runs"

    def pending(self) -> list[Execution]:
        """Every execution that has no valid run yet, and tries left; in a lab block after block, in random
        order."""
        experiment = self.campaign.experiment
        ordered: Sequence[Execution] = self.executions
        if experiment.net != "sim":
            ordered = in_blocks(ordered, lambda one: one.plan.index, experiment.seed)
        return [one for one in ordered if not one.valid and one.next_run() is not None]

    def plan(self, commit: str, reuse_old: bool) -> Counter[str]:
        """Settles which runs the experiment has, those that are there included, and writes it down. Returns
        the other versions of the code that made runs for it, each with the number of runs."""
        there = [record for _, record in every_run(self.directory)]
        planned = plan_runs(self.campaign, self.campaign.experiment.net or "", there, commit, reuse_old)
        self.executions = planned.executions
        write_listed(self.directory, (one.listed() for one in self.executions))
        return planned.other

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
    try:
        (directory / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {directory}: cannot be made: {error.strerror}") from None
    lock = lock_file(directory / ".lock")
    if lock is None:
        raise UserError(f"{directory}: another testbed run is writing there; wait for it or use --out")
    file, text = directory / "experiment.yaml", campaign.text()
    with needs_room(directory):
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            write_atomically(file, text)
    return Store(directory, campaign, moved, _lock=lock)


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
    try:
        text = load_experiment(file).text()  # with the keys that an earlier version of the code did not have
    except UserError:
        text = file.read_text(encoding="utf-8", errors="replace")
    here = parse(text, str(file), FOR_OWN_FILES).data
    there = parse(campaign.text(), "this", FOR_OWN_FILES).data
    for key, same in (("vary", _more_values), ("cases", _more_cases)):
        one, other = here.pop(key, None) or {}, there.pop(key, None) or {}
        if not same(one, other):
            return f"{key}: {_short(one)} there, {_short(other)} now"
    flat_here, flat_there = _flat(here), _flat(there)
    for key in sorted(flat_here.keys() | flat_there.keys()):
        if key.split(".")[0] in UNCOUNTED:
            continue
        old, new = flat_here.get(key), flat_there.get(key)
        if old != new and not (key in GROWING and old is not None and new is not None and old <= new):
            return f"{key}: {_short(old)} there, {_short(new)} now"
    return ""


def _more_values(here: Mapping[str, list[Any]], there: Mapping[str, list[Any]]) -> bool:
    """The same factors, each with all the values that it had."""
    return here.keys() == there.keys() and all(
        _plain(value) in map(_plain, there[key]) for key, values in here.items() for value in values
    )


def _more_cases(here: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """All the cases that there were; what is expected of them may change."""
    return bool(here) == bool(there) and all(
        name in there and _plain({**case, EXPECT: 0}) == _plain({**there[name], EXPECT: 0})
        for name, case in here.items()
    )


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


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
