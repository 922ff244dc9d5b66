"""A rate against loss (or another number): points with 95 % intervals, the closed form as a line beneath.

Decides how series of one or several campaigns are laid over one another, that each point leads to the ladders
of connections captured under its settings, and how far measurement and closed form agree. Must not know
what a slide says. Intervals: testbed/results/statistics.py; closed forms: testbed/results/expected.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed.figures.sections import Material, Number, Picture
from testbed.figures.style import RC
from testbed.figures.themed import inline_svg
from testbed.results import Results, agreement, exact_interval

LOSS = "paths.*.loss.up"
ACROSS = "loss from client to server, %"
FELL_BACK, WERE_RESET = "connections that fell back", "connections that were reset"
LEAST_P = 0.001  # two ways of running agree above it
BESIDE = 0.012  # of the axis: how far series stand apart, so that none hides another


@dataclass(frozen=True, slots=True)
class Series:
    """One row of `points` per cell, sorted by x: x, count, total, low, high (rates 0..1), expected (NaN where
    there is none), link ('' where there is none). `form`: what is expected at any x, NaN likewise."""

    label: str
    colour: str
    marker: str
    points: pd.DataFrame
    hollow: bool = False
    form: Callable[[float], float] = lambda x: float("nan")


@dataclass(frozen=True, slots=True)
class Panel:
    """Series against one another: `across` as ACROSS, `up` what is counted, as FELL_BACK."""

    title: str
    across: str  # the x axis, with its unit
    up: str  # the y axis, without its unit: %
    series: Sequence[Series] = field(default_factory=tuple)


def series(
    material: Material,
    campaign: str,
    verdict: str,
    *,
    where: Mapping[str, Any],
    label: str,
    style: tuple[str, str],
    across: str = LOSS,
    net: str | None = None,
) -> list[Series]:
    """The rate of `verdict` in a campaign's cells whose factors are `where`: one series per way of running
    (the simulator's filled, the lab's hollow), or that of `net` alone."""
    found = []
    for way, words in (("sim", "simulator"), ("mininet", "lab")):
        name = f"{campaign}-{way}"
        if net in (None, way) and name in material.results:
            results = material.results[name]
            summary = _cells(results, where)
            points = _points(summary, verdict, across, material.links.get(campaign, {}))
            if len(points):
                form = _form(results, summary, verdict, across)
                found.append(Series(f"{label}, {words}", *style, points, way == "mininet", form))
    return found


def _cells(results: Results, where: Mapping[str, Any]) -> pd.DataFrame:
    summary = results.summary
    for factor, value in where.items():
        summary = summary[summary[factor].astype(str) == str(value)]
    return summary


def _form(results: Results, summary: pd.DataFrame, verdict: str, across: str) -> Callable[[float], float]:
    """The closed form for the cells' settings with other values of `across`; NaN where one has none."""
    cell = int(summary["cell"].iloc[0])
    known = summary[f"{verdict}_expected"].notna().all() if f"{verdict}_expected" in summary else False
    share = "loss" if across.endswith(".loss.up") else "held"

    def expected(x: float) -> float:
        said = results.expected(cell, **{share: x / 100}) if known else None
        return float("nan") if said is None else float(getattr(said, verdict))

    return expected


def _points(summary: pd.DataFrame, verdict: str, across: str, links: Mapping[int, str]) -> pd.DataFrame:
    rows = [
        {
            "x": float(row[across]),
            "count": int(row[verdict]),
            "total": int(row["connections"]),
            "low": float(row[f"{verdict}_low"]),
            "high": float(row[f"{verdict}_high"]),
            "expected": float(row.get(f"{verdict}_expected", float("nan"))),
            "link": links.get(int(row["cell"]), ""),
        }
        for _, row in summary.iterrows()
        if row["connections"]
    ]
    return pd.DataFrame(rows).sort_values("x", ignore_index=True) if rows else pd.DataFrame()


def picture(name: str, title: str, panels: Sequence[Panel], alt: str, note: str) -> Picture | None:
    """Panels beside one another, their axes alike: percent upwards, zero at the bottom. Those without series
    are left out; None where none is left, and no `note` to say why."""
    panels = [panel for panel in panels if panel.series]
    if not panels:
        return Picture(title, "", alt, note) if note else None
    with matplotlib.rc_context(RC):
        drawn = Figure(figsize=(4.7 * len(panels) + 0.4, 4.3), layout="constrained")
        places = drawn.subplots(1, len(panels), squeeze=False)[0]
        for axes, panel in zip(places, panels, strict=True):
            _panel(axes, panel)
        return Picture(title, inline_svg(drawn, name), alt, note)


def _panel(axes: Axes, panel: Panel) -> None:
    every = [one.points for one in panel.series]
    ticks = sorted({float(x) for points in every for x in points["x"]})
    width = (ticks[-1] - ticks[0]) if len(ticks) > 1 else 1.0
    fine = np.linspace(ticks[0], ticks[-1], 120) if len(ticks) > 1 else np.empty(0)
    lined: set[tuple[str, ...]] = set()
    for index, one in enumerate(panel.series):
        shift = BESIDE * width * (index - (len(panel.series) - 1) / 2)
        _draw(axes, one, shift)
        rates = [100 * one.form(x) for x in fine]
        key = (one.colour, *(f"{rate:.9f}" for rate in rates))
        if key not in lined:
            lined.add(key)
            axes.plot(
                fine, rates, color=one.colour, linewidth=5, alpha=0.28, zorder=1, solid_capstyle="round"
            )
    axes.set_title(panel.title)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(f"{panel.up}, %")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if len(ticks) > 4:  # 1 and 2 stand close to 0
        axes.tick_params(axis="x", labelsize=8.5)
    axes.set_ylim(bottom=0)
    if axes.get_ylim()[1] < 1:
        axes.set_ylim(top=1)
    if any(points["expected"].notna().any() for points in every):
        axes.plot([], [], color="#555555", linewidth=5, alpha=0.28, label="closed form")
    axes.legend(loc="upper left", fontsize=8)


def _draw(axes: Axes, one: Series, shift: float) -> None:
    x = one.points["x"].to_numpy(dtype=float) + shift
    rate = 100 * one.points["count"].to_numpy(dtype=float) / one.points["total"].to_numpy(dtype=float)
    low = np.maximum(rate - 100 * one.points["low"].to_numpy(dtype=float), 0)
    high = np.maximum(100 * one.points["high"].to_numpy(dtype=float) - rate, 0)
    axes.errorbar(
        x, rate, yerr=[low, high], fmt="none", ecolor=one.colour, elinewidth=1.1, capsize=2.2, zorder=2
    )
    dots = axes.scatter(
        x,
        rate,
        s=34,
        marker=one.marker,
        facecolors="#ffffff" if one.hollow else one.colour,
        edgecolors=one.colour,
        linewidths=1.2,
        zorder=3,
        label=one.label,
        clip_on=False,
    )
    links = [link or None for link in one.points["link"]]
    if any(links):
        dots.set_urls(links)


def number(one: Series, what: str) -> Number:
    """The rate at the largest x, and whether each point has its closed form in the exact 99.9 % interval."""
    last = one.points.iloc[-1]
    rate = 100 * last["count"] / last["total"]
    measured = f"{rate:.2f} % at {last['x']:g} % (n = {int(last['total']):,})"
    known = one.points[one.points["expected"].notna()]
    if not len(known):
        return Number(f"{what}, {one.label}", measured)
    inside = [_inside(row) for _, row in known.iterrows()]
    expected = f"{100 * last['expected']:.2f} %; {sum(inside)} of {len(inside)} points inside 99.9 %"
    return Number(f"{what}, {one.label}", measured, expected, all(inside))


def judged(told: Sequence[tuple[str, Sequence[Series]]]) -> list[Number]:
    """(what is counted, its series) each: all of them against their closed forms, then both ways of running
    against one another."""
    numbers = [number(one, what) for what, those in told for one in those]
    return numbers + [one for what, those in told for one in agreements(those, what)]


def agreements(several: Sequence[Series], what: str) -> list[Number]:
    """For each series that both ways of running have: the least p of Fisher's exact test over its points."""
    labs = {_name(one): one for one in several if one.hollow}
    found = []
    for one in several:
        other = labs.get(_name(one))
        if one.hollow or other is None:
            continue
        pairs = one.points.merge(other.points, on="x", suffixes=("", "_lab"))
        if not len(pairs):
            continue
        least = min(
            agreement(int(row["count"]), int(row["total"]), int(row["count_lab"]), int(row["total_lab"]))
            for _, row in pairs.iterrows()
        )
        measured = f"least p of {len(pairs)} points: {least:.2g} (Fisher)"
        name = f"{what}, {_name(one)}: simulator against lab"
        found.append(Number(name, measured, f"over {LEAST_P}", least > LEAST_P))
    return found


def _name(one: Series) -> str:
    """The label without its way of running."""
    return one.label.rpartition(", ")[0]


def _inside(row: pd.Series) -> bool:
    low, high = exact_interval(int(row["count"]), int(row["total"]))
    return bool(low <= row["expected"] <= high)


def largest(several: Sequence[Series]) -> str:
    """The largest x, in words: '20 %'. `spoken` has the rates there."""
    return f"{several[0].points['x'].iloc[-1]:g} %"


def spoken(several: Sequence[Series]) -> str:
    """The measured rates at the largest x, in words: '20.1 % (v0), 0.81 % (draft)'. Those of the simulator,
    which has more connections, where it has run."""
    chosen = [one for one in several if not one.hollow] or list(several)
    return ", ".join(f"{percent(one)} ({_name(one)})" for one in chosen)


def percent(one: Series) -> str:
    """The measured rate at the largest x: '9.8 %'."""
    row = one.points.iloc[-1]
    return f"{100 * row['count'] / row['total']:.3g} %"
