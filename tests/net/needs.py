"""What tests of labs share: the networks, a probe, and watching processes go."""

from __future__ import annotations

import contextlib
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

KINDS = ("net", "mnt", "pid", "user")
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
        self.fds: dict[int, int] = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                self.fds[pid] = os.pidfd_open(pid)

    def wait_gone(self, within: float = 15.0) -> None:
        deadline = time.monotonic() + within
        for pid, fd in self.fds.items():
            left = max(0.0, deadline - time.monotonic())
            assert select.select([fd], [], [], left)[0], f"process {pid} is still there after {within} s"
            os.close(fd)


class Namespaces:
    """The namespaces that processes are in and this one is not, by name ("net:[4026532281]"). Held open,
    since the kernel gives a name that is free to whatever lab begins next, of whoever."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._held: dict[str, int] = {}
        for pid in pids:
            for kind in KINDS:
                with contextlib.suppress(OSError):  # it has ended already
                    self._hold(kind, os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY))

    def _hold(self, kind: str, handle: int) -> None:
        name = f"{kind}:[{os.fstat(handle).st_ino}]"
        if name in self._held or name == str(Path(f"/proc/self/ns/{kind}").readlink()):
            os.close(handle)
        else:
            self._held[name] = handle

    @property
    def names(self) -> set[str]:
        return set(self._held)

    def let_go(self) -> set[str]:
        """Those that any process of this machine is in; none is held any more."""
        found = set()
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                for kind in KINDS:
                    with contextlib.suppress(OSError):
                        found.add(str((folder / "ns" / kind).readlink()))
        found &= self.names
        while self._held:
            os.close(self._held.popitem()[1])
        return found
