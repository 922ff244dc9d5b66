"""What the stacks of one network namespace have changed in it: shared between them, kept across kills.

Decides where that is written (one small file per namespace, under a lock, in /run/testbed or, without
the right to write there, in the user's temporary directory) and its form. It is deleted with the last
stack. Knows nothing of rules or sysctls.
Read first: divert.py, which fills and empties it; flock(2).
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO


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
    for directory in (Path("/run/testbed"), Path(tempfile.gettempdir()) / f"testbed-{os.getuid()}"):
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        if os.access(directory, os.W_OK) and directory.stat().st_uid == os.getuid():
            return directory
    return Path(tempfile.mkdtemp(prefix="testbed-"))


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
