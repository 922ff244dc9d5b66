"""A full disk, said as what it is.

Decides when whatever went wrong is put down to a disk without room: when a small file can be written no more.
The programs of a run cannot tell, since their words go to the same disk. What is finished is safe by then, as
records are written last and atomically, and the same command goes on behind it. Must not know what is
written.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import MachineError

_SMALL = bytes(1 << 16)


def check_room(directory: Path) -> None:
    """MachineError where this directory, or that of temporary files, takes no more."""
    for place in (directory, Path(tempfile.gettempdir())):
        try:
            with tempfile.TemporaryFile(dir=place, buffering=0) as file:
                full = file.write(_SMALL) < len(_SMALL)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full:
            raise MachineError(
                f"{place}: no more can be written there; make room (df -h {place}), and the same command "
                "goes on at the first missing run"
            )


@contextmanager
def needs_room(directory: Path) -> Iterator[None]:
    """An OSError in here is looked at: if there is no room, that is its cause."""
    try:
        yield
    except OSError:
        check_room(directory)
        raise
