"""Packets for the tests of the link model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from testbed.link import Direction, LinkParams, stream
from testbed.mptcp.wire import Segment

CLIENT = bytes((10, 0, 1, 1))
SERVER = bytes((10, 0, 2, 1))


@dataclass
class Frame:
    frame_length: int = 1514
    value: Segment | None = None
    number: int = 0
    flipped: tuple[float, ...] = ()

    def corrupted(self, where: float) -> Frame:
        return replace(self, flipped=(*self.flipped, where))

    def segment(self) -> Segment | None:
        return self.value


def direction(seed: int = 1, **params: object) -> Direction:
    return Direction("a-b/forward", LinkParams(**params), stream(seed, "a-b", "forward"))  # type: ignore[arg-type]


def up(flags: int, seq: int, payload: bytes = b"", port: int = 40_000, ack: int = 0) -> Frame:
    """A client's segment."""
    return Frame(100, Segment(CLIENT, SERVER, port, 80, seq, ack, flags, payload=payload))


def down(flags: int, seq: int, payload: bytes = b"", port: int = 40_000, ack: int = 0) -> Frame:
    return Frame(100, Segment(SERVER, CLIENT, 80, port, seq, ack, flags, payload=payload))
