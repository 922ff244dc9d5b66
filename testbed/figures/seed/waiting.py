"""How long until the response begins: the share of connections that had its first byte by a time.

Decides that who never had it counts as well, so that a curve may end below 100 %, that time is logarithmic,
and the 95 % band (Dvoretzky, Kiefer, Wolfowitz; Massart 1990). Must not know what a slide says.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from testbed.figures.sections import Picture
from testbed.figures.style import COLOURS, RC
from testbed.figures.themed import inline_svg
from testbed.results import Results

PLACES = np.geomspace(10, 6_000, 500)  # ms, where a curve may step
TICKS = (20, 40, 100, 300, 1_000, 3_000)
ACROSS = 4  # panels beside one another


@dataclass(frozen=True, slots=True)
class Waits:
    """`times` in ms, sorted, from the opening to the first byte of the response; `total` connections, those
    that had none included."""

    label: str
    times: NDArray[np.float64]
    total: int
    lab: bool
    dashed: bool = False

    @property
    def median(self) -> float:
        """Of all connections, in ms; infinite where fewer than half of them had a byte."""
        place = (self.total - 1) // 2
        return float(self.times[place]) if place < len(self.times) else math.inf

    @property
    def spoken(self) -> str:
        return f"{self.median:.1f} ms" if math.isfinite(self.median) else "never"


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    curves: Sequence[Waits] = field(default_factory=tuple)


def waits(results: Results, where: Mapping[str, Any], label: str, *, dashed: bool = False) -> Waits | None:
    """Of the connections whose factors are `where`; None where there are none."""
    rows = results.connections
    for factor, value in where.items():
        rows = rows[rows[factor].astype(str) == str(value)]
    if not len(rows):
        return None
    since = (rows["first_byte_ns"] - rows["opened_ns"]).dropna().to_numpy(dtype=float) / 1e6
    lab = results.environment.get("net") == "mininet"
    return Waits(label, np.sort(since), len(rows), lab, dashed)


def lost(results: Results) -> str:
    """', 2 % lost both ways', where all paths are set so."""
    share = results.settings(0)["network"].get("paths.*.loss")
    return "" if share is None else f", {share:g} % lost both ways"


def picture(name: str, title: str, panels: Sequence[Panel], alt: str, note: str) -> Picture | None:
    """None where there is nothing to draw, and no `note` to say why."""
    if not panels:
        return Picture(title, "", alt, note) if note else None
    across = min(len(panels), ACROSS)
    down = -(-len(panels) // across)
    with matplotlib.rc_context(RC):
        drawn = Figure(figsize=(2.3 * across + 0.5, 2.4 * down + 0.5), layout="constrained")
        places = drawn.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        for axes, panel in zip(places.flat, panels, strict=False):
            _panel(axes, panel)
        for axes in places.flat[len(panels) :]:
            axes.set_visible(False)
        drawn.supxlabel("time from opening to the first byte of the response, ms", fontsize=9)
        drawn.supylabel("connections that had it, %", fontsize=9)
        drawn.legend(handles=_legend(panels), loc="outside upper center", ncols=4, fontsize=8.5)
        return Picture(title, inline_svg(drawn, name), alt, note)


def _panel(axes: Axes, panel: Panel) -> None:
    for one in panel.curves:
        share = np.searchsorted(one.times, PLACES, side="right") / one.total
        beside = math.sqrt(math.log(2 / 0.05) / (2 * one.total))
        look = _look(one)
        axes.fill_between(
            PLACES,
            100 * np.maximum(share - beside, 0),
            100 * np.minimum(share + beside, 1),
            step="post",
            color=look["color"],
            alpha=0.13,
            linewidth=0,
        )
        axes.step(PLACES, 100 * share, where="post", **look)
    axes.set_title(textwrap.fill(panel.title, 24), fontsize=9.5)
    axes.set_xscale("log")
    axes.set_xlim(PLACES[0], PLACES[-1])
    axes.set_xticks(TICKS, [str(tick) for tick in TICKS], fontsize=7.5)
    axes.minorticks_off()
    axes.set_ylim(0, 103)


def _look(one: Waits) -> dict[str, Any]:
    """The simulator's curves are broad and pale, so that a lab's is seen upon them."""
    return {
        "color": "#555555" if one.dashed else COLOURS[0],
        "linewidth": 1.3 if one.lab else 4.5,
        "alpha": 1.0 if one.lab else 0.4,
        "linestyle": (0, (4, 2) if one.lab else (1.2, 0.5)) if one.dashed else "-",
    }


def _legend(panels: Sequence[Panel]) -> list[Line2D]:
    found: dict[str, Line2D] = {}
    for panel in panels:
        for one in panel.curves:
            label = f"{one.label}, {'lab' if one.lab else 'simulator'}"
            found.setdefault(label, Line2D([], [], label=label, **_look(one)))
    return list(found.values())
