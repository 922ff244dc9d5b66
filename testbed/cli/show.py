"""Rows as text: plain, aligned, and the same in a terminal and in a file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from testbed.terminal import plain_word

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.results import Matrix, Results


VERDICTS = ("mptcp", "tcp", "fallback", "reset", "hang", "unfinished")  # in the order of the table


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns of equal width; the first `left` of them aligned to the left."""
    head, rows = [*map(plain_word, head)], [[*map(plain_word, row)] for row in rows]
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    lines = []
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def counted(number: int, word: str) -> str:
    """The number and its word: 1 connection, 2 connections."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def warning_lines(results: Results) -> list[str]:
    """What runs did not do although the experiment asks for it, each once, and in how many of them."""
    valid = [record for record in results.records if record["invalid"] is None]
    seen = Counter(text for record in valid for text in record.get("warnings", ()))
    return [f"warning: {text} (in {count} of {len(valid)} runs)" for text, count in seen.items()]


def _known(value: float, how: str) -> str:
    """A number, or '-' where there is none."""
    return "-" if math.isnan(value) else format(value, how)


def note_lines(results: Results) -> list[str]:
    """What belongs under a table: warnings of runs, times that do not count, means without an interval."""
    from testbed.results import interval_lines, late_lines

    return [*warning_lines(results), *late_lines(results), *interval_lines(results)]


def calibration_text(directory: Path) -> str:
    """What each link was asked for and measured at; '' where nothing was calibrated."""
    from testbed.results import CALIBRATION_HEAD, calibration_table

    rows = calibration_table(directory)
    return table(CALIBRATION_HEAD, rows, left=2) if rows else ""


def summary_table(results: Results) -> str:
    """One row per cell: factors, connections, every verdict that occurs in percent with its 95 % interval,
    what the closed form expects, where there is one, what competing traffic got, and each path's share where
    several were used. One verdict for all connections is a line beneath."""
    from testbed.results import share_columns, traffic_columns

    summary = results.summary
    shares, traffic = share_columns(summary), traffic_columns(summary)
    verdicts = [name for name in VERDICTS if int(summary[name].sum())]
    only = verdicts[0] if len(verdicts) == 1 else None
    if only:
        verdicts = []
    expected = [name for name in verdicts if name in ("fallback", "reset")]
    withheld = summary["expected_withheld"].astype(object).fillna("").astype(str)
    expected = [name for name in expected if summary[f"{name}_expected"].notna().any() or withheld.any()]
    head = [*results.factors, "n", *(f"{name} %" for name in verdicts)]
    head += [*(f"{name} expected %" for name in expected), "set-up ms", "duration ms", "goodput Mbit/s"]
    head += [*traffic.values(), *(f"path {name} %" for name in shares.values())]
    if int(summary["invalid_runs"].sum()):
        head.append("invalid runs")
    if int(summary["late"].sum()):
        head.append("late runs")
    rows = []
    for row in summary.to_dict("records"):
        cells = [f"{row[factor]}" for factor in results.factors]
        cells.append(f"{row['connections']}")
        for name in verdicts:
            low, high = 100 * row[f"{name}_low"], 100 * row[f"{name}_high"]
            rate = 100 * row[f"{name}_rate"]
            cells.append("-" if rate != rate else f"{rate:6.2f} [{low:5.2f}, {high:6.2f}]")
        cells += [_percent(row[f"{name}_expected"]) for name in expected]
        cells += [_number(row["setup_ms"], ".1f"), _bounded(row, "duration_ms")]
        cells.append(_number(row["goodput_mbit"], ".2f"))
        cells += [_number(row[name], ".2f").removesuffix(".00") for name in traffic]
        cells += [_number(100 * row[name], ".1f") for name in shares]
        if "invalid runs" in head:
            cells.append(f"{row['invalid_runs']}")
        if "late runs" in head:
            cells.append(f"{row['late']}")
        rows.append(cells)
    total = int(summary["connections"].sum())
    text = table(head, rows) + (f"\n{counted(total, 'connection')}, verdict {only}" if only else "")
    return "\n".join([text, *withheld_lines(results)])


def withheld_lines(results: Results) -> list[str]:
    """The cells whose expected value is left out, and why."""
    lines = []
    for row in results.summary.to_dict("records"):
        if isinstance(why := row["expected_withheld"], str) and why:
            cell = ", ".join(f"{factor} {row[factor]}" for factor in results.factors) or "this cell"
            lines.append(f"no expected value for {cell}: {why} (fidelity.queue_drops)")
    return lines


def _percent(share: float) -> str:
    return _number(100 * share, ".2f")


def _bounded(row: Mapping[Any, Any], name: str) -> str:
    """A mean with its 95 % interval: '412.3 [398.0, 425.1]'; without one where there is none."""
    mean, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if mean != mean or low != low or high != high:
        return _number(mean, ".1f")
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _number(value: float, how: str) -> str:
    """'-' where nothing was measured."""
    return "-" if value != value else format(value, how)


def tables(results: Results, cases: Matrix | None) -> str:
    """The cases against what was expected of them, where there are any; then a row for each cell."""
    parts = [matrix_table(cases)] if cases else []
    return "\n\n".join([*parts, summary_table(results)])


def matrix_table(found: Matrix) -> str:
    """Cases down, other factors across: what became of the connections."""
    rows = []
    for name in found.rows:
        outcomes = [found.cells.get((name, column)) for column in found.columns]
        rows.append([name, *("" if one is None else one.said for one in outcomes)])
    text = table(["case", *found.columns], rows, left=1 + len(found.columns))
    judged = [one for one in found.cells.values() if one.as_expected is not None]
    expected = sum(bool(one.as_expected) for one in judged)
    return f"{text}\n{expected} of {counted(len(judged), 'cell')} as expected" if judged else text
