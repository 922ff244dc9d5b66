"""How much room words take in a picture: faces, widths, and phrases set into lines.

Decides sizes of letters. A line of a monospaced face is as wide as is said here, whichever font the reader
has, since the picture states its length; for the others an upper bound is taken. Knows nothing of ladders.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Face(NamedTuple):
    """`size` in px; `em`: a letter's width as a share of it."""

    size: float
    em: float = 0.602
    mono: bool = True

    def width(self, text: str) -> float:
        return round(len(text) * self.size * self.em, 1)

    def wrap(self, text: str, room: float) -> list[str]:
        """Lines that fit; a word that does not is broken."""
        return textwrap.wrap(text, max(1, int(room / (self.size * self.em))), break_on_hyphens=False)


FACES = {
    "title": Face(19, 0.6, mono=False),
    "fact": Face(12.5),
    "host": Face(14),
    "time": Face(12),
    "head": Face(14),
    "option": Face(14),
    "more": Face(14),  # what is left of an option on a line below
    "tcp": Face(11.5),
    "cause": Face(13),
    "turn": Face(14),
    "gap": Face(13, 0.58, mono=False),
    "verdict": Face(19, 0.6, mono=False),
    "reason": Face(15, 0.56, mono=False),
    "note": Face(12.5, 0.56, mono=False),
}
LINE = 17.0  # px from one line of a packet's words to the next


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


@dataclass(frozen=True)
class Label:
    """One line of words; `y` is its baseline. `subflow`: whose colour it has."""

    x: float
    y: float
    text: str
    face: str
    subflow: int | None = None

    @cached_property
    def box(self) -> Box:
        face = FACES[self.face]
        right = self.x + face.width(self.text)
        return Box(self.x, self.y - 0.78 * face.size, right, self.y + 0.24 * face.size)


Phrase = tuple[str, str]  # text, face


def set_lines(phrases: Iterable[Phrase], room: float) -> list[list[Phrase]]:
    """Phrases side by side as far as they fit, the others below; one too long for a line is broken."""
    lines: list[list[Phrase]] = []
    used = room
    for text, face in phrases:
        parts = [text] if FACES[face].width(text) <= room else FACES[face].wrap(text, room)
        for index, part in enumerate(parts):
            width = FACES[face].width(part)
            if index or used + SPACE + width > room:
                lines.append([])
                used = -SPACE
            lines[-1].append((part, "more" if index and face == "option" else face))
            used += SPACE + width
    return lines


SPACE = 15.0  # px between two phrases


def line_width(line: list[Phrase]) -> float:
    return sum(FACES[face].width(text) for text, face in line) + SPACE * (len(line) - 1)
