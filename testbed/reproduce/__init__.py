"""A paper's figures from one command: what is missing is run, everything is drawn, one page shows it.

Decides which figures there are (FIGURES, and COLLECTIONS of them) and what a reproduction leaves: ordinary
output directories below DIR/campaigns, DIR/measurements, DIR/report.html.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import UserError
from testbed.reproduce.meter import Status
from testbed.reproduce.needs import NETS, Slide
from testbed.reproduce.run import run_steps
from testbed.reproduce.seed import SLIDES
from testbed.reproduce.steps import steps_of

COLLECTIONS = {"seed": tuple(slide.name for slide in SLIDES)}
FIGURES: dict[str, Slide] = {slide.name: slide for slide in SLIDES}


@dataclass(frozen=True, slots=True)
class Checked:
    """One number of a figure. `agrees` None: there is no expectation for it."""

    figure: str
    what: str
    measured: str
    expected: str
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """`missing`: what this machine could not run, and why. `failures`: lines for the user. `numbers`: every
    number of the page beside what is expected of it."""

    report: Path
    missing: dict[str, str]
    failures: list[str]
    numbers: tuple[Checked, ...] = ()

    @property
    def agree(self) -> int:
        return sum(bool(one.agrees) for one in self.numbers)

    @property
    def judged(self) -> int:
        """Numbers that have an expectation."""
        return sum(one.agrees is not None for one in self.numbers)


def chosen(names: Sequence[str]) -> list[Slide]:
    """The figures that names of figures and collections mean; none: all. UserError names the known ones."""
    wanted: dict[str, None] = {}
    for name in names or list(COLLECTIONS):
        if name not in COLLECTIONS and name not in FIGURES:
            known = [*COLLECTIONS, *FIGURES]
            close = difflib.get_close_matches(name, known, 1)
            guess = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"no figure is called {name!r}{guess} There are {', '.join(known)}")
        wanted.update(dict.fromkeys(COLLECTIONS.get(name, (name,))))
    return [slide for slide in FIGURES.values() if slide.name in wanted]


def reproduce(
    names: Sequence[str],
    directory: Path,
    *,
    quick: bool = False,
    net: str | None = None,
    jobs: int | None = None,
    fresh: bool = False,
    watch: Callable[[Status], None] = lambda status: None,
) -> Reproduction:
    """Runs what is missing of the named figures, draws them and writes DIR/report.html. `net`: this way of
    running alone, "sim" or "mininet"; the campaigns of the other are left out, and said to be.

    KeyboardInterrupt passes through; the next call goes on at the first missing run."""
    from testbed.reproduce.report import write_chapters

    slides = chosen(names)
    steps = steps_of(slides, quick, (net,) if net else NETS)
    done = run_steps(steps, directory, jobs=jobs, fresh=fresh, watch=watch)
    missing = dict(done.missing)
    asked = {step.key for step in steps}
    for step in steps_of(slides, quick=False):
        if step.key not in asked:
            alone = net is not None and step.net not in ("", net)
            done.missing[step.key] = f"--net {net} was asked for" if alone else "not in a quick reproduction"
    report, chapters = write_chapters(slides, steps, directory, done, quick)
    numbers = tuple(
        Checked(chapter.name, one.what, one.measured, one.expected, one.agrees)
        for chapter in chapters
        for one in chapter.section.numbers
    )
    return Reproduction(report, missing, done.failures, numbers)


__all__ = ["COLLECTIONS", "Checked", "FIGURES", "Reproduction", "Slide", "Status", "chosen", "reproduce"]
