"""One transfer after another in a lab that is held open, by our stack or by Linux's.

Decides how the two ends of a transfer are started and heard. Knows no network and judges no number: ours.py
and linux.py are the ends.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median

from testbed.bench.end import Report, Task
from testbed.errors import RunFailed
from testbed.interpreter import module
from testbed.net import Lab

LEAST_SIZE = 1 << 16  # bytes
LEAST_EXPECTED = "64KiB or more is expected: less says nothing"
NOTHING_WITHIN = 300.0  # seconds for one transfer; the sizes are bounded


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
class Turns:
    """What each stack did, round by round."""

    ours: list[Transfer] = field(default_factory=list)
    linux: list[Transfer] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [a.goodput / b.goodput for a, b in zip(self.ours, self.linux, strict=False)]


def transfer(
    lab: Lab,
    kind: str,
    addresses: tuple[tuple[str, ...], tuple[str, ...]],
    size: int,
    gso_max_size: int,
    *,
    profile: bool = False,
    midway: tuple[float, Callable[[], object]] | None = None,
) -> Transfer:
    """`kind`: "ours" or "linux". `addresses` of the sender (the client) and the receiver (the server).
    `midway`: so many seconds after the start, do this. RunFailed when an end fails."""
    near, far = addresses
    receiver = _start(lab, kind, "server", Task("receiver", far, near, size, gso_max_size, profile))
    assert receiver.stdout is not None
    if receiver.stdout.readline() != "ready\n":
        raise RunFailed(f"{kind}: the receiver did not start: {_errors(receiver)}")
    sender = _start(lab, kind, "client", Task("sender", near, far, size, gso_max_size, profile))
    timer = threading.Timer(*midway) if midway is not None else None
    if timer is not None:
        timer.start()
    try:
        return Transfer(_report(kind, sender), _report(kind, receiver))
    finally:
        if timer is not None:
            timer.cancel()
            timer.join()


def _start(lab: Lab, kind: str, node: str, task: Task) -> subprocess.Popen[str]:
    command = module(f"testbed.bench.{kind}", json.dumps(asdict(task)))
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
