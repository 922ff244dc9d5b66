"""Fallback rate against loss: points with 95 % intervals, the closed form as a line under them.

Decides which column is the loss (a varied `paths.*.loss.up`, or another loss on the way up), what a series
is (the profile, and every other factor), and that series stand a little beside one another. The second panel
has the same points on a logarithmic axis, against the square root of the loss, where the rare fallbacks of
the draft and v1 are seen. When the closed form applies: testbed/results/expected.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from testbed.errors import UserError
from testbed.figures.factors import losses, one_loss
from testbed.figures.style import COLOURS, MARKERS, PROFILE_STYLE, PROFILE_TITLE, RC, evidence
from testbed.results import Results

PROFILE = "client.profile"
Numbers = NDArray[np.float64]
Across = Callable[[Numbers], Numbers]  # loss in percent -> place on the axis
FLOOR = 0.1  # percent; where the logarithmic panel begins, and where zero is drawn


def draw(results: Sequence[Results]) -> Figure:
    """Several results are laid over one another: the first with filled markers, the others hollow."""
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(10.0, 5.0), layout="constrained")
        linear, logarithmic = picture.subplots(1, 2, width_ratios=(1.35, 1))
        shown: dict[str, tuple[str, str]] = {}
        for place, result in enumerate(results):
            for index, (name, series) in enumerate(_series(result).items()):
                colour, marker = shown.setdefault(name, _style(name, len(shown)))
                beside = index + 0.35 * (place - (len(results) - 1) / 2)
                for axes, across, step in ((linear, _same, 0.22), (logarithmic, np.sqrt, 0.1)):
                    _points(axes, series, across, colour, marker, step * beside, hollow=place > 0)
                    if place == 0:
                        _line(axes, result, series, across, colour)
        _finish(linear, logarithmic, results)
        _legend(picture, shown, results)
        picture.supxlabel(evidence(results), fontsize=7.5, color="#555555", ha="center")
    return picture


def _series(result: Results) -> dict[str, pd.DataFrame]:
    """Rows of the summary by series, in the order of the experiment, each with a numeric `loss` column."""
    column = _loss_column(result)
    summary = result.summary.assign(loss=pd.to_numeric(result.summary[column], errors="coerce"))
    others = [factor for factor in result.factors if factor != column and factor != "connections"]
    if PROFILE not in others:
        summary[PROFILE] = [result.settings(int(cell))["client"]["profile"] for cell in summary["cell"]]
        others.insert(0, PROFILE)
    others.sort(key=lambda factor: factor != PROFILE)
    summary["series"] = [
        ", ".join([str(row[PROFILE]), *(f"{factor} {row[factor]}" for factor in others[1:])])
        for _, row in summary.iterrows()
    ]
    return {str(name): rows.sort_values("loss") for name, rows in summary.groupby("series", sort=False)}


def _loss_column(result: Results) -> str:
    if lacking := one_loss(result.factors):
        raise UserError(f"{result.directory}: fallback_by_loss {lacking}")
    return losses(result.factors)[0]


def _style(name: str, index: int) -> tuple[str, str]:
    profile, comma, _ = name.partition(", ")
    if not comma and profile in PROFILE_STYLE:
        return PROFILE_STYLE[profile]
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def _same(values: Numbers) -> Numbers:
    return values


def _points(
    axes: Axes,
    series: pd.DataFrame,
    across: Across,
    colour: str,
    marker: str,
    shift: float,
    hollow: bool,
) -> None:
    """`shift` sets series apart, so that none hides another."""
    rate = 100 * series["fallback_rate"].to_numpy(dtype=float)
    low = 100 * series["fallback_low"].to_numpy(dtype=float)
    high = 100 * series["fallback_high"].to_numpy(dtype=float)
    axes.errorbar(
        across(series["loss"].to_numpy(dtype=float)) + shift,
        rate,
        yerr=[np.maximum(rate - low, 0), np.maximum(high - rate, 0)],
        fmt=marker,
        color=colour,
        markerfacecolor="white" if hollow else colour,
        markersize=5.5,
        markeredgewidth=1.1,
        elinewidth=1.2,
        capsize=2.5,
        zorder=3,
        clip_on=False,
    )


def _line(axes: Axes, result: Results, series: pd.DataFrame, across: Across, colour: str) -> None:
    """The closed form, where there is one for these settings."""
    cell = int(series["cell"].iloc[0])
    losses = series["loss"].to_numpy(dtype=float)
    fine = np.linspace(0, np.sqrt(losses.max()), 400) ** 2
    said = [result.expected(cell, loss / 100) for loss in fine]
    rates = [100 * each.fallback for each in said if each is not None]
    if len(rates) < len(fine) or len(losses) < 2 or series["fallback_expected"].isna().any():
        return
    axes.plot(across(fine), rates, color=colour, linewidth=5, alpha=0.28, zorder=1, solid_capstyle="round")


def _finish(linear: Axes, logarithmic: Axes, results: Sequence[Results]) -> None:
    ticks = sorted(
        {float(loss) for result in results for rows in _series(result).values() for loss in rows["loss"]}
    )
    for axes, across, room in ((linear, _same, 0.6), (logarithmic, np.sqrt, 0.25)):
        places = across(np.array(ticks))
        axes.set_xticks(places, [f"{tick:g}" for tick in ticks])
        axes.set_xlabel("loss from client to server, %")
        axes.set_xlim(places.min() - room, places.max() + room)
    linear.set_ylabel("connections that fell back to TCP, %")
    linear.set_ylim(bottom=0)
    linear.set_title("Fallback against loss")
    logarithmic.set_yscale("symlog", linthresh=FLOOR, linscale=0.35)
    logarithmic.set_ylim(0, 100)
    logarithmic.set_yticks([0, 0.1, 1, 10, 100])
    logarithmic.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    logarithmic.set_title("The same, logarithmic")


def _legend(picture: Figure, shown: dict[str, tuple[str, str]], results: Sequence[Results]) -> None:
    handles: list[Line2D] = []
    for name, (colour, marker) in shown.items():
        profile, comma, rest = name.partition(", ")
        label = PROFILE_TITLE.get(profile, profile) + comma + rest
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", label=label))
    handles.append(
        Line2D([], [], color="#555555", marker="_", markersize=0, linewidth=1.2, label="95 % interval")
    )
    handles.append(Line2D([], [], color="#555555", linewidth=5, alpha=0.28, label="closed form"))
    if len(results) > 1:
        for place, result in enumerate(results):
            face = "white" if place else "#555555"
            way = str(result.environment.get("way", result.directory.name))
            handles.append(
                Line2D([], [], color="#555555", marker="o", markerfacecolor=face, linestyle="", label=way)
            )
    picture.legend(handles=handles, loc="outside upper center", ncols=min(3, len(handles)))
