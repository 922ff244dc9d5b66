"""A packet ladder as shapes: labels, arrows, diamonds, breaks and rails, each with its place in px.

Decides what a picture consists of, and what is seen of an arrow that passes words. Where things stand is
decided in ladder_layout.py and ladder_frame.py, what they look like in ladder_svg.py.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

from testbed.mptcp.reasons import Verdict
from testbed.trace.lettering import Box, Label
from testbed.trace.rungs import Rung

NOWHERE = Box(0, 0, 0, 0)
Point = tuple[float, float]


class Piece(NamedTuple):
    start: Point
    end: Point


@dataclass(slots=True)
class Arrow:
    """`tip` is where it ends: at the other rail or, when dropped, at the cross half-way. `pieces` is what
    is seen of it."""

    rung: Rung
    start: Point
    tip: Point
    labels: list[Label]
    pieces: list[Piece] = field(default_factory=list)


class Diamond(NamedTuple):
    """A turn: where on its rail, and how that end ended."""

    x: float
    y: float
    verdict: Verdict


@dataclass(slots=True)
class Picture:
    """All in px. `labels` are those that belong to no arrow. `rails` and `axis` are x; they run from `top` to
    `bottom`, interrupted at every y of `breaks`."""

    width: float
    verdict: Verdict
    height: float = 0.0
    labels: list[Label] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    diamonds: list[Diamond] = field(default_factory=list)
    keys: list[tuple[int, Point, Point]] = field(default_factory=list)  # how a subflow's arrows look
    breaks: list[float] = field(default_factory=list)
    axis: float = 0.0
    rails: tuple[float, float] = (0.0, 0.0)
    top: float = 0.0
    bottom: float = 0.0
    verdict_bar: Box = NOWHERE

    @property
    def every_label(self) -> list[Label]:
        return [*self.labels, *(label for arrow in self.arrows for label in arrow.labels)]

    def uncover(self) -> None:
        """Leaves of every arrow what passes no words."""
        boxes = sorted((label.box for label in self.every_label), key=lambda box: box.top)
        tops = [box.top for box in boxes]
        tallest = max((box.bottom - box.top for box in boxes), default=0)
        for arrow in self.arrows:
            high, low = arrow.start[1], arrow.tip[1]
            near = boxes[bisect_left(tops, high - tallest) : bisect_left(tops, low)]
            arrow.pieces = visible(arrow.start, arrow.tip, near)


def visible(start: Point, end: Point, boxes: list[Box]) -> list[Piece]:
    """What is left of a line that runs from rail to rail, with some air around the boxes in its way."""
    (x0, y0), (x1, y1) = start, end
    hidden = sorted(span for box in boxes if (span := _inside(x0, y0, x1 - x0, y1 - y0, box)) is not None)
    seen: list[Piece] = []
    at = 0.0
    for first, last in [*hidden, (1.0, 1.0)]:
        if first > at:
            ends = [(round(x0 + t * (x1 - x0), 1), round(y0 + t * (y1 - y0), 1)) for t in (at, first)]
            seen.append(Piece(*ends))
        at = max(at, last)
    return seen


def _inside(x: float, y: float, dx: float, dy: float, box: Box) -> tuple[float, float] | None:
    """From where to where, as shares of its length, the line is in the box (Liang and Barsky)."""
    first, last = 0.0, 1.0
    for start, step, low, high in (
        (x, dx, box.left - 3, box.right + 3),
        (y, dy, box.top - 1, box.bottom + 1),
    ):
        if step == 0:
            if not low < start < high:
                return None
            continue
        near, far = sorted(((low - start) / step, (high - start) / step))
        first, last = max(first, near), min(last, far)
    return (first, last) if first < last else None
