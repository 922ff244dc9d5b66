"""Cases against what was expected of them: one row per case, one column per combination of other factors.

Decides when a cell is as expected: every one of its connections ended in one of the verdicts that the
experiment names for the client's profile, and no byte of those that ended well was wrong or missing, unless
it says `damaged`. Must not know how anything was run or drawn.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.results.store import Results

CASE = "case"
ANY = "any"
DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one cell. `expected` is empty where the experiment expects nothing."""

    verdicts: dict[str, int]
    subflows: int  # the most of any connection
    expected: tuple[str, ...]
    damaged: int

    @property
    def as_expected(self) -> bool | None:
        """None: nothing was expected, or no connection is there to judge."""
        if not self.expected or not self.verdicts:
            return None
        return set(self.verdicts) <= set(self.expected) and (not self.damaged or DAMAGED in self.expected)

    @property
    def text(self) -> str:
        """'mptcp', or '3 mptcp, 2 reset' where connections differ, and 'damaged' where bytes were wrong."""
        words = [f"{count} {verdict}" for verdict, count in self.verdicts.items()]
        if len(words) == 1:
            words = list(self.verdicts)
        return ", ".join([*words, *([DAMAGED] if self.damaged else [])]) or "no result"

    @property
    def said(self) -> str:
        """The text with what was expected beside it, where that is something else."""
        if self.as_expected is not False:
            return self.text
        return f"✗ {self.text} (expected {' or '.join(self.expected)})"


@dataclass(frozen=True, slots=True)
class Matrix:
    rows: list[str]
    columns: list[str]
    cells: dict[tuple[str, str], Outcome]

    @property
    def surprises(self) -> list[tuple[str, str, Outcome]]:
        return [(*place, outcome) for place, outcome in self.cells.items() if outcome.as_expected is False]


def matrix(results: Results) -> Matrix | None:
    """None where the experiment has no cases."""
    if CASE not in results.factors:
        return None
    others = [factor for factor in results.factors if factor != CASE]
    frame = results.connections
    cells: dict[tuple[str, str], Outcome] = {}
    for row in results.summary.to_dict("records"):
        settings = results.settings(row["cell"])
        here = frame[frame["cell"] == row["cell"]] if len(frame) else frame
        column = " ".join(str(row[factor]) for factor in others) or "outcome"
        cells[str(row[CASE]), column] = Outcome(
            verdicts=dict(Counter(here["verdict"])) if len(here) else {},
            subflows=int(here["subflows"].max()) if len(here) else 0,
            expected=_expected(settings),
            damaged=int(row["damaged"]),
        )
    rows, columns = (list(dict.fromkeys(place[side] for place in cells)) for side in (0, 1))
    return Matrix(rows, columns, cells)


def _expected(settings: dict[str, Any]) -> tuple[str, ...]:
    by_profile = settings.get("expect") or {}
    return tuple(by_profile.get(settings["client"]["profile"], by_profile.get(ANY, ())))
