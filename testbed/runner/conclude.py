"""What a finished campaign leaves beside its runs: tables, figures, report.

Decides their order, and that an experiment without a single valid connection has no figures, but a report.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.runner.room import needs_room

if TYPE_CHECKING:
    from testbed.results import Results


@dataclass(frozen=True, slots=True)
class Conclusion:
    results: Results
    figures: tuple[Path, ...]
    report: Path | None


def conclude(directory: Path, figures: tuple[str, ...]) -> Conclusion:
    """Writes connections.parquet, summary.csv, the figures and report.html."""
    from testbed.figures import write_report
    from testbed.results import load, write_tables

    with needs_room(directory):
        write_tables(directory)
        results = load(directory)
        if results.connections.empty:
            return Conclusion(results, (), write_report(results, ()))
        report = write_report(results, figures)
    return Conclusion(results, tuple(directory / f"{name}.png" for name in figures), report)
