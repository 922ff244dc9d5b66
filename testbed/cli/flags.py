"""Values of flags that several commands read the same way; an error names the flag.

Decides nothing about what a value means: sizes are testbed/runner's.
"""

from __future__ import annotations

import os
from pathlib import Path

from testbed.errors import UserError
from testbed.terminal import shorten


def size_of(text: str, option: str) -> int:
    """Bytes."""
    from testbed.runner import size

    try:
        return size(text)
    except ValueError as error:
        raise UserError(f"{option} {shorten(text)}: {error}") from None


def writable(path: Path | None, option: str) -> Path | None:
    """A file that can be written later, seen before the work that it is for."""
    if path is None:
        return None
    if path.is_dir():
        raise UserError(f"{option} {path}: a directory; the name of a file is expected")
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"{option} {path}: may not be written")
    return path
