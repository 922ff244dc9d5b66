"""A worker process: takes jobs from its standard input, runs them one by one, writes their records.

Decides what a job's outcome means for the runner: valid, invalid, failed, or an error of the user's or the
machine's that ends the campaign. Ends, in the middle of a run if need be, when its standard input does:
that is how it follows a runner that was interrupted or killed.

A job: {"backend": "module:function", "directory", "record": {...}, "cell": {...}, "seed", ...}; the backend
gets a `Job` and returns a RunOutcome.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from testbed.errors import MachineError, RunFailed, UserError
from testbed.model import assumptions
from testbed.plan import NetPlan
from testbed.records import LOG, write_run
from testbed.runner.backends import Backend, Job
from testbed.runner.bind import crossed
from testbed.runner.fidelity import Fidelity
from testbed.runner.network import hosts_of, network_of
from testbed.runner.spec import Cell, build, model_of
from testbed.runner.traffic import idle
from testbed.workloads import RunOutcome
from testbed.workloads.outcome import unfinished, warnings_of
from testbed.workloads.traffic import carried

COLLECT_EVERY = 100_000  # objects; a simulation makes many and few cycles, and gains a fifteenth


def main() -> None:
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    while True:
        message = json.loads(jobs.get())
        replies.write(json.dumps(run(message)) + "\n")


def _listen(jobs: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)  # the runner is gone: whatever runs here is of no use to anyone


def run(message: dict[str, Any]) -> dict[str, Any]:
    """One job: its log, its run, its record."""
    directory = Path(message["directory"])
    log = os.open(
        directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o644
    )
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    began = time.time()
    try:
        job = Job(
            cell=Cell.model_validate(message["cell"]),
            seed=message["seed"],
            directory=directory,
            capture=message["capture"],
            links=message["links"],
            fidelity=build(Fidelity, model_of(Fidelity).model_validate(message["fidelity"])),
        )
        outcome = _backend(message["backend"])(job)
        record = _record(message["record"], outcome, job.cell)
        write_run(directory, record, outcome.rows, _timing(began))
    except UserError as error:
        return {"status": "user", "message": str(error)}
    except MachineError as error:
        return {"status": "machine", "message": str(error)}
    except RunFailed as error:
        return {"status": "failed", "message": str(error)}
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        return {"status": "failed", "message": f"{type(error).__name__}: {error}; see {directory / LOG}"}
    if outcome.invalid is None:
        return {"status": "valid", "message": ""}
    return {"status": "invalid", "message": outcome.invalid, "retry": record["retry"]}


def _backend(name: str) -> Backend:
    module, _, function = name.partition(":")
    found: Backend = getattr(importlib.import_module(module), function)
    return found


def _record(head: dict[str, Any], outcome: RunOutcome, cell: Cell) -> dict[str, Any]:
    traffic, plan = carried(outcome.rows, outcome.background), network_of(cell)
    return {
        **head,
        "invalid": outcome.invalid,
        "late": outcome.late or None,
        "retry": outcome.retry and head["net"] != "sim",  # whether an invalid run may be tried again
        "warnings": [*warnings_of(outcome), *idle(cell, plan, traffic), *crossed(plan, outcome.rows)],
        "model": _model(cell, plan),
        "unfinished": unfinished(outcome.rows),
        "elapsed_ns": outcome.elapsed_ns,
        "traffic": traffic,
        "counters": outcome.counters,
        "held": outcome.held,
        "links": outcome.links,
        "fidelity": outcome.fidelity,
        "captures": [Path(name).name for name in outcome.captures],  # they stand beside the record
    }


def _model(cell: Cell, plan: NetPlan) -> dict[str, Any]:
    """The assumptions of the closed form, or why there is none, from the parsed network and hosts."""
    found = assumptions(plan, hosts_of(cell, plan, 0))
    return {"none": found} if isinstance(found, str) else found.plain()


def _timing(began: float) -> dict[str, Any]:
    return {"began": began, "wall_seconds": time.time() - began, "cpu_seconds": time.process_time()}


if __name__ == "__main__":
    main()
