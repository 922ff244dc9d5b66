"""DIR/report.html: the question, the table, the figures and the evidence, in one file that needs no other.

Decides what the page holds. Pictures stand in it as SVG, so that it can be mailed or archived as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from testbed.figures.registry import FIGURES, draw
from testbed.figures.templating import render
from testbed.mptcp.reasons import ENDPOINT_VERDICTS, Reason, Verdict
from testbed.records import write_atomically
from testbed.results import CALIBRATION_HEAD, Results, calibration_table, share_columns, traffic_columns


def write_report(results: Results, figures: Sequence[str] | None = None) -> Path:
    """Draws the experiment's figures (or those named) and writes the page; returns where it is."""
    names = list(results.environment.get("figures", [])) if figures is None else list(figures)
    pictures = [(FIGURES[name].title, _inline(draw(name, [results])[0])) for name in names]
    text = render(
        "report.html",
        name=results.environment.get("name", results.directory.name),
        facts=results.environment,
        pictures=pictures,
        columns=_columns(results),
        rows=_rows(results),
        reasons=_reasons(results),
        calibration=calibration_table(results.directory),
        calibration_head=CALIBRATION_HEAD,
        invalid=[record for record in results.records if record["invalid"]],
    )
    path = results.directory / "report.html"
    write_atomically(path, text)
    return path


def _inline(svg: Path) -> str:
    text = svg.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


def _verdicts(results: Results) -> list[str]:
    return [verdict.value for verdict in ENDPOINT_VERDICTS if int(results.summary[verdict.value].sum())]


def _columns(results: Results) -> list[str]:
    shares = [f"path {name}" for name in share_columns(results.summary).values()]
    head = [*results.factors, "connections", *_verdicts(results), "set-up, ms", "goodput, Mbit/s"]
    return [*head, *traffic_columns(results.summary).values(), *shares]


def _rows(results: Results) -> list[list[str]]:
    rows = []
    for row in results.summary.to_dict("records"):
        cells = [str(row[factor]) for factor in results.factors]
        cells.append(f"{row['connections']:,}")
        for verdict in _verdicts(results):
            low, high = 100 * row[f"{verdict}_low"], 100 * row[f"{verdict}_high"]
            cells.append(f"{100 * row[f'{verdict}_rate']:.2f} % ({low:.2f} to {high:.2f})")
        cells.append(_bounded(row, "setup_ms"))
        cells.append(_bounded(row, "goodput_mbit"))
        cells += [
            "-" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in traffic_columns(results.summary)
        ]
        cells += [f"{100 * row[name]:.1f} %" for name in share_columns(results.summary)]
        rows.append(cells)
    return rows


def _bounded(row: dict[Hashable, Any], name: str) -> str:
    if pd.isna(row[name]):
        return "-"
    if pd.isna(row[f"{name}_low"]):
        return f"{row[name]:.3g}"
    return f"{row[name]:.3g} ({row[f'{name}_low']:.3g} to {row[f'{name}_high']:.3g})"


def _reasons(results: Results) -> list[tuple[str, str, int, str, str]]:
    """(verdict, reason, count, meaning, section) of every connection that was not plain MPTCP or TCP."""
    frame = results.connections
    odd = frame[~frame["verdict"].isin([Verdict.MPTCP.value, Verdict.TCP.value])]
    counts = Counter(zip(odd["verdict"], odd["reason"], strict=True))
    known = {reason.value: reason for reason in Reason}
    listed = []
    for (verdict, word), count in counts.most_common():
        reason = known[word]
        listed.append((str(verdict), word, count, reason.meaning, reason.section))
    return listed
