"""The bytes of one capture, and the frame that its records become.

Decides how a capture is opened, compressed by gzip or not, from a file, a pipe or standard input (`-`), and
what is said of one that ends too early. Knows nothing of formats: capture_file.py and blocks.py read those.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from testbed.errors import UserError

STANDARD_INPUT = "-"
LARGEST_FRAME = 1 << 26  # bytes; more is a damaged length, not a packet
BILLION = 1_000_000_000

_GZIP = b"\x1f\x8b"

Warn = Callable[[str], None]


class Frame(NamedTuple):
    """One captured frame. `number` counts from 1 as tshark does; `length` is the frame's on the wire,
    of which `data` may be a beginning; `offset` is where its record begins in the file. `link_type` is
    None where the interface was never described."""

    number: int
    time: int
    data: bytes
    length: int
    link_type: int | None
    interface: str
    comments: tuple[str, ...]
    offset: int


class Source:
    """Read once, from front to end. `at`: offset of the next byte. `cut`: compressed data ended too early."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self.name, self.stream, self.at, self.cut = name, stream, 0, False

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; fewer only where the file ends. UserError where it cannot be read."""
        try:
            data = self.stream.read(count)
        except EOFError:
            data, self.cut = b"", True
        except (OSError, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise UserError(
                f"{self.name}: offset {self.at}: cannot be read: {reason}; expected a capture"
            ) from error
        self.at += len(data)
        return data


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The capture, decompressed where it is compressed. UserError when it cannot be opened."""
    standard = str(path) == STANDARD_INPUT
    name = "standard input" if standard else str(path)
    try:
        raw = sys.stdin.buffer if standard else path.open("rb")
        reader = cast(BufferedReader, raw)
        try:
            zipped = reader.peek(2)[:2] == _GZIP
            yield Source(name, cast(BinaryIO, gzip.GzipFile(fileobj=reader)) if zipped else raw)
        finally:
            if not standard:
                raw.close()
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}; expected a capture") from error


def cut_short(source: Source, offset: int, whole: int, expected: str) -> str:
    """The warning for a file that ends within the record at `offset`; `whole` frames stand before it."""
    return (
        f"{source.name}: offset {offset}: the file ends within a record (expected {expected}); "
        f"read up to there: {whole} frame{'' if whole == 1 else 's'}"
    )
