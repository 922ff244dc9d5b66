"""What a table says, in sentences: one for each finding, with its numbers and intervals.

Decides which findings there are: cases that came out as expected or not, measured rates beside the closed
form's, the highest and the lowest of what varied, and what must not be overlooked (damage, time limits).
Must not know how a page looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testbed.results import Results, matrix

MOST_NAMED = 5
Row = Mapping[Any, Any]


def findings(results: Results) -> list[str]:
    rows: list[Row] = list(results.summary.to_dict("records"))
    said = [
        *_cases(results),
        *_closed_form(results, rows),
        *_verdicts(results, rows),
        *_means(results, rows),
        *_trouble(results, rows),
    ]
    return said or ["No connection was measured."]


def cell_name(results: Results, row: Row) -> str:
    """'client.profile v0, paths.*.loss.up 20'."""
    return ", ".join(f"{factor} {row[factor]}" for factor in results.factors)


def _cases(results: Results) -> list[str]:
    table = matrix(results)
    if table is None:
        return []
    judged = [one for one in table.cells.values() if one.as_expected is not None]
    if not judged:
        return []
    good = sum(bool(one.as_expected) for one in judged)
    said = [f"{good} of {_many(len(judged), 'cell')} ended as the experiment expects."]
    for case, column, outcome in table.surprises[:MOST_NAMED]:
        where = f"{case} ({column})" if column != "outcome" else case
        said.append(f"{where}: {outcome.text}, where {' or '.join(outcome.expected)} was expected.")
    return said


def _closed_form(results: Results, rows: Sequence[Row]) -> list[str]:
    said = []
    for verdict in ("fallback", "reset", "hang"):
        known = [
            row
            for row in rows
            if row["connections"] and row[f"{verdict}_expected"] == row[f"{verdict}_expected"]
        ]
        known = [row for row in known if row[f"{verdict}_expected"] > 0.0005 or row[verdict]]
        if not known:
            continue
        outside = [row for row in known if not _inside(row, verdict)]
        good = len(known) - len(outside)
        said.append(
            f"The expected rate of {verdict} lies within the measured 95 % interval in {good} of "
            f"{_many(len(known), 'cell')}" + (" (one in twenty may miss it by chance)." if outside else ".")
        )
        for row in outside[:MOST_NAMED]:
            said.append(
                f"{verdict.capitalize()} with {cell_name(results, row)}: measured {_rate(row, verdict)}, "
                f"expected {100 * row[f'{verdict}_expected']:.2f} %."
            )
    return said


def _inside(row: Row, verdict: str) -> bool:
    slack = 1e-4  # the summary has six digits
    return bool(row[f"{verdict}_low"] - slack <= row[f"{verdict}_expected"] <= row[f"{verdict}_high"] + slack)


def _verdicts(results: Results, rows: Sequence[Row]) -> list[str]:
    said = []
    measured = [row for row in rows if row["connections"]]
    total = sum(int(row["connections"]) for row in measured)
    for verdict in ("fallback", "reset", "hang"):
        count = sum(int(row[verdict]) for row in measured)
        if not count:
            continue
        text = f"{count:,} of {_many(total, 'connection')} ended as {verdict}"
        most, least = (choose(measured, key=lambda row: row[f"{verdict}_rate"]) for choose in (max, min))
        if len(measured) > 1 and most[f"{verdict}_rate"] > least[f"{verdict}_rate"]:
            text += f", most of all with {cell_name(results, most)}: {_rate(most, verdict)}"
        said.append(text + ".")
    if measured and not said:
        kinds = [name for name in ("mptcp", "tcp") if any(row[name] for row in measured)]
        if kinds:
            said.append(f"All {_many(total, 'connection')} ended as {' or '.join(kinds)}.")
    return said


def _means(results: Results, rows: Sequence[Row]) -> list[str]:
    bulk = results.settings(int(rows[0]["cell"]))["workload"]["type"] == "bulk" if rows else False
    name, what, unit = ("goodput_mbit", "Goodput", "Mbit/s") if bulk else ("duration_ms", "Duration", "ms")
    known = [row for row in rows if row[name] == row[name]]
    if not known:
        return []
    most, least = (choose(known, key=lambda row: row[name]) for choose in (max, min))
    if len(known) == 1:
        return [f"{what}: {_mean(most, name, unit)}."]
    return [
        f"{what} is highest with {cell_name(results, most)}: {_mean(most, name, unit)}; lowest with "
        f"{cell_name(results, least)}: {_mean(least, name, unit)}."
    ]


def _trouble(results: Results, rows: Sequence[Row]) -> list[str]:
    said = []
    damaged, cut = (sum(int(row[name]) for row in rows) for name in ("damaged", "unfinished"))
    if damaged:
        said.append(f"{_many(damaged, 'connection')} ended in good order with wrong or missing bytes.")
    if cut:
        said.append(
            f"{_many(cut, 'connection')} still moved data when workload.timeout ended them: these are no "
            "findings, raise the timeout."
        )
    invalid = sum(bool(record["invalid"]) for record in results.records)
    if invalid:
        said.append(f"{invalid} of {_many(len(results.records), 'run')} are invalid and left out, see below.")
    for row in rows:
        if isinstance(why := row["expected_withheld"], str) and why:
            where = f" with {name}" if (name := cell_name(results, row)) else ""
            said.append(f"No rate is expected{where}: {why}, and the closed form knows no queue.")
    return said


def _rate(row: Row, verdict: str) -> str:
    low, high = 100 * row[f"{verdict}_low"], 100 * row[f"{verdict}_high"]
    return f"{100 * row[f'{verdict}_rate']:.2f} % [{low:.2f}, {high:.2f}]"


def _mean(row: Row, name: str, unit: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = f" [{low:.4g}, {high:.4g}]" if low == low and high == high else ""
    return f"{row[name]:.4g}{interval} {unit}"


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")
