"""What every middlebox is: segments in, segments out, each with its direction.

Decides the interface, what a flow is to a box, and how much a box remembers. A box stands before loss and
queue of both directions of its link and sees both; only TCP segments come to it. It knows no clock, no
bytes and no chance of its own. Read first: testbed/link/link.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from testbed.mptcp.wire.segment import Segment

Way = Literal["forward", "backward"]
Sent = list[tuple[Way, Segment]]  # in the order in which they go on

MOST_FLOWS = 4096  # the one first seen longest ago is forgotten then

State = TypeVar("State")


class Flow(NamedTuple):
    """A connection by its two ends: the one on the side that the box's own direction comes from first."""

    near: tuple[bytes, int]
    far: tuple[bytes, int]


class Key(NamedTuple):
    """A word of a box: what its value may be, the value where it is left out, and what it means."""

    parse: Callable[[str], Any]
    default: Any
    meaning: str


class Box:
    """One object for each time that a link's direction names it. This one lets everything pass.

    `way` is the direction in which the user wrote the word; a box may have to look at the other as well.
    """

    meaning: ClassVar[str]
    keys: ClassVar[dict[str, Key]] = {}

    def __init__(self, way: Way, rng: random.Random) -> None:
        self.way = way
        self.rng = rng

    @property
    def back(self) -> Way:
        return "backward" if self.way == "forward" else "forward"

    def flow(self, way: Way, segment: Segment) -> Flow:
        source, destination = (segment.src, segment.sport), (segment.dst, segment.dport)
        return Flow(source, destination) if way == self.way else Flow(destination, source)

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        """What takes the segment's place: the very same object where nothing was done to it."""
        return [(way, segment)]

    def deadline(self) -> int | None:
        """When `timeout` wants to be called."""
        return None

    def timeout(self, now: int) -> Sent:
        return []


class Flows(Generic[State]):
    """What a box remembers of each flow; bounded."""

    def __init__(self, fresh: Callable[[], State]) -> None:
        self._fresh = fresh
        self._states: dict[Flow, State] = {}

    def __getitem__(self, flow: Flow) -> State:
        state = self._states.get(flow)
        return self.begin(flow) if state is None else state

    def find(self, flow: Flow) -> State | None:
        return self._states.get(flow)

    def begin(self, flow: Flow) -> State:
        """Anew, whatever was known."""
        self._states.pop(flow, None)
        while len(self._states) >= MOST_FLOWS:
            del self._states[next(iter(self._states))]
        state = self._states[flow] = self._fresh()
        return state

    def values(self) -> list[State]:
        return list(self._states.values())
