"""Slide 1, "TCP SYN-cookies": what a half-open connection costs a server, and that cookies cost none.

Decides how the measurement "half_open" is drawn and what is computed from it. Its rows: profile, syn_cookies,
syns (sent so far), half_open (connections held at most), bytes (allocated since the first SYN; None where
that was not traced) and rss_bytes (resident, of the whole process; before the first SYN as well).
Read first: RFC 4987 §2 and §3.6; testbed/bench/half_open.py, which measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from testbed.figures.sections import Material, Number, Picture, Section
from testbed.figures.seed.ladders import ladder
from testbed.figures.seed.panel import row as in_a_row
from testbed.figures.style import PROFILE_STYLE, RC
from testbed.figures.themed import inline_svg

MEASUREMENT = "half_open"
OFF, ALWAYS = "off", "always"
NEGLIGIBLE = 1.0  # byte per SYN: no state
# What is drawn, and where its axis is linear down to nothing.
GROWTHS = {"bytes": ("allocated by the server", 1e3), "resident": ("resident memory of its process", 1e5)}

Rows = Sequence[Mapping[str, Any]]


def section(material: Material) -> Section:
    pictures = [ladder(material, "TCP, nothing lost")]
    rows: Rows = material.measured.get(MEASUREMENT, ())
    shows = [
        "A server that keeps state answers a SYN and remembers it until the third ACK comes. With a SYN "
        "cookie it remembers nothing: the initial sequence number of its SYN/ACK is a keyed hash of the "
        "addresses, the ports and the client's initial sequence number, and the third ACK brings it back. "
        "The connection begins then."
    ]
    if rows:
        pictures.append(Picture("Memory against SYNs that nobody completes", _drawn(rows), _alt(rows)))
        shows.append(_said(rows))
    return Section(
        tuple(shows), tuple(one for one in pictures if one), _numbers(rows), left_out=material.left_out()
    )


def _series(rows: Rows) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Rows by profile and cookies, in rising numbers of SYNs; `resident` is what came with the SYNs."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: int(row["syns"])):
        found.setdefault((str(row["profile"]), str(row["syn_cookies"])), []).append(row)
    return {
        key: [{**row, "resident": row["rss_bytes"] - series[0]["rss_bytes"]} for row in series]
        for key, series in found.items()
    }


def slope(rows: Rows, across: str, up: str) -> float:
    """Of the straight line by least squares, where `up` is known; NaN with fewer than two points."""
    known = [row for row in rows if row[up] is not None]
    x, y = (np.array([float(row[key]) for row in known]) for key in (across, up))
    return float(np.polyfit(x, y, 1)[0]) if len(set(x)) > 1 else float("nan")


def _drawn(rows: Rows) -> str:
    plots = []
    for column, (up, linear) in GROWTHS.items():
        with matplotlib.rc_context(RC):
            picture = Figure(figsize=(4.9, 4.2), layout="constrained")
            axes = picture.subplots()
            for (profile, cookies), series in _series(rows).items():
                _line(axes, profile, cookies, [row for row in series if row["syns"]], column)
            axes.set_xscale("log")
            axes.set_yscale("symlog", linthresh=linear, linscale=0.4)
            top = axes.get_ylim()[1]
            decades = range(int(np.log10(linear)), int(np.log10(top)) + 1)
            axes.set_yticks([0, *(10.0**decade for decade in decades)])
            axes.set_ylim(-linear / 4, top)
            known = (row for row in rows if column != "bytes" or row["bytes"] is not None)
            ticks = sorted({int(row["syns"]) for row in known} - {0})
            axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axes.minorticks_off()
            axes.tick_params(labelsize=8.5)
            axes.set_xlabel("SYNs without a third ACK")
            axes.set_title(up, fontsize=10)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _bytes(value)))
            axes.legend(loc="center right", fontsize=8)
            plots.append(inline_svg(picture, f"syn-cookies-{column}"))
    return in_a_row(plots)


def _line(axes: Axes, profile: str, cookies: str, series: Rows, column: str) -> None:
    colour, marker = PROFILE_STYLE[profile]
    off = cookies == OFF
    known = [row for row in series if row[column] is not None]
    axes.plot(
        [int(row["syns"]) for row in known],
        [max(float(row[column]), 0.0) for row in known],
        color=colour,
        marker=marker,
        markersize=6,
        markerfacecolor=colour if off else "#ffffff",
        linestyle="-" if off else "--",
        linewidth=4.5 if profile == "tcp" else 1.4,  # it lies under the other
        label=f"{profile}, cookies {cookies}",
        clip_on=False,
        zorder=3,
    )


def _bytes(value: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"


def _alt(rows: Rows) -> str:
    parts = []
    for (profile, cookies), series in _series(rows).items():
        held, syns = float(series[-1]["resident"]), int(series[-1]["syns"])
        parts.append(f"{profile}, cookies {cookies}: {_bytes(round(held))} more resident at {syns:,} SYNs")
    return "; ".join(parts)


def _said(rows: Rows) -> str:
    held = []
    for (profile, cookies), series in _series(rows).items():
        if cookies == OFF:
            each, process = (slope(series, "half_open", key) for key in GROWTHS)
            held.append(f"{each:,.0f} bytes with {profile} ({process:,.0f} resident)")
    most = max(int(row["syns"]) for row in rows)
    traced = max((int(row["syns"]) for row in rows if row["bytes"] is not None), default=0)
    state = max((int(row["half_open"]) for row in rows if row["syn_cookies"] == ALWAYS), default=0)
    return (
        f"Without cookies each half-open connection of our server takes {' and '.join(held)}: slopes of "
        f"straight lines by least squares. Allocations were traced up to {traced:,} SYNs, resident memory "
        f"up to {most:,}. After {most:,} SYNs with cookies the server held {state:,} connections."
    )


def _numbers(rows: Rows) -> tuple[Number, ...]:
    numbers = []
    for (profile, cookies), series in _series(rows).items():
        last = series[-1]
        name = f"{profile}, cookies {cookies}"
        expected = int(last["syns"]) if cookies == OFF else 0
        held = int(last["half_open"])
        numbers.append(
            Number(
                f"{name}: half-open connections after {int(last['syns']):,} SYNs",
                f"{held:,}",
                f"{expected:,}",
                held == expected,
            )
        )
        if cookies == OFF:
            each, process = (slope(series, "half_open", key) for key in GROWTHS)
            numbers.append(
                Number(
                    f"{name}: bytes per half-open connection, allocated and resident",
                    f"{each:,.0f}, {process:,.0f}",
                )
            )
        else:
            each = slope(series, "syns", "bytes")
            numbers.append(
                Number(
                    f"{name}: bytes allocated per SYN",
                    f"{each:.2f}",
                    f"under {NEGLIGIBLE:g}",
                    each < NEGLIGIBLE,
                )
            )
    return tuple(numbers)
