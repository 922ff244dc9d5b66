"""Middleboxes on a link: what each may do to a segment, and the words that name them.

Decides the interface that every box keeps and how `middlebox:` is read. A box stands before loss and queue
of both directions and sees both; only TCP segments come to it. Knows no clock, and no chance of its own.
Read first: testbed/link/link.py.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, Protocol

from testbed.errors import UserError
from testbed.mptcp.wire.segment import Segment

Way = Literal["forward", "backward"]


class Box(Protocol):
    """One object per link, direction and word. What goes out keeps the order of its list."""

    def pass_on(self, now: int, way: Way, segment: Segment) -> list[tuple[Way, Segment]]:
        """What takes the segment's place: the very same object where nothing was done to it."""
        ...

    def deadline(self) -> int | None: ...

    def timeout(self, now: int) -> list[tuple[Way, Segment]]: ...


BOXES: dict[str, type] = {}  # by the word that stands behind `middlebox:`


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """A box as the user wrote it."""

    text: str

    def make(self, way: Way, rng: random.Random) -> Box:
        """The box for the direction in which the word stands."""
        box: Box = BOXES[self.text](way, rng)
        return box


def parse_box(text: str) -> BoxSpec:
    """UserError, with the words there are, for anything else."""
    if text not in BOXES:
        raise UserError(f"middlebox: {text!r} is unknown; there are {', '.join(BOXES) or 'none yet'}")
    return BoxSpec(text)
