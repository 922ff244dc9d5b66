"""What differs between operating systems for commands that need no lab: cores, user, locks, and Linux itself.

Decides how many cores a campaign uses, how a directory is locked, and what a command that needs Linux says
elsewhere. Everything here works on Linux, macOS and Windows. Must not import a module that only one of them
has, except inside a `try`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import MachineError

# Modules that labs and the programs by hand use. Other systems lack them; so may an incomplete installation.
LINUX_MODULES = ("fcntl", "resource", "pyroute2")


def usable_cores() -> int:
    """Return how many cores this process may use, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux; other systems do not restrict a process
    return max(len(affinity(0)) if affinity is not None else os.cpu_count() or 1, 1)


def is_root() -> bool:
    """Return True if the effective user is root. False where the system has no such user."""
    effective = getattr(os, "geteuid", None)
    return effective is not None and effective() == 0


def lock_file(path: Path) -> int | None:
    """Open `path` and take an exclusive lock that ends with the process. None: another process has it.

    The caller closes the descriptor, which releases the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        _lock(descriptor)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        _lock_on_windows(descriptor)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_on_windows(descriptor: int) -> None:
    try:
        msvcrt = importlib.import_module("msvcrt")
    except ImportError:
        return  # neither kind of lock: two runners in one directory are the user's business
    msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)


@dataclass(frozen=True, slots=True)
class Lack:
    """Why this system runs no labs, and what to do about it."""

    why: str
    remedy: str


def lack_of_linux() -> Lack | None:
    """Return why this system runs neither labs nor the userspace stack; None where it may.

    Permissions and namespaces are checked later, by trying them.
    """
    elsewhere = "use the simulator (--net sim), the virtual machine (vagrant up), or WSL2 on Windows"
    if sys.platform != "linux":
        return Lack(f"this is {_system_name()}", elsewhere)
    absent = [name for name in LINUX_MODULES if not _importable(name)]
    if absent == ["pyroute2"]:
        return Lack("the Python package pyroute2 is missing", "pip install pyroute2")
    if absent:
        return Lack(f"this Python lacks the modules {', '.join(absent)}", elsewhere)
    if not hasattr(os, "sched_getaffinity"):
        return Lack("this Python lacks os.sched_getaffinity", elsewhere)
    return None


def need_linux(what: str) -> None:
    """Raise MachineError, with what to do instead, unless this system can run `what`."""
    lack = lack_of_linux()
    if lack is not None:
        raise MachineError(f"{what} needs Linux; {lack.why}: {lack.remedy}")


def _system_name() -> str:
    return {"darwin": "macOS", "win32": "Windows"}.get(sys.platform, sys.platform)


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
