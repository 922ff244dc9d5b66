"""Outcomes as text: the matrix, the scenarios, what differed, and the time that is left.

Decides how a cell reads: `ok`, its subflows and its goodput each way; `FAIL` and `unsupported` stand out.
Counters stand side by side for the four pairs; cells that counted alike share their lines.
The tables are Markdown that reads as well in a terminal. Knows nothing of how cells are run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from testbed.oracle.cells import TRANSFER, Cell
from testbed.oracle.expected import FREE
from testbed.oracle.outcome import Outcome
from testbed.oracle.scenarios import SCENARIOS, expected

_COLUMNS = {
    (False, False): "plain",
    (False, True): "cookies",
    (True, False): "checksum",
    (True, True): "both",
}
_WORDS = {"passed": "ok", "failed": "FAIL", "unsupported": "unsupported"}


def line(outcome: Outcome, number: int, total: int, left: float) -> str:
    """Of one cell that has just ended, for whoever watches."""
    words = [
        f"[{number:>{len(str(total))}}/{total}]",
        f"{outcome.state:<11}",
        outcome.cell.name,
        f" {outcome.seconds:.1f} s,",
        f"{outcome.goodput / 1e6:.0f} Mbit/s,",
        f"{outcome.subflows} subflow{'' if outcome.subflows == 1 else 's'}",
    ]
    if number < total:
        words.append(f"  about {int(left) // 60}:{int(left) % 60:02d} left")
    return " ".join(words)


def time_left(done: Sequence[Outcome], coming: Iterable[Cell]) -> float:
    """Seconds: a cell to come takes what cells with as many ends of ours took so far."""
    overall = sum(outcome.seconds for outcome in done) / len(done) if done else 0.0
    spent: dict[int, list[float]] = {}
    for outcome in done:
        spent.setdefault(_ours(outcome.cell), []).append(outcome.seconds)
    means = {ours: sum(times) / len(times) for ours, times in spent.items()}
    return sum(means.get(_ours(cell), overall) for cell in coming)


def markdown(outcomes: Sequence[Outcome], size: int) -> str:
    """All of a run: its tables, then every difference."""
    transfers = [outcome for outcome in outcomes if outcome.cell.scenario == TRANSFER]
    others = [outcome for outcome in outcomes if outcome.cell.scenario != TRANSFER]
    parts = [_count(outcomes, size)]
    if transfers:
        parts.append("## Transfers\n\n" + _transfers(transfers))
    if others:
        parts.append("## Scenarios\n\n" + _scenarios(others))
        names = dict.fromkeys(outcome.cell.scenario for outcome in others)
        parts.append("\n".join(f"- {name}: {SCENARIOS[name].question}" for name in names))
    parts.append("## Counters\n\n" + _counters(outcomes))
    wrong = [outcome for outcome in outcomes if not outcome.passed]
    if wrong:
        parts.append("## What differs\n\n" + "\n".join(_differences(outcome) for outcome in wrong))
    return "\n\n".join(parts) + "\n"


def records(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """For JSON."""
    return [{"name": outcome.cell.name, "state": outcome.state, **asdict(outcome)} for outcome in outcomes]


def _row(cell: Cell) -> tuple[str, str, str]:
    return cell.scenario, f"IPv{cell.family}", f"{cell.paths}"


def _ours(cell: Cell) -> int:
    return (cell.client, cell.server).count("ours")


def _count(outcomes: Sequence[Outcome], size: int) -> str:
    numbers = [f"{sum(one.state == state for one in outcomes)} {state}" for state in _WORDS]
    return (
        f"{len(outcomes)} cells, {size:,} bytes each way: {', '.join(numbers)}. Each cell: outcome, "
        "subflows, Mbit/s each way."
    )


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    word = _WORDS[outcome.state]
    return f"{word} {outcome.subflows}, {outcome.goodput / 1e6:.0f}" if outcome.ends else word


def _transfers(outcomes: Sequence[Outcome]) -> str:
    head = ["client - server", "family", "paths", *_COLUMNS.values()]
    found = {outcome.cell: outcome for outcome in outcomes}
    keys = dict.fromkeys((cell.client, cell.server, cell.family, cell.paths) for cell in found)
    rows = []
    for key in keys:
        cells = [found.get(Cell(*key, checksum, cookies)) for checksum, cookies in _COLUMNS]
        client, server, family, paths = key
        rows.append([f"{client} - {server}", f"IPv{family}", f"{paths}", *map(_cell, cells)])
    return _table(head, rows)


def _scenarios(outcomes: Sequence[Outcome]) -> str:
    pairs = list(dict.fromkeys(outcome.cell.pair for outcome in outcomes))
    found = {(_row(one.cell), one.cell.pair): one for one in outcomes}
    rows = [
        [*row, *(_cell(found.get((row, pair))) for pair in pairs)]
        for row in dict.fromkeys(row for row, _ in found)
    ]
    return _table(["scenario", "family", "paths", *(pair.replace("-", " - ") for pair in pairs)], rows)


def _counters(outcomes: Sequence[Outcome]) -> str:
    """Those of Linux's names that either end counted or was to count, but for the ones that are left free."""
    pairs = list(dict.fromkeys(outcome.cell.pair for outcome in outcomes))
    known = {
        name
        for outcome in outcomes
        for side, end in outcome.ends.items()
        for name in (*expected(outcome.cell).counts(side), *(end.counters if end.stack == "linux" else ()))
    }
    rows: dict[tuple[str, ...], dict[str, Outcome]] = {}
    for outcome in outcomes:
        if outcome.ends:
            words = tuple(word for word in outcome.cell.words if word != outcome.cell.pair)
            rows.setdefault(words, {})[outcome.cell.pair] = outcome
    alike: dict[tuple[tuple[str, ...], ...], list[tuple[str, ...]]] = {}
    for words, found in rows.items():
        alike.setdefault((words[:1], *_counts(found, pairs, known)), []).append(words)
    lines = []
    for (scenario, *counts), cells in alike.items():
        label = f"{scenario[0]}: {', '.join('/'.join(words[1:]) for words in cells)}"
        lines += [[label if not index else "", *count] for index, count in enumerate(counts)]
    head = ["cells", "end", "counter", *(pair.replace("-", " - ") for pair in pairs)]
    return _table(head, lines, widest=40)


def _counts(found: Mapping[str, Outcome], pairs: Sequence[str], known: set[str]) -> list[tuple[str, ...]]:
    """A line for each counter of each end: its value with each pair."""
    lines = []
    for side in ("client", "server"):
        counters = {pair: found[pair].ends[side].counters for pair in pairs if pair in found}
        for name in sorted((known - FREE) & {name for one in counters.values() for name in one}):
            values = (f"{counters[pair].get(name, 0)}" if pair in counters else "" for pair in pairs)
            lines.append((side, name, *values))
    return lines


def _differences(outcome: Outcome) -> str:
    texts = outcome.differences or (outcome.unsupported,)
    return "\n".join([f"- {outcome.cell.name}", *(f"  - {text}" for text in texts)])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], widest: int = 1000) -> str:
    """Columns as wide as their longest cell, but for cells wider than `widest`."""
    widths = [min(max(len(row[index]) for row in [head, *rows]), widest) for index in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in lines
    )
