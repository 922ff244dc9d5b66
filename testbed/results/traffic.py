"""What competed with the measured connections, beside what these got: the columns of a summary.

Decides what one rival's share is: the mean over all rivals and runs of a cell, each while the measured
clients ran. A cell without traffic has no such columns. Must not know how that was counted
(testbed/workloads/traffic.py writes the records).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

# Column of summary.csv -> its head in a table.
TRAFFIC = {
    "traffic_mbit": "traffic Mbit/s",  # all rivals together
    "rival_mbit": "each Mbit/s",
    "rival_ratio": "client / each",  # goodput of a measured connection over that of a rival
}


def traffic_of(records: Sequence[dict[str, Any]], goodput: float) -> dict[str, float]:
    """Of a cell's valid runs; `goodput` is that of its measured connections."""
    runs = [[rival["goodput_mbit"] or 0.0 for rival in record.get("traffic", ())] for record in records]
    each = [rate for run in runs for rate in run]
    if not each:
        return {}
    rival = sum(each) / len(each)
    ratio = goodput / rival if rival else float("nan")
    return dict(zip(TRAFFIC, (sum(each) / len(runs), rival, ratio), strict=True))


def traffic_columns(summary: pd.DataFrame) -> dict[str, str]:
    """Column -> head, where any cell has traffic; else none."""
    return TRAFFIC if set(TRAFFIC) <= set(summary.columns) else {}
