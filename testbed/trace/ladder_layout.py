"""Where everything of a packet ladder stands in a picture: a Ladder in, boxes, arrows and breaks out.

Decides the axis of time, and that nothing lies over anything else. A packet's words stand above its arrow, at
its sender's end. Time runs downwards to scale, but for two things: packets that follow each other closely are
spread until their words have room, and a silence longer than MOST is cut short and says how long it was. An
arrow goes to where the packet arrived if the capture tells that, else down by SLANT. Where it has to pass
the words of another packet it is interrupted.
Knows no SVG, and no packets but by the words of rungs.py.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median_low

from testbed.trace.ladder_frame import MARGIN, draw_foot, draw_head
from testbed.trace.lettering import FACES, LINE, SPACE, Label, Phrase, line_width, set_lines
from testbed.trace.picture import Arrow, Diamond, Picture
from testbed.trace.rungs import Ladder, Rung, Skipped, Turn

SLANT = 18.0  # px that an arrow falls when nobody knows when it arrived
ROUND = 72.0  # px for the longer half of a round trip
MOST = 120.0  # px of a silence
_BREAK = 30.0  # px that the mark of a cut silence takes
_PAD = 5.0
_INSET = 12.0  # px from a rail to words
_MILLISECOND = 1_000_000


def lay_out(ladder: Ladder, width: float) -> Picture:
    picture = Picture(width, ladder.verdict)
    last = max((time for time, _ in _events(ladder)), default=0)
    picture.axis = MARGIN + FACES["time"].width(_milliseconds(last)) + 8
    picture.rails = (picture.axis + 14, width - MARGIN - 6)
    top = draw_head(picture, ladder)
    rungs = _Rungs(picture, ladder, top)
    for time, step in _events(ladder):
        if isinstance(step, Turn):
            rungs.turn(time, step)
        elif isinstance(step, Skipped):
            rungs.skip(step)
        elif time == step.time:
            rungs.send(step)
        else:
            rungs.arrive(step)
    rungs.finish()
    draw_foot(picture, ladder)
    return picture


def _events(ladder: Ladder) -> list[tuple[int, Rung | Skipped | Turn]]:
    """By time; what is left out follows the packet before it. A rung whose arrival is known comes twice."""
    events: list[tuple[int, Rung | Skipped | Turn]] = []
    time = 0
    for step in ladder.steps:
        if isinstance(step, Rung):
            time = step.time
            if step.arrived is not None:
                events.append((step.arrived, step))
        events.append((max(time, step.time) if isinstance(step, Turn) else time, step))
    return sorted(events, key=lambda event: event[0])


class _Rungs:
    """Places one event after the other, from the top. `bottom`: below it nothing stands yet; `at` and `time`:
    the last place on the axis."""

    def __init__(self, picture: Picture, ladder: Ladder, top: float) -> None:
        self.picture = picture
        self.tagged = bool(ladder.subflows)
        self.bottom = self.at = top + 4
        picture.top = top
        self.time: int | None = None
        self.scale = _scale([step for step in ladder.steps if isinstance(step, Rung)])
        self.under_way: dict[int, Arrow] = {}
        self.before: Arrow | None = None  # the arrow drawn last, if nothing came since

    @property
    def room(self) -> float:
        left, right = self.picture.rails
        return right - left - 2 * _INSET

    def send(self, rung: Rung) -> None:
        left, right = self.picture.rails
        tag = f"[{rung.subflow}] " if self.tagged else ""
        phrases: list[Phrase] = [(f"{tag}{rung.flag_names} seq {rung.numbers}", "head")]
        phrases += [(words, "option") for words in rung.mptcp]
        if rung.tcp:
            phrases.append((rung.tcp, "tcp"))
        lines = set_lines(phrases, self.room)
        widest = max(line_width(line) for line in lines)
        y = self._place(rung.time, len(lines) * LINE + 2, self._tuck(rung, widest))
        labels = []
        for index, line in enumerate(lines):
            baseline = y - 6 - LINE * (len(lines) - 1 - index)
            x = left + _INSET if rung.up else right - _INSET - line_width(line)
            labels += _side_by_side(line, x, baseline, rung.subflow if self.tagged else None)
        start, end = (left, right) if rung.up else (right, left)
        arrow = Arrow(rung, (start, y), (end, y + SLANT), labels)
        self.bottom = y + SLANT + _PAD
        if rung.dropped is not None:
            arrow.tip = ((left + right) / 2, y + SLANT / 2)
            self._cause(arrow, rung.dropped)
        elif rung.arrived is not None:
            self.under_way[id(rung)] = arrow
            self.bottom = y + _PAD
        self.picture.arrows.append(arrow)
        self._tick(rung.time, y)
        self.before = arrow if rung.dropped is None and rung.arrived is None else None

    def arrive(self, rung: Rung) -> None:
        assert rung.arrived is not None
        y = self._place(rung.arrived, 4)
        arrow = self.under_way.pop(id(rung))
        arrow.tip = (arrow.tip[0], y)
        self.bottom = y + _PAD

    def turn(self, time: int, turn: Turn) -> None:
        y = self._place(time, LINE - 4)
        left, right = self.picture.rails
        client = turn.end == "client"
        lines = FACES["turn"].wrap(turn.words, self.room)
        for index, text in enumerate(lines):
            x = left + _INSET if client else right - _INSET - FACES["turn"].width(text)
            self.picture.labels.append(Label(x, y + index * LINE, text, "turn"))
        self.picture.diamonds.append(Diamond(left if client else right, y - 5, turn.verdict))
        self.bottom = y + LINE * (len(lines) - 1) + _PAD + 3

    def skip(self, skipped: Skipped) -> None:
        y = self.bottom + LINE + 8
        self._between(skipped.words, y)
        self.picture.breaks.append(y - 5)
        self.at, self.bottom, self.time, self.before = y, y + 12, None, None

    def finish(self) -> None:
        picture = self.picture
        picture.bottom = self.bottom + 8
        picture.uncover()

    def _place(self, time: int, above: float, bottom: float | None = None) -> float:
        """The y of a time that needs `above` px of room over it; `bottom` replaces what is taken so far."""
        taken = self.bottom if bottom is None else bottom
        y = max(self.at, taken + above)
        if self.time is not None:
            due = self.at + (time - self.time) * self.scale
            if due - self.at > MOST and due > y + _BREAK:
                y = max(self.bottom + _BREAK + above, self.at + MOST)
                middle = (self.bottom + y - above) / 2
                self._between(f"{_long(time - self.time)} later", middle + 4)
                self.picture.breaks.append(middle)
            else:
                y = max(y, due)
        self.at, self.time, self.before = y, time, None
        return y

    def _tuck(self, rung: Rung, width: float) -> float | None:
        """Words at the high end of a parallel arrow need not wait for its low end."""
        before = self.before
        if before is None or before.rung.up != rung.up:
            return None
        left, right = self.picture.rails
        return before.start[1] + SLANT * (width + _INSET) / (right - left) + _PAD

    def _cause(self, arrow: Arrow, words: str) -> None:
        """Behind the cross, where the packet should have gone, in as many lines as it takes."""
        x, y = arrow.tip
        room = self.room / 2 - 14
        lines = FACES["cause"].wrap(words, room)
        for index, text in enumerate(lines):
            start = x + 14 if arrow.rung.up else x - 14 - FACES["cause"].width(text)
            arrow.labels.append(Label(start, y + 5 + index * LINE, text, "cause"))
        self.bottom = max(self.bottom, y + 5 + LINE * (len(lines) - 1) + _PAD + 7)

    def _between(self, words: str, y: float) -> None:
        left, right = self.picture.rails
        width = FACES["gap"].width(words)
        self.picture.labels.append(Label((left + right - width) / 2, y, words, "gap"))

    def _tick(self, time: int, y: float) -> None:
        words = _milliseconds(time)
        x = self.picture.axis - 7 - FACES["time"].width(words)
        self.picture.labels.append(Label(x, y + 4, words, "time"))


def _scale(rungs: list[Rung]) -> float:
    """px for a nanosecond. The unit is the time between a packet and the answer to it: of the two medians,
    one for each direction, the longer, since a host answers at once what is captured beside it."""
    waits: dict[bool, list[int]] = {True: [], False: []}
    for before, after in pairwise(rungs):
        if before.up != after.up and after.time > before.time:
            waits[after.up].append(after.time - before.time)
    longest = max((median_low(each) for each in waits.values() if each), default=0)
    return ROUND / (longest or max((rung.time for rung in rungs), default=0) or 1)


def _side_by_side(line: list[Phrase], x: float, y: float, subflow: int | None) -> list[Label]:
    labels = []
    for text, face in line:
        labels.append(Label(round(x, 1), y, text, face, subflow))
        x += FACES[face].width(text) + SPACE
    return labels


def _milliseconds(time: int) -> str:
    return f"{time / _MILLISECOND:.3f}"


def _long(time: int) -> str:
    milliseconds = time / _MILLISECOND
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.3g} ms"
