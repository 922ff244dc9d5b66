"""Cases against profiles: what became of the connections in each, and whether that was expected.

Decides the picture of testbed/results/matrix.py. Colour says as expected or not; words and a mark say it too.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from testbed.errors import UserError
from testbed.figures.factors import cases
from testbed.figures.style import RC, evidence
from testbed.results import Matrix, Results, matrix

FILL = {True: "#dcecd9", False: "#c0392b", None: "#eeeeee"}
INK = {True: "#1a1a1a", False: "#ffffff", None: "#555555"}
ROW, COLUMN = 0.28, 1.5  # inches


def draw(results: Sequence[Results]) -> Figure:
    """One table per output directory, side by side. UserError where there are no cases."""
    tables = [found for found in map(matrix, results) if found is not None]
    if not tables:
        raise UserError(f"case_matrix {cases(results[0].factors)}")
    rows = max(len(table.rows) for table in tables)
    columns = sum(len(table.columns) for table in tables)
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(3.5 + COLUMN * columns, 1.4 + ROW * rows), layout="constrained")
        places = picture.subplots(1, len(tables), squeeze=False)[0]
        for axes, table, result in zip(places, tables, results, strict=True):
            _table(axes, table)
            axes.set_title(str(result.environment.get("way", "")), fontsize=9)
        picture.supxlabel(evidence(results), fontsize=7, color="#555555")
    return picture


def _table(axes: Axes, table: Matrix) -> None:
    axes.grid(False)
    axes.set(xlim=(0, len(table.columns)), ylim=(len(table.rows), 0))
    axes.set_xticks([at + 0.5 for at in range(len(table.columns))], table.columns)
    axes.set_yticks([at + 0.5 for at in range(len(table.rows))], table.rows)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    for spine in axes.spines.values():
        spine.set_visible(False)
    for down, row in enumerate(table.rows):
        for across, column in enumerate(table.columns):
            outcome = table.cells.get((row, column))
            if outcome is None:
                continue
            verdict = outcome.as_expected
            axes.add_patch(Rectangle((across, down), 1, 1, facecolor=FILL[verdict], edgecolor="white"))
            axes.text(
                across + 0.5,
                down + 0.5,
                outcome.said,
                ha="center",
                va="center",
                fontsize=8,
                color=INK[verdict],
            )
