"""What stands above and below the rungs of a packet ladder: title, keys, subflows, hosts; verdict and reason.

Decides their places in a picture; every word but the lines on how to read it comes from rungs.py.
"""

from __future__ import annotations

from testbed.trace.lettering import FACES, Box, Label
from testbed.trace.picture import Picture
from testbed.trace.rungs import Ladder, Rung

MARGIN = 8.0
_HOST = 21.0  # px from one line of hosts to the next
_KEY = 44.0  # px of an arrow that shows how a subflow is drawn


def draw_head(picture: Picture, ladder: Ladder) -> float:
    """Where the rungs may begin."""
    room = picture.width - 2 * MARGIN
    y = _lines(picture, ladder.title[:1].upper() + ladder.title[1:], "title", MARGIN, 24.0, room)
    for host in ladder.hosts:
        if host.known:
            y = _lines(picture, f"{host.name} {host.known}", "fact", MARGIN, y, room)
    for number, words in enumerate(ladder.subflows, 1):
        picture.keys.append((number, (MARGIN, y - 4), (MARGIN + _KEY, y - 4)))
        y = _lines(picture, f"[{number}] {words}", "fact", MARGIN + _KEY + 8, y, room - _KEY - 8)
    y += 14
    left, right = picture.rails
    face = FACES["host"]
    client, server = ladder.hosts
    names = [f"{host.name} {host.address}" for host in (client, server)]
    beside = sum(face.width(name) for name in names) + 30 <= right - left
    for index, name in enumerate(names):
        if index == 1 and not beside:
            y += _HOST
        for number, line in enumerate(face.wrap(name, room)):
            rightmost = picture.width - MARGIN - face.width(line)
            x = min(left - 6, rightmost) if index == 0 else rightmost
            y += _HOST if number else 0
            picture.labels.append(Label(round(x, 1), y, line, "host"))
    picture.labels.append(Label(picture.axis - 7 - FACES["time"].width("ms"), y, "ms", "time"))
    return y + 12


def draw_foot(picture: Picture, ladder: Ladder) -> None:
    room = picture.width - 2 * MARGIN - 14
    x = MARGIN + 14
    top = picture.bottom + 16
    y = _lines(picture, f"verdict {ladder.verdict.value}", "verdict", x, top + 17, room)
    y = _lines(picture, f"reason {ladder.reason_words}", "reason", x, y, room)
    for fate in ladder.fates:
        where = f" ({fate.reason.section})" if fate.reason.section else ""
        y = _lines(picture, f"{fate.end}: {fate.words}{where}", "fact", x, y, room)
    y = _lines(picture, f"bytes: {ladder.closing}", "fact", x, y, room)
    picture.verdict_bar = Box(MARGIN, top, MARGIN + 5, y - 12)
    y += 10
    y = _lines(picture, _how_to_read(ladder), "note", MARGIN, y, room + 14)
    picture.height = round(y - 4)


def _how_to_read(ladder: Ladder) -> str:
    rungs = [step for step in ladder.steps if isinstance(step, Rung)]
    told = [rung.arrived is not None for rung in rungs if rung.dropped is None]
    if told and all(told):
        arrows = "An arrow runs from a packet's first sighting to its last."
    elif any(told):
        arrows = "An arrow runs from a packet's first sighting to its last; if seen once, at a fixed slant."
    else:
        arrows = "The capture does not tell when packets arrived: the slant of the arrows means nothing."
    return (
        "Time runs downwards, to scale; where packets are close it is stretched, where nothing happens it is "
        "cut, as marked. " + arrows
    )


def _lines(picture: Picture, text: str, face: str, x: float, y: float, room: float) -> float:
    """Words from `y` downwards; where the next ones may stand."""
    step = round(FACES[face].size * 1.42)
    for line in FACES[face].wrap(text, room):
        picture.labels.append(Label(x, y, line, face))
        y += step
    return y
