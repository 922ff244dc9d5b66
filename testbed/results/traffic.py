"""What competed with the measured connections, beside what these got: the columns of a summary.

Decides what one rival's share is: the mean over all rivals and runs of a cell, each while the measured
clients ran; and what is said of floods. A cell without traffic has no such columns. Must not know how that
was counted (testbed/workloads/traffic.py writes the records).
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
FLOODS = {
    "syns_per_second": "SYNs/s",  # of all attackers together, as they really went
    "synacks_per_syn": "SYN/ACKs/SYN",  # that came back to them: above 1 where a server repeats its SYN/ACKs
}


def traffic_of(records: Sequence[dict[str, Any]], goodput: float) -> dict[str, float]:
    """Of a cell's valid runs; `goodput` is that of its measured connections."""
    beside = [record.get("traffic", ()) for record in records]
    rivals = [[each for each in run if "syn_flood" not in each] for run in beside]
    floods = [[each for each in run if "syn_flood" in each] for run in beside]
    return {**_rivals_of(rivals, goodput), **_floods_of(floods)}


def _rivals_of(runs: list[list[dict[str, Any]]], goodput: float) -> dict[str, float]:
    each = [rival["goodput_mbit"] or 0.0 for run in runs for rival in run]
    if not each:
        return {}
    rival = sum(each) / len(each)
    ratio = goodput / rival if rival else float("nan")
    return dict(zip(TRAFFIC, (sum(each) / len(runs), rival, ratio), strict=True))


def _floods_of(runs: list[list[dict[str, Any]]]) -> dict[str, float]:
    each = [flood for run in runs for flood in run]
    if not each:
        return {}
    rate, syns, synacks = (
        sum(flood[name] for flood in each) for name in ("syns_per_second", "syns", "synacks")
    )
    answered = synacks / syns if syns else float("nan")
    return dict(zip(FLOODS, (rate / len(runs), answered), strict=True))


def traffic_columns(summary: pd.DataFrame) -> dict[str, str]:
    """Column -> head, of what any cell has beside it; with floods also what they made the server hold."""
    beside = {"server_half_open_peak": "half-open"} if set(FLOODS) <= set(summary.columns) else {}
    known = {**TRAFFIC, **FLOODS, **beside}
    return {name: known[name] for name in known if name in summary.columns}
