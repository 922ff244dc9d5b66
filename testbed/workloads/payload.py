"""The bytes that applications send and check: cheap to make, and wrong in any other place.

Decides what byte stands where in a stream. A stream is one fixed block of random bytes, repeated; its
length is a prime, so that no power-of-two slip goes unseen, and each connection starts at a place of its
own, so that bytes of another connection are wrong as well. A request opens with the connection's index,
from which the server knows both starts. Knows nothing of endpoints.
"""

from __future__ import annotations

import functools
import random

PERIOD = 65_521
LONGEST_SLICE = 1 << 16
INDEX_BYTES = 8
_STRIDE = 7_919  # a prime as well: starts of neighbouring connections lie apart

REQUEST = "request"
RESPONSE = "response"
PATTERN = "pattern"  # the one stream that clients by hand send and sources give: both ends know it


@functools.cache
def _block(kind: str) -> bytes:
    block = random.Random(f"testbed payload {kind}").randbytes(PERIOD)
    return block + block + block[: LONGEST_SLICE - PERIOD]


class Payload:
    """The stream `kind` of connection `index`. A request of `length` bytes begins with the index."""

    __slots__ = ("_block", "_head", "_start", "length")

    def __init__(self, kind: str, index: int, length: int) -> None:
        self.length = length
        self._block = _block(kind)
        self._start = index * _STRIDE % PERIOD
        self._head = index.to_bytes(INDEX_BYTES, "big")[-length:] if kind == REQUEST and length else b""

    def slice(self, at: int, most: int = LONGEST_SLICE) -> bytes:
        """The bytes from `at` on: up to `most`, up to LONGEST_SLICE, up to the end."""
        size = min(most, LONGEST_SLICE, self.length - at)
        first = (self._start + at) % PERIOD
        data = self._block[first : first + size]
        head = self._head
        if at < len(head):
            return (head[at:] + data[len(head) - at :])[:size]
        return data

    def matches(self, at: int, data: bytes) -> bool:
        """Whether `data` is what stands at `at`. Bytes past the end match nothing."""
        if at + len(data) > self.length:
            return False
        if len(data) <= LONGEST_SLICE:
            return self.slice(at, len(data)) == data
        view = memoryview(data)
        for offset in range(0, len(data), LONGEST_SLICE):
            part = view[offset : offset + LONGEST_SLICE]
            if self.slice(at + offset, len(part)) != part:
                return False
        return True


class Headed:
    """The stream of `head` and then a payload, if there is one."""

    __slots__ = ("body", "head", "length")

    def __init__(self, head: bytes, body: Payload | None = None) -> None:
        self.head = head
        self.body = body
        self.length = len(head) + (body.length if body is not None else 0)

    def slice(self, at: int, most: int = LONGEST_SLICE) -> bytes:
        """As a payload's; what is left of the head comes alone."""
        left = self.head[at : at + most]
        if left or self.body is None:
            return left
        return self.body.slice(at - len(self.head), most)

    def matches(self, at: int, data: bytes) -> bool:
        """Whether `data` is what stands at `at`. Bytes past the end match nothing."""
        head = self.head[at : at + len(data)]
        rest = data[len(head) :]
        if not data.startswith(head):
            return False
        return not rest or (
            self.body is not None and self.body.matches(at + len(head) - len(self.head), rest)
        )


def index_of(head: bytes) -> int:
    """The index that a request opens with; of a request under eight bytes, what fits of it."""
    return int.from_bytes(head[:INDEX_BYTES], "big")


def index_seen(index: int, request_length: int) -> int:
    """The index as the server reads it off a request of this length."""
    return index % (1 << 8 * min(INDEX_BYTES, request_length))
