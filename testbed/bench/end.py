"""What every end of a measured transfer says of itself, and where it stands on the command line.

Decides the form of the task and of the report: both are one JSON object. Knows no stack.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_NICE = -15
CHUNK = 1 << 16  # bytes given to the stack, or asked of it, at a time


@dataclass(frozen=True)
class Task:
    """`addresses` are the end's own, `peers` the other's, in path order; `size` is in bytes."""

    role: str  # "sender" or "receiver"
    addresses: tuple[str, ...]
    peers: tuple[str, ...]
    size: int
    gso_max_size: int
    profile: bool = False
    port: int = 20080


@dataclass
class Report:
    """`seconds` from the connection's start to its end, `cpu` the process's own in them, in seconds.

    `hot`: [file, line, function, calls, own seconds], with a profile only.
    """

    bytes: int
    seconds: float
    cpu: float
    subflows: int
    multipath: bool
    retransmits: int = 0
    frames: int = 0
    hot: list[list[Any]] = field(default_factory=list)


class Meter:
    """Time and CPU time since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._cpu = _cpu()

    def read(self) -> tuple[float, float]:
        return time.monotonic() - self._began, _cpu() - self._cpu


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ready() -> None:
    print("ready", flush=True)


def _take_precedence() -> None:
    """For the seconds that this takes, what else runs on the machine shall not be what is measured."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
        Path("/proc/self/autogroup").write_text(str(_NICE))  # sessions share the CPU as groups


def run(act: Callable[[Task], Report]) -> None:
    """For `python -m testbed.bench.X TASK`."""
    _take_precedence()
    words = json.loads(sys.argv[1])
    task = Task(**{**words, "addresses": tuple(words["addresses"]), "peers": tuple(words["peers"])})
    print(json.dumps(asdict(act(task))), flush=True)
