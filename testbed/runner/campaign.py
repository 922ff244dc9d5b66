"""Runs everything that an experiment still lacks: order, tries, parallelism, what is said meanwhile.

Decides how many runs overlap, when a run is tried again (three tries, all kept; a simulated run, or one whose
queue overflowed, never), and how a campaign ends. Simulated runs start in the order of the file, those of a
lab in blocks (blocks.py). Must not know how a run is executed (backends.py) or stored (store.py,
testbed/records.py), and draws nothing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.errors import MachineError, RunFailed, UserError
from testbed.portable import usable_cores
from testbed.records import finished_runs, write_atomically
from testbed.runner import environment
from testbed.runner.backends import BACKENDS
from testbed.runner.calibrate import calibrate
from testbed.runner.executions import Run, may_retry
from testbed.runner.experiment import Campaign, written
from testbed.runner.fidelity import Fidelity
from testbed.runner.identity import code_version
from testbed.runner.network import paths_of
from testbed.runner.pool import Pool
from testbed.runner.room import check_room, needs_room
from testbed.runner.spec import build
from testbed.runner.store import Store, open_store
from testbed.runner.unfinished import unfinished_runs
from testbed.workloads import Workload

LABS_PER_CORE = {
    "request": 2.5,  # most of a lab's time is waiting: for arrivals, delays and retransmission timers
    "http": 2.5,
    "bulk": 0.5,  # its figures are those of a core that had time
}


@dataclass(slots=True)
class Progress:
    """What whoever watches may show. `total` counts runs, those of earlier sessions included."""

    directory: Path
    total: int
    done: int = 0
    earlier: int = 0
    again: int = 0  # tries beyond the first
    running: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)  # runs that failed or were invalid, as it happens


@dataclass(slots=True)
class Finished:
    """A campaign's end: where it is and what did not work, run by run."""

    directory: Path
    done: int
    moved: Path | None
    failures: list[str]

    def check(self) -> None:
        """RunFailed where any run failed or stayed invalid."""
        if self.failures:
            raise RunFailed("\n".join(self.failures))


def default_jobs(net: str, workloads: Collection[str], cores: int) -> int:
    """Runs at a time, where neither experiment nor command says."""
    if net == "sim":
        return cores
    return max(1, round(min(LABS_PER_CORE[workload] for workload in workloads) * cores))


def run_campaign(
    campaign: Campaign,
    *,
    net: str,
    way: str,
    out: Path | None = None,
    jobs: int | None = None,
    fresh: bool = False,
    watch: Callable[[Progress], None] = lambda progress: None,
    backend: str | None = None,
    calibrated: Collection[Path] = (),
    reuse_old: bool = False,
) -> Finished:
    """Runs what is missing and returns where it is. `way` says in words how: it goes into the evidence.

    `reuse_old`: finished runs that another version of the code made count as well.

    `calibrated`: output directories of campaigns that measured their links a short while ago; links that are
    to be the same are not measured again.

    `backend` is "module:function", by default the one of `net`. KeyboardInterrupt passes through once every
    worker has ended; finished runs stay, and the next call goes on behind them.
    """
    campaign = with_net(campaign, net)
    store = open_store(campaign, out, net, fresh)
    cells = [plan.cell for plan in campaign.cells]
    with closing(store), needs_room(store.directory):
        workloads = {"bulk" if cell.traffic else build(Workload, cell.workload).type for cell in cells}
        size = jobs or campaign.experiment.jobs or default_jobs(net, workloads, usable_cores())
        evidence = environment.describe(campaign, net, way, size)
        write_atomically(store.directory / "environment.json", _json(evidence))
        commit = str(evidence["commit"])
        _name_others(store, store.plan(commit, reuse_old), commit, reuse_old, watch)
        _calibrate(store, net, watch, calibrated)
        failures = _run_missing(store, net, size, backend or BACKENDS[net], commit, watch)
        failures += [*_never_valid(store), *unfinished_runs(store.directory)]
        return Finished(store.directory, len(list(finished_runs(store.directory))), store.moved, failures)


def with_net(campaign: Campaign, net: str) -> Campaign:
    """The campaign with its way of running settled: that belongs to the resolved experiment."""
    experiment = campaign.experiment.model_copy(update={"net": net})
    return Campaign(campaign.name, experiment, campaign.cells, campaign.document, campaign.source)


def _name_others(
    store: Store, other: Mapping[str, int], commit: str, reuse_old: bool, watch: Callable[[Progress], None]
) -> None:
    """Tells which finished runs another version of the code made, and what becomes of them."""
    if not other:
        return
    made = ", ".join(f"{count} by commit {version}" for version, count in other.items())
    now = f"now commit {commit}, code {code_version()}"
    then = "they count (--reuse-old)" if reuse_old else "they are run again; --reuse-old counts them instead"
    count = sum(other.values())
    watch(
        Progress(
            store.directory,
            len(store.executions),
            notices=[
                f"{count} finished runs were made by another version of the code ({made}; {now}): {then}"
            ],
        )
    )


def _calibrate(
    store: Store, net: str, watch: Callable[[Progress], None], calibrated: Collection[Path]
) -> None:
    """A lab's links, before the first run that is missing: RunFailed where they are not as asked for."""
    experiment = store.campaign.experiment
    fidelity = build(Fidelity, experiment.fidelity)
    cells = {one.plan.index: one.plan.cell for one in store.pending()}
    if net != "mininet" or not fidelity.calibrate or not cells:
        return
    progress = Progress(store.directory, len(cells))

    def say(words: str) -> None:
        progress.notices.append(words)
        watch(progress)

    calibrate(cells.values(), fidelity, experiment.seed, store.directory, say, calibrated)


def _run_missing(
    store: Store, net: str, size: int, backend: str, commit: str, watch: Callable[[Progress], None]
) -> list[str]:
    pending = store.pending()
    total = len(store.executions)
    progress = Progress(store.directory, total, total - len(pending), total - len(pending))
    watch(progress)
    if not pending:
        return []
    firsts = [(one, run) for one in pending if (run := one.next_run()) is not None]
    runs = {run.name: run for _, run in firsts}
    executions = {run.name: one for one, run in firsts}
    jobs = deque(_job(store, run, net, backend, commit) for run in runs.values())
    failures: list[str] = []
    with Pool(min(size, len(pending))) as pool:

        def started(job: dict[str, Any]) -> None:
            store.start(runs[job["name"]])
            progress.running.append(job["name"])

        for job, reply in pool.run(jobs, started, lambda: watch(progress)):
            run = runs[job["name"]]
            progress.running.remove(run.name)
            message = reply["message"]
            if reply["status"] == "user":
                raise UserError(message)
            if reply["status"] == "machine":
                raise MachineError(message)
            if reply["status"] == "failed":
                check_room(store.directory)
                store.fail(run, message)
                failures.append(f"{store.runs / run.name}: failed: {message}")
                progress.notices.append(f"{run.name} failed: {message}")
            if reply["status"] == "invalid":
                progress.notices.append(f"{run.name} is invalid: {message}")
            retry = reply["status"] == "invalid" and reply["retry"]
            again = executions[run.name].next_run(run.attempt) if retry else None
            if again is not None:
                runs[again.name] = again
                executions[again.name] = executions[run.name]
                jobs.appendleft(_job(store, again, net, backend, commit))
                progress.again += 1
            else:
                progress.done += 1
            watch(progress)
    return failures


def _job(store: Store, run: Run, net: str, backend: str, commit: str) -> dict[str, Any]:
    experiment = store.campaign.experiment
    settings = written(run.plan.cell.model_copy(update={"connections": run.connections}))
    return {
        "name": run.name,
        "backend": backend,
        "directory": str((store.runs / run.name).absolute()),
        "cell": settings,
        "seed": run.seed,
        "capture": experiment.capture,
        "links": experiment.links,
        "fidelity": experiment.fidelity.model_dump(mode="json"),
        "record": {
            "run": run.name,
            "cell": run.plan.index,
            "factors": dict(run.plan.factors),
            "settings": settings,
            "repeat": run.repeat,
            "part": run.part,
            "try": run.attempt,
            "seed": run.seed,
            "net": net,
            "paths": paths_of(run.plan.cell),
            "links_by": experiment.links if net == "mininet" else None,
            "commit": commit,
            "code": code_version(),
            "digest": run.digest,
        },
    }


def _never_valid(store: Store) -> list[str]:
    """The cells whose tries are used up, of this session and of earlier ones."""
    tried: dict[tuple[int, int, int], list[dict[str, Any]]] = {}
    for _, record in finished_runs(store.directory):
        place = (record["cell"], record["repeat"], record.get("part", 1))
        tried.setdefault(place, []).append(record)
    lines = []
    for records in tried.values():
        last = records[-1]
        if all(record["invalid"] for record in records) and not may_retry(last, len(records)):
            tries = f"after {len(records)} tries" if len(records) > 1 else "and not repeated"
            lines.append(f"{store.runs / last['run']}: invalid {tries}: {last['invalid']}")
    return lines


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"
