"""Means beside a flood, and the goodput of downloads by what became of them.

Decides two plots: a mean with its 95 % bounds against the rate of the flood, and the distribution of goodput
by profile and verdict. Must not know what a slide says of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from testbed.figures.seed.panel import row
from testbed.figures.seed.served import COOKIES, INCHES, PROFILE
from testbed.figures.style import PROFILE_STYLE, RC
from testbed.figures.themed import inline_svg
from testbed.results import Results

FEWEST = 3  # connections: fewer make no distribution
DASHES: dict[str, Any] = {"mptcp": "-", "fallback": (0, (1, 1)), "tcp": "--"}
BESIDE = 0.09  # of the way from one rate to the next: series that coincide are still seen


def lines(
    summary: pd.DataFrame,
    rate: str,
    column: str,
    up: str,
    settings: Sequence[str],
    profiles: Sequence[str],
    name: str,
) -> str:
    """One plot for each of `settings`: `column`, with bounds if it has some, against the flood's `rate`."""
    tops = [summary[name].max() for name in (column, f"{column}_high") if name in summary]
    top = float(np.nanmax(tops)) if any(map(pd.notna, tops)) else 0.0
    plots = []
    for setting in settings:
        here = summary[summary[COOKIES].astype(str) == setting]
        with matplotlib.rc_context(RC):
            picture = Figure(figsize=INCHES, layout="constrained")
            axes = picture.subplots()
            for index, profile in enumerate(profiles):
                series = here[here[PROFILE].astype(str) == profile].sort_values(rate)
                _line(axes, series, column, profile, BESIDE * (index - (len(profiles) - 1) / 2))
            rates = sorted(set(summary[rate]))
            axes.set_xticks(range(len(rates)), [f"{each:,.0f}" for each in rates])
            axes.set_xlim(-0.5, len(rates) - 0.5)
            axes.set_xlabel("SYNs per second of the flood", fontsize=8.5)
            axes.set_ylabel(up, fontsize=8.5)
            axes.tick_params(labelsize=8.5)
            axes.set_ylim(0, 1.3 * top if top > 0 else 1)  # the legend stands above all of it
            axes.set_title(f"cookies {setting}", fontsize=10)
            axes.legend(fontsize=8, loc="upper left", ncols=len(profiles), columnspacing=1, handlelength=1.4)
            plots.append(inline_svg(picture, f"{name}-{setting}"))
    return row(plots)


def _line(axes: Axes, series: pd.DataFrame, column: str, profile: str, shift: float) -> None:
    colour, marker = PROFILE_STYLE[profile]
    x = np.arange(len(series)) + shift
    y = series[column].to_numpy(dtype=float)
    bounds = None
    if f"{column}_low" in series:
        low, high = (series[f"{column}_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
        bounds = [np.nan_to_num(np.maximum(y - low, 0)), np.nan_to_num(np.maximum(high - y, 0))]
    axes.errorbar(
        x,
        y,
        bounds,
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=1.1,
        elinewidth=1,
        capsize=2,
        label=profile,
    )


def networks(results: Results) -> dict[str, pd.DataFrame]:
    """Connections by what was varied besides the profile, in words; under "" where nothing was."""
    others = [factor for factor in results.factors if factor not in (PROFILE, "connections")]
    table = results.connections
    words = table[others].apply(
        lambda values: ", ".join(_in_words(*pair) for pair in values.items()), axis="columns"
    )
    named = table.assign(network=words if others else "")
    return {str(name): rows for name, rows in named.groupby("network", sort=False)}


def _in_words(factor: str, value: object) -> str:
    return f"{value} % lost on the way up" if factor.endswith(".loss.up") else f"{factor} {value}"


def goodput_by_verdict(results: Results, name: str) -> str:
    """How large a share of the downloads had at most a goodput: a step line for each profile and verdict, a
    plot for each of `networks`."""
    found = networks(results)
    top = max((values[-1] for rows in found.values() for values in groups(rows).values()), default=1.0)
    plots = []
    for index, (title, rows) in enumerate(found.items()):
        with matplotlib.rc_context(RC):
            picture = Figure(figsize=(4.9, 3.7), layout="constrained")
            axes = picture.subplots()
            _steps(axes, rows)
            axes.set_xlim(0, 1.02 * top)
            axes.set_title(title, fontsize=10)
            plots.append(inline_svg(picture, f"{name}-{index}"))
    return row(plots)


def _steps(axes: Axes, connections: pd.DataFrame) -> None:
    for (profile, verdict), values in groups(connections).items():
        if len(values) < FEWEST:
            continue
        colour, _ = PROFILE_STYLE[profile]
        x = np.concatenate(([values[0]], values))
        y = np.linspace(0, 100, len(values) + 1)
        label = f"{profile}: {verdict} (n = {len(values):,})"
        style = DASHES[verdict]
        axes.plot(x, y, drawstyle="steps-post", color=colour, linestyle=style, linewidth=2, label=label)
    axes.set_xlabel("goodput of a download, Mbit/s")
    axes.set_ylabel("downloads with at most that, %")
    axes.set_ylim(0, 100)
    if axes.lines:
        axes.legend(fontsize=8, loc="best")


def groups(connections: pd.DataFrame) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Sorted goodputs by profile and verdict, of downloads that ended well."""
    well = _ended_well(connections)
    return {
        (str(profile), str(verdict)): np.sort(rows["goodput_mbit"].to_numpy(dtype=float))
        for (profile, verdict), rows in well.groupby([PROFILE, "verdict"], sort=False)
    }


def groups_by_run(connections: pd.DataFrame) -> dict[tuple[str, str], list[NDArray[np.float64]]]:
    """The same, the goodputs of each run together."""
    found: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    rows = _ended_well(connections).groupby([PROFILE, "verdict", "run"], sort=False)["goodput_mbit"]
    for (profile, verdict, _), values in rows:
        found.setdefault((str(profile), str(verdict)), []).append(values.to_numpy(dtype=float))
    return found


def _ended_well(connections: pd.DataFrame) -> pd.DataFrame:
    return connections[connections["verdict"].isin(list(DASHES)) & connections["goodput_mbit"].notna()]
