"""Slide 1, "TCP SYN-cookies": what a half-open connection costs a server, and that cookies cost none.

Decides how the measurement "half_open" is drawn and what is computed from it. Its rows: profile, syn_cookies,
syns (sent), half_open (connections held afterwards), bytes (of the server's objects) and rss_bytes (of its
process), both beyond what was there before the first SYN. Read first: RFC 4987 §2 and §3.6.
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
from testbed.figures.style import PROFILE_STYLE, RC
from testbed.figures.themed import inline_svg

MEASUREMENT = "half_open"
OFF, ALWAYS = "off", "always"
FLOOR = 100.0  # bytes; below, the axis is linear down to nothing
NEGLIGIBLE = 1.0  # byte per SYN: no state

Rows = Sequence[Mapping[str, Any]]


def section(material: Material) -> Section:
    pictures = [ladder(material, "TCP, nothing lost")]
    rows: Rows = material.measured.get(MEASUREMENT, ())
    shows = [
        "A server that keeps state answers a SYN and remembers it until the third ACK comes. With a SYN "
        "cookie it remembers nothing: the initial sequence number of its SYN/ACK is a keyed hash of the "
        "addresses, the ports and the client's own number, and the third ACK brings it back. The connection "
        "begins then."
    ]
    if rows:
        pictures.append(Picture("Memory against SYNs that nobody completes", _drawn(rows), _alt(rows)))
        shows.append(_said(rows))
    return Section(
        tuple(shows), tuple(one for one in pictures if one), _numbers(rows), left_out=material.left_out()
    )


def _series(rows: Rows) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Rows by profile and cookies, in rising numbers of SYNs."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: int(row["syns"])):
        found.setdefault((str(row["profile"]), str(row["syn_cookies"])), []).append(row)
    return found


def slope(rows: Rows, across: str, up: str) -> float:
    """Of the straight line by least squares; NaN with fewer than two points."""
    x, y = (np.array([float(row[key]) for row in rows]) for key in (across, up))
    return float(np.polyfit(x, y, 1)[0]) if len(set(x)) > 1 else float("nan")


def _drawn(rows: Rows) -> str:
    with matplotlib.rc_context(RC):
        picture = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = picture.subplots()
        for (profile, cookies), series in _series(rows).items():
            _line(axes, profile, cookies, series)
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=FLOOR, linscale=0.4)
        axes.set_ylim(bottom=-FLOOR / 4)
        ticks = sorted({int(row["syns"]) for row in rows})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("SYNs without a third ACK")
        axes.set_ylabel("memory of the server's objects")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _bytes(value)))
        axes.legend(loc="upper left", fontsize=8.5)
        return inline_svg(picture, "syn-cookies-memory")


def _line(axes: Axes, profile: str, cookies: str, series: Rows) -> None:
    colour, marker = PROFILE_STYLE[profile]
    off = cookies == OFF
    axes.plot(
        [int(row["syns"]) for row in series],
        [max(float(row["bytes"]), 0.0) for row in series],
        color=colour,
        marker=marker,
        markersize=6,
        markerfacecolor=colour if off else "#ffffff",
        linestyle="-" if off else "--",
        linewidth=1.4,
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
        held, syns = float(series[-1]["bytes"]), int(series[-1]["syns"])
        parts.append(f"{profile}, cookies {cookies}: {_bytes(round(held))} at {syns:,} SYNs")
    return "; ".join(parts)


def _said(rows: Rows) -> str:
    held = [
        f"{slope(series, 'half_open', 'bytes'):,.0f} bytes ({profile})"
        for (profile, cookies), series in _series(rows).items()
        if cookies == OFF
    ]
    most = max(int(row["syns"]) for row in rows)
    left = [row for row in rows if row["syn_cookies"] == ALWAYS]
    state = max((int(row["half_open"]) for row in left), default=0)
    return (
        f"Without cookies each half-open connection of our server holds {' or '.join(held)}, the slope of "
        f"the line by least squares. With cookies the server held {state:,} connections after {most:,} SYNs."
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
            each, process = (slope(series, "half_open", key) for key in ("bytes", "rss_bytes"))
            numbers.append(
                Number(
                    f"{name}: bytes per half-open connection, objects and process",
                    f"{each:,.0f}, {process:,.0f}",
                )
            )
        else:
            each = slope(series, "syns", "bytes")
            numbers.append(
                Number(f"{name}: bytes per SYN", f"{each:.2f}", f"under {NEGLIGIBLE:g}", each < NEGLIGIBLE)
            )
    return tuple(numbers)
