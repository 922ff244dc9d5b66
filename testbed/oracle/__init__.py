"""Linux's MPTCP as the oracle: cells with its stack and ours at either end, and what must be seen."""

from testbed.oracle.cells import Cell, chosen, matrix, small_matrix
from testbed.oracle.outcome import Outcome
from testbed.oracle.report import line, markdown, records, time_left
from testbed.oracle.run import QUICK_SIZE, SIZE, run_cells
from testbed.oracle.scenarios import scenario_cells

__all__ = [
    "Cell",
    "Outcome",
    "QUICK_SIZE",
    "SIZE",
    "chosen",
    "line",
    "markdown",
    "matrix",
    "records",
    "run_cells",
    "scenario_cells",
    "small_matrix",
    "time_left",
]
