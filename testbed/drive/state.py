"""What the stacks of one network namespace have changed in it: shared between them, kept across kills.

Decides where that is written and its form: one small file per namespace, under a lock, in /run/testbed, in
XDG_RUNTIME_DIR/testbed or in testbed-UID of the temporary directory, the first that can be made. Such a name
can be guessed, so only a real directory with this user as owner and no rights for others is used. The file
is deleted with the last stack. Knows nothing of rules or sysctls.
Read first: divert.py, which fills and empties it; flock(2).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from testbed.errors import MachineError


@dataclass(frozen=True, slots=True)
class User:
    """One running stack: its TUN device, and the ports (inclusive) and addresses that it has diverted."""

    device: str
    index: int
    ports: tuple[int, int]
    addresses: tuple[str, ...]


@dataclass(slots=True)
class State:
    """`originals`: sysctl path -> the text it held before the first stack came."""

    users: list[User] = field(default_factory=list)
    originals: dict[str, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not self.users and not self.originals


def _directory() -> Path:
    """A directory that this user alone can write. MachineError names what stands in its place."""
    wrong = f"{tempfile.gettempdir()}: no directory can be made there"
    for directory in _places():
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700)
        try:
            status = directory.lstat()
        except OSError:
            continue  # it cannot be made here
        if problem := _unsafe(status):
            wrong = f"{directory}: {problem}"
            continue
        return directory
    raise MachineError(
        f"{wrong}; expected a directory of user {os.geteuid()} with mode 0700: "
        "remove it, or set XDG_RUNTIME_DIR to a directory of your own"
    )


def _places() -> Iterator[Path]:
    yield Path("/run/testbed")
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute():
        yield runtime / "testbed"
    yield Path(tempfile.gettempdir()) / f"testbed-{os.geteuid()}"


def _unsafe(status: os.stat_result) -> str:
    """Why another user could read or write below this directory; '' where no other user can."""
    if not stat.S_ISDIR(status.st_mode):
        return "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a directory"
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return f"open to other users (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def _load(text: str) -> State:
    try:
        values = json.loads(text)
        users = [
            User(
                user["device"], user["index"], (user["ports"][0], user["ports"][1]), tuple(user["addresses"])
            )
            for user in values["users"]
        ]
        return State(users, dict(values["originals"]))
    except (ValueError, KeyError, TypeError, IndexError):
        return State()  # new, or cut off in the middle of a write


def _locked(path: Path) -> TextIO:
    while True:
        file = path.open("a+")
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        except FileNotFoundError:
            pass
        file.close()  # the one who held the lock deleted the file


@contextmanager
def namespace_state() -> Iterator[State]:
    """The state of the current network namespace, alone; what it holds at the end is written back."""
    number = Path("/proc/self/ns/net").stat().st_ino
    path = _directory() / f"namespace-{number}.json"
    with _locked(path) as file:
        file.seek(0)
        state = _load(file.read())
        try:
            yield state
        finally:
            if state.empty:
                path.unlink()
            else:
                file.truncate(0)
                file.write(json.dumps(asdict(state)))
                file.flush()
