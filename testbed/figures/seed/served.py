"""What became of the connections beside a flood: bars of four fates, one plot for each use of SYN cookies.

Decides the fates and how they are told apart, in colour and in grey. Must not know what a slide says of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed.errors import UserError
from testbed.figures.seed.panel import box, panel, row, words
from testbed.figures.style import RC
from testbed.figures.themed import INKS, inline_svg
from testbed.mptcp.reasons import CUT_OFF
from testbed.results import Results

COOKIES, PROFILE = "server.syn_cookies", "client.profile"
BOTH, ONE, FELL, LOST = (
    "Multipath TCP, both paths",
    "Multipath TCP, one path",
    "fell back to TCP",
    "not served",
)
FATES = {  # fill, its opacity, hatch
    BOTH: ("#004c7a", 1.0, ""),
    ONE: ("#004c7a", 0.35, ""),
    FELL: ("#e69f00", 1.0, "...."),
    LOST: ("none", 1.0, "////"),
}
INCHES = (3.2, 2.9)
BAR, GAP = 0.26, 0.22  # of the way from one rate to the next


def flood_factor(results: Results) -> str:
    """The varied rate of the flood, such as traffic.attacker.syn_flood."""
    found = [factor for factor in results.factors if factor.endswith(".syn_flood")]
    if len(found) != 1:
        varied = ", ".join(results.factors)
        raise UserError(f"{results.directory}: one varied syn_flood is expected; varied here: {varied}")
    return found[0]


def fates(results: Results) -> pd.DataFrame:
    """Connections by the columns cookies, profile, rate, fate; and n of all with the same first three."""
    table = results.connections
    well = table["intact"].astype(bool) & ~table["verdict"].isin([str(verdict) for verdict in CUT_OFF])
    mptcp = well & (table["verdict"] == "mptcp")
    several = table["subflows"].fillna(0) > 1
    fate = np.select([mptcp & several, mptcp, well], [BOTH, ONE, FELL], LOST)
    told = pd.DataFrame(
        {
            "cookies": table[COOKIES].astype(str),
            "profile": table[PROFILE].astype(str),
            "rate": pd.to_numeric(table[flood_factor(results)]),
            "fate": fate,
        }
    )
    counts = told.value_counts().rename("count").reset_index()
    whole = counts.groupby(["cookies", "profile", "rate"])["count"].transform("sum")
    return counts.assign(n=whole)


def share(found: pd.DataFrame, kinds: Sequence[str]) -> float:
    """Of all rows' connections: those with one of these fates."""
    return float(found.loc[found["fate"].isin(kinds), "count"].sum() / found["count"].sum())


def stacked(found: pd.DataFrame, settings: Sequence[str], profiles: Sequence[str], name: str) -> str:
    """One plot for each of `settings` (of SYN cookies), with their legend: SVG text."""
    plots = []
    for setting in settings:
        with matplotlib.rc_context(RC):
            picture = Figure(figsize=INCHES, layout="constrained")
            axes = picture.subplots()
            _bars(axes, found[found["cookies"] == setting], profiles)
            axes.set_title(f"cookies {setting}", fontsize=10)
            plots.append(inline_svg(picture, f"{name}-{setting}"))
    return _legend() + "\n" + row(plots)


def _bars(axes: Axes, found: pd.DataFrame, profiles: Sequence[str]) -> None:
    rates = sorted(set(found["rate"]))
    names, places = [], []
    for at, rate in enumerate(rates):
        for beside, profile in enumerate(profiles):
            here = found[(found["rate"] == rate) & (found["profile"] == profile)]
            x = at * (len(profiles) * BAR + GAP) + beside * BAR
            places.append(x)
            names.append(profile)
            bottom = 0.0
            for fate, (fill, opacity, hatch) in FATES.items():
                height = 100 * share(here, [fate]) if len(here) else 0.0
                axes.bar(
                    x,
                    height,
                    BAR * 0.86,
                    bottom,
                    color=fill,
                    alpha=opacity,
                    hatch=hatch,
                    edgecolor="#555555" if fate == LOST else "#ffffff",
                    linewidth=0.5,
                )
                bottom += height
    step = len(profiles) * BAR + GAP
    middle = (len(profiles) - 1) * BAR / 2
    axes.set_xticks(places, names, fontsize=7, rotation=90)
    axes.tick_params(axis="x", length=0, pad=1)
    below = -7 - 4 * max(map(len, profiles))  # points: the numbers stand under the names of the profiles
    for at, rate in enumerate(rates):
        axes.annotate(
            f"{rate:,.0f}",
            (at * step + middle, 0),
            (0, below),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8.5,
        )
    axes.set_xlabel("SYNs per second of the flood", fontsize=8.5, labelpad=20)
    axes.set_ylabel("connections, %", fontsize=8.5)
    axes.tick_params(axis="y", labelsize=8.5)
    axes.set_ylim(0, 100)
    axes.grid(axis="x", visible=False)


def _legend() -> str:
    """Drawn in the page's inks; the same four as in the bars."""
    parts = []
    for index, (fate, (fill, opacity, _)) in enumerate(FATES.items()):
        x, y = 4 + 190 * (index % 2), 4 + 18 * (index // 2)
        ink = f"var({INKS[fill]}, {fill})" if fill in INKS else fill
        parts.append(box(x, y, 14, 11, fill=ink, opacity=opacity, dashed=fate == LOST))
        parts.append(words(x + 20, y + 10, fate, size=11))
    return panel(384, 40, parts, ", ".join(FATES), alone=True)
