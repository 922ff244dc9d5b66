"""What a page of a reproduction is made of: sections with their pictures, paragraphs and numbers.

Decides the shapes that the drawing of a section is handed and hands back. Must not know which sections there
are, how their material was made, or how a page looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.results import Results


@dataclass(frozen=True, slots=True)
class Picture:
    """`svg` is text that begins with <svg, ready to stand in a page; '' where nothing could be drawn. `alt`
    says the same in words, `note` what the picture lacks."""

    title: str
    svg: str
    alt: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Number:
    """What was measured beside what was expected of it. `agrees` None: nothing to hold it against."""

    what: str
    measured: str
    expected: str = ""
    agrees: bool | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Plain text in every cell; the first column is the head of its row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """`shows`: the paragraphs of what is to be seen. `left_out`: series that could not be had, and why."""

    shows: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()
    numbers: tuple[Number, ...] = ()
    tables: tuple[Table, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def agree(self) -> int:
        """Numbers that are as expected, of those `judged`."""
        return sum(bool(one.agrees) for one in self.numbers)

    @property
    def judged(self) -> int:
        return sum(one.agrees is not None for one in self.numbers)


@dataclass(frozen=True, slots=True)
class Sample:
    """Ladders of connections that were captured in one cell: (what became of how many, SVG text) each.
    `anchor` is its place in the page, `back` where its point is; `command` draws
    them all."""

    anchor: str
    back: str
    cell: int
    title: str
    ladders: tuple[tuple[str, str], ...]
    command: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the numbers of one campaign come from. `facts`: a word and what it says, each."""

    name: str
    command: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A section in its place in the page. `main`: those of its numbers that say it in short."""

    name: str
    number: int
    title: str
    question: str
    command: str
    section: Section
    evidence: tuple[Evidence, ...]
    main: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """All that a section is drawn from.

    `results` by the name of the campaign and its way of running: "fallback-sim", "fallback-mininet"; only
    those that were asked for and are there. `missing`: the others, and why. `measured`: the rows of each
    measurement by its name. `ladders`: SVG text by the name of its case. `links`: by campaign and cell, the
    page's address of the ladders of connections that were captured under the same settings.
    """

    results: Mapping[str, Results]
    missing: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    ladders: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def both(self, name: str) -> list[Results]:
        """A campaign's results in the simulator and in a lab, as far as they are there, in this order."""
        found = (self.results.get(f"{name}-{net}") for net in ("sim", "mininet"))
        return [one for one in found if one is not None]

    def left_out(self) -> tuple[str, ...]:
        """What is missing, in words for the reader."""
        return tuple(f"{name}: {why}" for name, why in self.missing.items())

    def note(self, *campaigns: str) -> str:
        """What a picture of these campaigns lacks; '' where all is there."""
        names = {f"{one}-{net}" for one in campaigns for net in ("sim", "mininet")}
        lacking = [f"{name}: {why}" for name, why in self.missing.items() if name in names]
        return f"Left out: {'; '.join(lacking)}." if lacking else ""
