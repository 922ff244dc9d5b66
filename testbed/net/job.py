"""What travels between the runner and a lab, as files in the run's directory.

Decides names and shape: `lab.pickle` holds the job (from one process of a user to its own child, so that a
lab starts without the library that checks the users' words), `result.json` the outcome or the error,
`nodes.json` the first process of every node; each program has PROGRAM.json, PROGRAM.out.json and PROGRAM.log.
Knows nothing of how either side works.
"""

from __future__ import annotations

import ipaddress
import json
import os
import pickle
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from testbed.errors import MachineError, RunFailed, TestbedError, UserError
from testbed.plan import NetPlan
from testbed.records import open_new
from testbed.workloads import HostSpec, RunOutcome

JOB = "lab.pickle"
RESULT = "result.json"
NODES = "nodes.json"
LOG = "lab.log"

ADDRESSES = ("IPv4Address", "IPv4Network", "IPv6Address", "IPv6Network")  # values of `ipaddress` in a job

_ERRORS: dict[int, type[TestbedError]] = {2: UserError, 3: MachineError}


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

    def write(self, folder: Path) -> None:
        write(folder / JOB, pickle.dumps(self), 0o600)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """UserError where another user could have written the file."""
        path = folder / JOB
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
                raise UserError(f"{path}: another user can write this file; run in a directory of your own")
            job = _Unpickler(file).load()
        assert isinstance(job, cls)
        return job


class _Unpickler(pickle.Unpickler):
    """Loads values of the testbed's own classes. Calls nothing else that the file may name."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("testbed.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        if module == "ipaddress" and name in ADDRESSES:
            return getattr(ipaddress, name)  # a plain value, as ours are
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a job")


@dataclass(frozen=True)
class Result:
    """`status` 0 with an outcome, or an exit status with a message."""

    status: int = 0
    message: str = ""
    outcome: RunOutcome | None = None

    def write(self, folder: Path) -> None:
        outcome = self.outcome
        plain = outcome and {field.name: getattr(outcome, field.name) for field in fields(outcome)}
        whole = {"status": self.status, "message": self.message, "outcome": plain}
        write(folder / RESULT, json.dumps(whole).encode())

    @classmethod
    def read(cls, folder: Path) -> Self:
        whole = json.loads((folder / RESULT).read_bytes())
        plain = whole["outcome"]
        return cls(whole["status"], whole["message"], None if plain is None else RunOutcome(**plain))

    def unwrap(self) -> RunOutcome:
        if self.outcome is None:
            raise error_of(self.status, self.message)
        return self.outcome


def error_of(status: int, message: str) -> TestbedError:
    """The error that a program's exit status stands for."""
    return _ERRORS.get(status, RunFailed)(message)


def write(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Atomically: a reader finds the whole file or none."""
    part = path.with_name(path.name + ".part")
    with open_new(part, mode) as file:
        file.write(content)
    part.replace(path)


def tail(path: Path, lines: int = 12) -> str:
    """The end of a log; of a traceback, what it says at last and where it stands."""
    try:
        written = path.read_text(errors="replace").rstrip().splitlines()
    except OSError:
        return ""
    if "Traceback (most recent call last):" in written:
        return f"{written[-1]}; see {path}"
    return "\n".join(written[-lines:])
