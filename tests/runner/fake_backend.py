"""A way of running that takes no time and leaves marks, for tests of order, tries and interrupts alone.

Behaviour is chosen by environment variables, which worker processes inherit:
MARKS names a directory that gets a file for every start; INVALID, FULL (invalid, and not for another
try), FAIL, CRASH, MACHINE and HANG hold a pattern of run names.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from testbed.errors import MachineError, RunFailed
from testbed.runner.backends import Job
from testbed.workloads import RunOutcome


def _chosen(variable: str, name: str) -> bool:
    pattern = os.environ.get(variable)
    return pattern is not None and re.search(pattern, name) is not None


def run(job: Job) -> RunOutcome:
    name = job.directory.name
    marks = Path(os.environ["MARKS"])
    (marks / f"{time.monotonic_ns():020d} {name}").write_text(str(os.getpid()))
    if _chosen("HANG", name):
        (marks / "hanging").write_text(str(os.getpid()))
        signal.pause()
    if _chosen("FAIL", name):
        raise RunFailed("the lab did not come up")
    if _chosen("CRASH", name):
        os.kill(os.getpid(), signal.SIGKILL)
    if _chosen("MACHINE", name):
        raise MachineError("no mnexec here; apt-get install mininet")
    print("a line for the log")
    row = {
        "host": "client",
        "connection": 0,
        "role": "client",
        "profile": "v1",
        "local_address": "10.0.1.1",
        "local_port": 21000,
        "remote_address": "10.1.1.1",
        "remote_port": 20080,
        "verdict": "mptcp",
        "reason": "none",
        "opened_ns": 0,
        "connected_ns": job.seed % 1000,
    }
    full = _chosen("FULL", name)
    invalid = "a queue overflowed" if full or _chosen("INVALID", name) else None
    return RunOutcome(rows=[row], invalid=invalid, retry=not full)
