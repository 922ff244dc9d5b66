"""What the server held: the columns of a summary on its state.

Decides that a cell has the most of all its runs, and that servers of one run add up. NaN where nothing was
told: a server on Linux's own stack, the memory of a simulated one, records of an earlier version. Must not
know how it was measured (testbed/mptcp/report.py, testbed/drive/memory.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Column of summary.csv -> the figure in a record's `held`.
HELD = {
    "server_half_open_peak": "half_open_peak",
    "server_connections_peak": "connections_peak",
    "server_memory_mb": "memory_mb",
    "server_memory_growth_mb": "memory_growth_mb",
}


def held_of(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of a cell's valid runs."""
    runs = [list(record.get("held", {}).values()) for record in records]
    columns = {}
    for column, figure in HELD.items():
        sums = [sum(one[figure] for one in run) for run in runs if run and all(figure in one for one in run)]
        columns[column] = max(sums, default=float("nan"))
    return columns
