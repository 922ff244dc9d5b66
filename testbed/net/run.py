"""A lab from the outside: started, fed, waited for, and gone when this returns, whatever happened.

Decides how a runner holds a lab: by a socket that only it can keep open. When the runner goes, kill -9
included, the kernel closes the socket and the lab ends itself (launch.py). Safe from several threads at once;
each call has a process, namespaces and a directory of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from testbed.errors import RunFailed, UserError
from testbed.interpreter import bare_script, child_environment, module
from testbed.linux import node
from testbed.linux.settings import is_kernel
from testbed.net.job import LOG, NODES, RESULT, Job, Result, error_of, tail
from testbed.net.machine import check
from testbed.plan import NetPlan
from testbed.workloads import HostSpec, RunOutcome

STARTED_WITHIN = 60.0  # seconds for building a network on a busy machine
ENDED_WITHIN = 30.0
_started_labs = itertools.count()
_ENTER = Path(__file__).with_name("enter.py")


def run_in_lab(
    plan: NetPlan,
    hosts: Sequence[HostSpec],
    seed: int,
    *,
    directory: Path,
    capture: bool = False,
    timeout: float = 600.0,
    temporary: bool = False,
) -> RunOutcome:
    """One run of `hosts` on `plan` in a lab of its own; blocks. `timeout`: seconds that the clients may take.

    `directory` takes the specifications, reports, logs and captures; `temporary`: it goes with the lab.
    UserError, MachineError, RunFailed.
    """
    for spec in hosts:
        known = plan.addresses(spec.name)
        for address in spec.addresses:
            if address not in known:
                raise UserError(f"host {spec.name} has no address {address}; it has {', '.join(known)}")
        config = spec.client or spec.server
        if config is not None and is_kernel(config):
            node.check()
    check()
    job = Job(plan, tuple(hosts), seed, capture, timeout, _next_cpu())
    with _started(job, directory, "run", temporary) as launched:
        try:
            launched.wait(timeout + STARTED_WITHIN + ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"the lab did not end; see {directory / LOG}\n{tail(directory / LOG)}") from None
        return _result(launched, directory).unwrap()


def shell(plan: NetPlan) -> None:
    """Mininet's command line on a lab, at this terminal, until the user leaves it."""
    check()
    with _temporary() as place:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command in the lab
        try:
            with _started(Job(plan, cpu=_next_cpu()), Path(place), "shell", True) as launched:
                launched.wait()
                _result(launched, Path(place)).unwrap()
        finally:
            signal.signal(signal.SIGINT, before)


class Lab:
    """A lab held open, to run any program in its nodes: `with Lab(plan) as lab: lab.run("r1", ["ip"])`."""

    def __init__(
        self, plan: NetPlan, *, directory: Path | None = None, capture: bool = False, seed: int = 1
    ) -> None:
        self._given = directory
        self._job = Job(plan, (), seed, capture, cpu=_next_cpu())
        self.outcome: RunOutcome | None = None

    def __enter__(self) -> Self:
        check()
        self._place = None if self._given else _temporary()
        self.directory = self._given or Path(self._place.name if self._place else "")
        pipe = subprocess.PIPE
        self._lab = _started(self._job, self.directory, "hold", not self._given, stdin=pipe, stdout=pipe)
        self._launched = self._lab.__enter__()
        self.process = self._launched.process
        try:
            if self._read_line() != b"ready\n":
                self._launched.wait(ENDED_WITHIN)
                _result(self._launched, self.directory).unwrap()
                raise RunFailed(f"the lab did not start; {tail(self.directory / LOG)}")
            self._inner = json.loads((self.directory / NODES).read_text())
            self._outer = _outer_pids(self.process.pid)
        except BaseException:
            self._lab.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *problem: Any) -> None:
        try:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self._launched.wait(ENDED_WITHIN)
            result = _result(self._launched, self.directory)
            self.outcome = result.outcome
            if problem[0] is None:
                result.unwrap()
        finally:
            self._lab.__exit__(None, None, None)
            if self._place:
                self._place.cleanup()

    @property
    def plan(self) -> NetPlan:
        return self._job.plan

    def pid(self, node: str) -> int:
        """The pid, as seen from here, of a process in the node's namespaces."""
        self._job.plan.node(node)
        return self._outer[self._inner[node]]

    def popen(self, node: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Starts a command in a node; it ends with the lab at the latest."""
        enter = bare_script(_ENTER, str(self.pid(node)), *command)
        return subprocess.Popen(enter, **{"env": child_environment(), **options})

    def run(
        self, node: str, command: Sequence[str], *, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in a node to its end, output as text."""
        process = self.popen(node, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(list(command), process.returncode, out, err)

    def _read_line(self) -> bytes:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], STARTED_WITHIN)[0]:
            return b""
        line: bytes = self.process.stdout.readline()
        return line


class _Launched:
    """A launcher, and the runner's end of the socket that its lab lives by."""

    def __init__(self, process: subprocess.Popen[bytes], life: socket.socket) -> None:
        self.process, self._life = process, life
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The lab's exit status, when it has ended; subprocess.TimeoutExpired after so many seconds.

        A launcher that has a temporary directory to remove tells it, and waits for whoever reads there."""
        if self._status is None and self.process.returncode is not None:
            self._status = self.process.returncode  # whoever has the process has asked it
        if self._status is None:
            pidfd = os.pidfd_open(self.process.pid)
            try:
                told = select.select([self._life.fileno(), pidfd], [], [], timeout)[0]
            finally:
                os.close(pidfd)
            said = self._life.recv(1) if self._life.fileno() in told else b""
            self._status = said[0] if said else self.process.wait(None if told else 0)
        return self._status


@contextmanager
def _started(  # type: ignore[no-untyped-def]
    job: Job, directory: Path, mode: str, temporary: bool = False, **options: Any
):
    """The launcher of a lab; on leaving, the lab is gone, and a `temporary` directory with it, even where the
    runner is killed."""
    directory.mkdir(parents=True, exist_ok=True)
    directory = directory.resolve()
    (directory / RESULT).unlink(missing_ok=True)
    job.write(directory)
    outside, inside = socket.socketpair()
    with outside, inside:
        with (directory / LOG).open("wb") as log:
            if mode != "shell":  # a terminal's Ctrl-C is the runner's business
                options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **options}
                options["start_new_session"] = True
            command = module("testbed.net.launch", str(inside.fileno()), str(directory), mode)
            if temporary:
                command.append("temporary")
            process = subprocess.Popen(command, pass_fds=[inside.fileno()], env=_environment(), **options)
        inside.close()
        try:
            yield _Launched(process, outside)
        finally:
            outside.close()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="testbed-")


def _next_cpu() -> int:
    """Labs side by side take turns, also if each has a runner of its own."""
    return os.getpid() + next(_started_labs)


def _environment() -> dict[str, str]:
    """Mininet imports distutils; where Python has its own, setuptools' costs a lab 0.1 s of CPU."""
    own = {"SETUPTOOLS_USE_DISTUTILS": "stdlib"} if sys.version_info < (3, 12) else {}
    return {**own, **child_environment()}


def _result(launched: _Launched, directory: Path) -> Result:
    try:
        return Result.read(directory)
    except FileNotFoundError:
        status = launched.wait(ENDED_WITHIN)
        raise error_of(
            status, tail(directory / LOG) or f"the lab ended with status {status} and no word"
        ) from None


def _outer_pids(launcher: int) -> dict[int, int]:
    """Pid inside the lab -> pid as seen from here, for all processes below the launcher."""
    parents: dict[int, int] = {}
    inner: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                status = dict(
                    line.split(":\t", 1)
                    for line in (folder / "status").read_text().splitlines()
                    if ":\t" in line
                )
            except OSError:
                continue  # it ended meanwhile
            parents[int(folder.name)] = int(status["PPid"])
            inner[int(folder.name)] = int(status["NSpid"].split()[-1])
    found = {}
    for pid in inner:
        here: int | None = pid
        while here and here != launcher:
            here = parents.get(here)
        if here == launcher and pid != launcher:
            found[inner[pid]] = pid
    return found
