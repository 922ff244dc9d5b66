"""What travels between the runner and a lab, as files in the run's directory.

Decides names and shape: `lab.json` holds the job, `result.json` the outcome or the error, `nodes.json` the
first process of every node; each program has PROGRAM.json, PROGRAM.out.json and PROGRAM.log. Knows nothing
of how either side works.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from testbed.errors import MachineError, RunFailed, TestbedError, UserError
from testbed.plan import NetPlan
from testbed.workloads import HostSpec, RunOutcome

JOB = "lab.json"
RESULT = "result.json"
NODES = "nodes.json"
LOG = "lab.log"

_ERRORS: dict[int, type[TestbedError]] = {2: UserError, 3: MachineError}
Value = TypeVar("Value")


@dataclass(frozen=True)
class Job:
    """`timeout`: seconds that the clients may take. `capture`: one capture file per wire. `cpu`: a number
    that spreads labs over the CPUs, of any size.
    """

    plan: NetPlan
    hosts: tuple[HostSpec, ...] = ()
    seed: int = 1
    capture: bool = False
    timeout: float = 600.0
    cpu: int = 0


@dataclass(frozen=True)
class Result:
    """`status` 0 with an outcome, or an exit status with a message."""

    status: int = 0
    message: str = ""
    outcome: RunOutcome | None = None

    def unwrap(self) -> RunOutcome:
        if self.outcome is None:
            raise error_of(self.status, self.message)
        return self.outcome


def error_of(status: int, message: str) -> TestbedError:
    """The error that a program's exit status stands for."""
    return _ERRORS.get(status, RunFailed)(message)


def write(path: Path, kind: type[Value], value: Value) -> None:
    """Atomically: a reader finds the whole file or none."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(TypeAdapter(kind).dump_json(value, indent=1))
    part.replace(path)


def read(path: Path, kind: type[Value]) -> Value:
    return TypeAdapter(kind).validate_json(path.read_bytes())


def tail(path: Path, lines: int = 12) -> str:
    """The end of a log; of a traceback, what it says at last and where it stands."""
    try:
        written = path.read_text(errors="replace").rstrip().splitlines()
    except OSError:
        return ""
    if "Traceback (most recent call last):" in written:
        return f"{written[-1]}; see {path}"
    return "\n".join(written[-lines:])
