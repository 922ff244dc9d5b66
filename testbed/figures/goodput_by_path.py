"""Goodput as bars, each made of what its paths carried: one panel per network, one bar per way to use it.

Decides that factors of the network (`paths.`, `links.`, `topology.`) make the panels and all others the
bars, the order of both (the experiment's), and the marks to hold a bar against: the fastest path's rate and
the sum of all, as the links were set. A bar's whiskers are the goodput's 95 % bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from testbed.errors import UserError
from testbed.figures.style import COLOURS, RC, evidence
from testbed.results import Results

NETWORK = ("paths.", "links.", "topology.")
MOST_ACROSS = 3  # panels beside one another
BAR = 0.24  # inches
HATCHES = ("", "////", "....", "xxxx", "----", "++++")


def draw(results: Sequence[Results]) -> Figure:
    """Of the first output directory; there is no laying one over another."""
    result = results[0]
    names = _paths(result)
    panels = _panels(result)
    across = 2 if len(panels) == 4 else min(len(panels), MOST_ACROSS)
    down = math.ceil(len(panels) / across)
    most = max(len(rows) for rows in panels.values())
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(10.0, down * (BAR * most + 0.9) + 1.1), layout="constrained")
        grid = picture.subplots(down, across, sharex=True, squeeze=False)
        for place, (title, rows) in enumerate(panels.items()):
            axes = grid[place // across][place % across]
            _bars(axes, rows, names, labelled=place % across == 0)
            _marks(axes, result, rows)
            axes.set_title(title, fontsize=9)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for place in range(across):
            below = grid[(len(panels) - 1 - place) // across][place]
            below.set_xlabel("goodput, Mbit/s")
            below.tick_params(labelbottom=True)
        handles: list[Any] = [
            Patch(facecolor=_colour(index), hatch=_hatch(index), edgecolor="white", label=f"path {name}")
            for index, name in enumerate(names)
        ]
        handles += [
            Line2D([], [], color="#555555", linestyle=":", label="rate of the fastest path"),
            Line2D([], [], color="#555555", linestyle="--", label="sum of the rates"),
        ]
        picture.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
        picture.supxlabel(evidence(results[:1]), fontsize=7.5, color="#555555", ha="center")
    return picture


def _paths(result: Results) -> list[str]:
    """Those that carried anything."""
    columns = [str(name) for name in result.summary.columns if str(name).endswith(".share")]
    used = [name for name in columns if (result.summary[name] > 0).any()]
    if not used:
        raise UserError(f"{result.directory}: goodput_by_path needs runs whose rows tell subflows apart")
    return [name.removeprefix("paths.").removesuffix(".share") for name in used]


def _panels(result: Results) -> dict[str, pd.DataFrame]:
    """Rows of the summary by network, each with the words for its bar."""
    network = [factor for factor in result.factors if factor.startswith(NETWORK)]
    others = [factor for factor in result.factors if factor not in network]
    summary = result.summary.copy()
    summary["bar"] = [", ".join(str(row[name]) for name in others) for _, row in summary.iterrows()]
    summary["panel"] = [", ".join(f"{name} {row[name]}" for name in network) for _, row in summary.iterrows()]
    return {str(name): rows for name, rows in summary.groupby("panel", sort=False)}


def _bars(axes: Axes, rows: pd.DataFrame, names: Sequence[str], *, labelled: bool) -> None:
    places = list(range(len(rows)))
    goodput = rows["goodput_mbit"].fillna(0.0).to_numpy(dtype=float)
    begin = 0 * goodput
    for index, name in enumerate(names):
        width = goodput * rows[f"paths.{name}.share"].fillna(0.0).to_numpy(dtype=float)
        axes.barh(
            places,
            width,
            left=begin,
            height=0.78,
            color=_colour(index),
            hatch=_hatch(index),
            edgecolor="white",
            linewidth=0.4,
        )
        begin = begin + width
    low, high = (  # a mean without bounds has no error bar
        rows[f"goodput_mbit_{end}"].fillna(rows["goodput_mbit"]).fillna(0.0).to_numpy(dtype=float)
        for end in ("low", "high")
    )
    axes.errorbar(
        goodput, places, xerr=[goodput - low, high - goodput], fmt="none", ecolor="#222222", elinewidth=1
    )
    axes.set_yticks(places, list(rows["bar"]) if labelled else [""] * len(rows), fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _marks(axes: Axes, result: Results, rows: pd.DataFrame) -> None:
    """Of the direction that carried more; no mark where a path has no rate of its own.

    Paths whose slowest link is the same share its rate: in the sum it counts once.
    """
    cell = int(rows["cell"].iloc[0])
    workload = result.settings(cell)["workload"]
    way = "up" if workload["request"] >= workload["response"] else "down"
    record = next(record for record in result.records if record["cell"] == cell)
    paths = record.get("paths", {})
    rates = [path.get(f"rate_{way}") for path in paths.values()]
    if rates and all(rates):
        apart = {path.get(f"bottleneck_{way}") or name: path[f"rate_{way}"] for name, path in paths.items()}
        axes.axvline(max(rates) / 1e6, color="#555555", linestyle=":", linewidth=1.2, zorder=4)
        axes.axvline(sum(apart.values()) / 1e6, color="#555555", linestyle="--", linewidth=1.2, zorder=4)


def _colour(index: int) -> str:
    """Dark and light in turns, so that neighbours are told apart in grey too."""
    return COLOURS[(0, 5, 3, 2, 1, 4)[index % len(COLOURS)]]


def _hatch(index: int) -> str:
    return HATCHES[index % len(HATCHES)]
