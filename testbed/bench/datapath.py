"""The datapath as fast as it goes: one connection over plain cables, our stack and Linux's taking turns.

Decides the lab (nothing shapes, no wires), the order (each round has both, so that a busy minute meets both)
and the figures: goodput of each, the ratio round by round, CPU time of each end. Fails on no number.
Knows neither stack: ours.py and linux.py are the ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median

from testbed.bench.end import Report, Task
from testbed.bench.linux import available
from testbed.errors import RunFailed, UserError
from testbed.net import Lab
from testbed.plan import load_topology, plan_from

STARTED_WITHIN = 30.0
NOTHING_WITHIN = 300.0  # seconds for one transfer; the sizes are bounded


@dataclass(frozen=True)
class Arguments:
    """`size` in bytes per transfer of Linux, `own_size` of ours. `gso_max_size` 0: single packets."""

    rounds: int = 5
    size: int = 1 << 30
    own_size: int = 1 << 26
    paths: int = 2
    gso_max_size: int = 1 << 16
    profile: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"--rounds {self.rounds}: 1 or more is expected")
        if not 1 <= self.paths <= 8:
            raise UserError(f"--paths {self.paths}: 1 to 8 is expected")
        if min(self.size, self.own_size) < 1 << 16:
            raise UserError("a transfer that says anything has 64 kB or more")


@dataclass(frozen=True)
class Transfer:
    """Both ends of one transfer."""

    sender: Report
    receiver: Report

    @property
    def goodput(self) -> float:
        """Bits per second."""
        return self.sender.bytes * 8 / self.sender.seconds


@dataclass
class Outcome:
    ours: list[Transfer] = field(default_factory=list)
    linux: list[Transfer] = field(default_factory=list)
    profiled: Transfer | None = None

    @property
    def ratios(self) -> list[float]:
        return [a.goodput / b.goodput for a, b in zip(self.ours, self.linux, strict=False)]


def measure(arguments: Arguments, progress: Callable[[str], None] = lambda text: None) -> Outcome:
    """MachineError where no lab can be had, RunFailed when an end fails."""
    plan = plan_from(load_topology("cables", paths=arguments.paths))
    outcome = Outcome()
    with Lab(plan) as lab:
        ends = (plan.addresses("client"), plan.addresses("server"))
        for number in range(arguments.rounds):
            outcome.ours.append(_transfer(lab, "ours", arguments, ends, arguments.own_size))
            if available():
                outcome.linux.append(_transfer(lab, "linux", arguments, ends, arguments.size))
            both = ", ".join(
                f"{name} {found[-1].goodput / 1e9:.3f} Gbit/s"
                for name, found in (("ours", outcome.ours), ("Linux", outcome.linux))
                if found
            )
            progress(f"round {number + 1} of {arguments.rounds}: {both}")
        if arguments.profile:
            size = min(arguments.own_size, 1 << 26)
            outcome.profiled = _transfer(lab, "ours", arguments, ends, size, profile=True)
    return outcome


def _transfer(
    lab: Lab,
    kind: str,
    arguments: Arguments,
    ends: tuple[tuple[str, ...], tuple[str, ...]],
    size: int,
    *,
    profile: bool = False,
) -> Transfer:
    gso = arguments.gso_max_size
    near, far = ends
    receiver = _start(lab, kind, "server", Task("receiver", far, near, size, gso, profile))
    assert receiver.stdout is not None
    if receiver.stdout.readline() != "ready\n":
        raise RunFailed(f"{kind}: the receiver did not start: {_errors(receiver)}")
    sender = _start(lab, kind, "client", Task("sender", near, far, size, gso, profile))
    return Transfer(_report(kind, sender), _report(kind, receiver))


def _start(lab: Lab, kind: str, node: str, task: Task) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"testbed.bench.{kind}", json.dumps(asdict(task))]
    pipe = subprocess.PIPE
    return lab.popen(node, command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)


def _report(kind: str, process: subprocess.Popen[str]) -> Report:
    try:
        out, errors = process.communicate(timeout=NOTHING_WITHIN)
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{kind}: a transfer did not end within {NOTHING_WITHIN:g} s") from None
    if process.returncode:
        raise RunFailed(f"{kind}: {errors.strip() or f'status {process.returncode}'}")
    return Report(**json.loads(out))


def _errors(process: subprocess.Popen[str]) -> str:
    process.kill()
    return process.communicate()[1].strip() or "it said nothing"


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, smallest, largest."""
    return median(values), min(values), max(values)
