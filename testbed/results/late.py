"""Late runs, and means without bounds: which times count, and what is said where they cannot.

Decides that a run whose record says `late` keeps its verdicts and loses its times (the nanoseconds of both
ends stay in connections.parquet, beside the column `late`), and the sentences for the user: how many runs
were late and why, and how many repeats bounds need. Must not know how lateness is measured (testbed/drive),
or what is too late (testbed/runner/fidelity.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from testbed.results.join import TIMES
from testbed.results.statistics import FEWEST_RUNS, USEFUL_RUNS

if TYPE_CHECKING:
    from testbed.results.store import Results

DERIVED = (*TIMES, "srtt_ms")


def is_late(record: Mapping[str, Any]) -> bool:
    """Of a run that counts. Records of an earlier version do not tell."""
    return record["invalid"] is None and bool(record.get("late"))


def counts_times(record: Mapping[str, Any]) -> bool:
    return record["invalid"] is None and not record.get("late")


def without_times(row: dict[str, Any], late: bool) -> dict[str, Any]:
    """A row of connections.parquet or paths.parquet; of a late run without what the machine falsified."""
    blank = dict.fromkeys(name for name in DERIVED if late and name in row)
    return {**row, **blank, "late": late}


def late_lines(results: Results) -> list[str]:
    """One line for each reason, with the number of runs; none where no run was late."""
    valid = [record for record in results.records if record["invalid"] is None]
    late = [record["late"] for record in valid if is_late(record)]
    if not late:
        return []
    reasons = Counter(reason["key"] for reasons in late for reason in reasons)
    worst = {
        key: max(
            (one for reasons in late for one in reasons if one["key"] == key), key=lambda one: one["value"]
        )
        for key in reasons
    }
    lines = [
        f"late: {len(late)} of {len(valid)} runs were too late for times: set-up time and goodput are left "
        "out, verdicts count"
    ]
    lines += [
        f"late: {worst[key]['text']} (the worst of {count}; fidelity.{key})" for key, count in reasons.items()
    ]
    return [
        *lines,
        "late: run fewer at once (--jobs 1), on a quieter machine, or in the simulator (--net sim)",
    ]


def interval_lines(results: Results) -> list[str]:
    """Where a mean has no bounds because too few runs of its cell count: how many there must be."""
    summary = results.summary
    lacking = summary[(summary["runs"] < FEWEST_RUNS) & (summary["connections"] > 0)]
    if lacking.empty:
        return []
    cells = "1 cell has" if len(lacking) == 1 else f"{len(lacking)} of {len(summary)} cells have"
    runs = "no run" if int(lacking["runs"].max()) == 0 else "one run"
    wanted = int(max(record["repeat"] for record in results.records)) + USEFUL_RUNS - 1
    return [
        f"no interval for set-up time and goodput: {cells} {runs} whose times count, and intervals are taken "
        f"over runs; at least {USEFUL_RUNS} are needed: --set repeats={wanted} adds what is missing"
    ]
