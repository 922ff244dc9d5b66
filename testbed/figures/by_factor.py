"""How long connections took, or what they carried, in each cell: means with their 95 % intervals.

Decides the form. A factor that is a number with three values or more goes across, the others are series, told
apart by colour, marker and legend. Without such a factor each cell is a line of its own, in the experiment's
order. Read first: style.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed.errors import UserError
from testbed.figures.style import COLOURS, MARKERS, RC, evidence
from testbed.results import Results

LEAST_ACROSS = 3  # values of a factor that make an axis
MOST_SERIES = 12
ROW = 0.26  # inches


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the summary with its bounds, and the words for its axis."""

    column: str
    label: str


DURATION = Measure("duration_ms", "duration from SYN to last byte, ms")
GOODPUT = Measure("goodput_mbit", "goodput, Mbit/s")


def draw_duration(results: Sequence[Results]) -> Figure:
    return _draw(results[0], DURATION)


def draw_goodput(results: Sequence[Results]) -> Figure:
    return _draw(results[0], GOODPUT)


def _draw(result: Results, measure: Measure) -> Figure:
    summary = result.summary
    if not summary[measure.column].notna().any():
        raise UserError(f"{result.directory}: no connection has a {measure.column}")
    across = _axis(result)
    with matplotlib.rc_context(RC):
        rows = 8 if across else len(summary)
        picture = Figure(figsize=(8.0, max(2.2, ROW * rows + 1.3)), layout="constrained")
        axes = picture.subplots()
        if across:
            _lines(axes, result, across, measure)
            axes.legend(loc="best")
            axes.set_ylabel(measure.label)
            axes.set_ylim(bottom=0)
        else:
            _dots(axes, result, measure)
            axes.set_xlabel(measure.label)
            axes.set_xlim(left=0)
        picture.supxlabel(evidence([result]), fontsize=7, color="#555555")
    return picture


def _axis(result: Results) -> str:
    """The numeric factor with the most values; '' where none has enough, or too many series would be left."""
    best, most = "", LEAST_ACROSS - 1
    for factor in result.factors:
        values = pd.to_numeric(result.summary[factor], errors="coerce")
        count = values.nunique()
        others = [name for name in result.factors if name != factor]
        series = len(result.summary[others].drop_duplicates()) if others else 1
        if values.notna().all() and count > most and series <= MOST_SERIES:
            best, most = factor, count
    return best


def words(row: pd.Series, factors: Sequence[str]) -> str:
    return ", ".join(str(row[name]) for name in factors)


def _lines(axes: Axes, result: Results, across: str, measure: Measure) -> None:
    others = [name for name in result.factors if name != across]
    summary = result.summary.assign(
        x=pd.to_numeric(result.summary[across]),
        series=[words(row, others) for _, row in result.summary.iterrows()],
    )
    for index, (name, rows) in enumerate(summary.groupby("series", sort=False)):
        rows = rows[rows[measure.column].notna()].sort_values("x")
        axes.errorbar(
            rows["x"],
            rows[measure.column],
            yerr=_bars(rows, measure.column),
            label=str(name) or "all connections",
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[(index + index // len(COLOURS)) % len(MARKERS)],
            markersize=5,
            linewidth=1,
            elinewidth=1.2,
            capsize=2.5,
        )
    axes.set_xlabel(across)
    axes.set_xticks(sorted(summary["x"].unique()))


def _dots(axes: Axes, result: Results, measure: Measure) -> None:
    rows = result.summary.reset_index(drop=True)
    known = rows[rows[measure.column].notna()]
    axes.errorbar(
        known[measure.column],
        known.index,
        xerr=_bars(known, measure.column),
        fmt="o",
        color=COLOURS[0],
        markersize=5,
        elinewidth=1.2,
        capsize=2.5,
    )
    labels = [words(row, result.factors) or "all connections" for _, row in rows.iterrows()]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def _bars(rows: pd.DataFrame, column: str) -> list[list[float]]:
    """Distances to the bounds; none where a mean has no interval."""
    mean, low, high = (rows[f"{column}{end}"].to_numpy(dtype=float) for end in ("", "_low", "_high"))
    sides = np.maximum(mean - low, 0), np.maximum(high - mean, 0)
    return [[float(value) for value in np.nan_to_num(side)] for side in sides]
