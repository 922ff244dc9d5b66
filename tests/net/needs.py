"""What tests of labs share: the networks, a probe, and watching processes go."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from testbed.errors import MachineError
from testbed.net import Lab, check
from testbed.plan import NetPlan, load_topology, plan_from, with_overrides

PROBE = str(Path(__file__).with_name("probe.py"))


def _why_not() -> str | None:
    try:
        check()
    except MachineError as error:
        return str(error)
    return None


WHY_NOT = _why_not()
lab_only = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def two_path(overrides: dict[str, object] | None = None, **params: object) -> NetPlan:
    return with_overrides(plan_from(load_topology("two_path", **params)), overrides or {})


def probe(lab: Lab, node: str, source: str, destination: str, count: int = 1) -> list[float]:
    """Round-trip times in milliseconds."""
    done = lab.run(node, [sys.executable, "-S", PROBE, source, destination, str(count)])
    assert done.returncode == 0, f"{node} {source} > {destination}: {done.stderr}"
    return [float(line) for line in done.stdout.split()]


def family(pid: int) -> set[int]:
    """A process and everything below it."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


class Watch:
    """Descriptors of processes, so that their end is seen and no reused pid is mistaken for one of them."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.fds = {pid: os.pidfd_open(pid) for pid in pids}

    def wait_gone(self, within: float = 15.0) -> None:
        deadline = time.monotonic() + within
        for pid, fd in self.fds.items():
            left = max(0.0, deadline - time.monotonic())
            assert select.select([fd], [], [], left)[0], f"process {pid} is still there after {within} s"
            os.close(fd)


def namespaces_in_use() -> set[str]:
    """Every namespace that some process of this machine is in."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            for kind in ("net", "mnt", "pid", "user"):
                try:
                    found.add(str((folder / "ns" / kind).readlink()))
                except OSError:
                    continue
    return found


def namespaces_of(pids: Iterable[int]) -> set[str]:
    found = set()
    for pid in pids:
        for kind in ("net", "mnt", "pid"):
            found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found
