"""Records of runs -> connections.parquet, paths.parquet and summary.csv, and back into a notebook.

Decides the columns of all three. connections.parquet has one row per connection of every valid run, with
the cell's factors under their dotted names, paths.parquet one per subflow; summary.csv one row per cell: the
factors, how many connections, per verdict the count, its rate and the 95 % Wilson bounds, what the closed
form says, mean goodput (of all and by verdict), set-up time and duration with bounds over runs, how many were
served and had a second path, what the server held, each path's share, and what competing traffic got. Invalid
runs are counted and never averaged in; of late runs the verdicts count and the times do not (late.py). Must
not know how anything was run or drawn.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from testbed.errors import UserError
from testbed.model import Prediction
from testbed.mptcp.reasons import CUT_OFF, ENDPOINT_VERDICTS
from testbed.records import RECORD, RUNS, finished_runs, read_rows, write_atomically
from testbed.results.csv_text import read_csv, to_csv
from testbed.results.expected import closed_form, expected_of
from testbed.results.held import held_of
from testbed.results.join import connection, pairs
from testbed.results.late import counts_times, is_late, without_times
from testbed.results.paths import COLUMNS, names_of, path_rows, shares
from testbed.results.statistics import cluster_mean, wilson_interval
from testbed.results.traffic import traffic_of
from testbed.workloads import overflowed

CONNECTIONS = "connections.parquet"
PATHS = "paths.parquet"
SUMMARY = "summary.csv"
GOODPUTS = ("mptcp", "fallback", "tcp")  # verdicts whose goodput is told apart
MEANS = ("goodput_mbit", "setup_ms", "duration_ms")  # of each cell, with bounds
ENVIRONMENT = "environment.json"


@dataclass(frozen=True, slots=True)
class Results:
    """An output directory, read. `paths` has a row for each subflow. `records` are those of all finished
    runs, invalid ones included."""

    directory: Path
    connections: pd.DataFrame
    summary: pd.DataFrame
    environment: dict[str, Any]
    records: list[dict[str, Any]]
    paths: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS)))

    @property
    def factors(self) -> list[str]:
        """The dotted names of what was varied, in the experiment's order."""
        return list(self.records[0]["factors"]) if self.records else []

    def settings(self, cell: int) -> dict[str, Any]:
        """All that made a cell: topology, client, server, workload, network."""
        return dict(self._record(cell)["settings"])

    def expected(self, cell: int, loss: float | None = None, held: float | None = None) -> Prediction | None:
        """The closed form of a cell, also with other shares of loss and of packets held back (0..1)."""
        return expected_of(self._record(cell), loss, held)

    def _record(self, cell: int) -> dict[str, Any]:
        return next(record for record in self.records if record["cell"] == cell)


def load(directory: Path | str, *, rows: bool = True) -> Results:
    """Read an output directory. UserError where there are no results.

    `rows=False` leaves `connections` and `paths` empty, for callers that only need the summary: reading the
    rows takes longer than all the rest.
    """
    directory = Path(directory)
    records = [record for _, record in finished_runs(directory)]
    if not records:
        raise UserError(
            f"{directory}: no finished runs here; expected the output directory of `testbed run`, "
            "such as results/fallback-sim"
        )
    if _behind(directory):
        write_tables(directory)
    environment = {}
    if (directory / ENVIRONMENT).exists():
        environment = json.loads((directory / ENVIRONMENT).read_text(encoding="utf-8"))
    summary = read_csv(directory / SUMMARY)
    if not summarise(0, {}, {}, pd.DataFrame(), records[:1]).keys() <= set(summary.columns):
        summary = write_tables(directory)  # an earlier version wrote them
    connections, paths = (
        pd.read_parquet(directory / name) if rows else _empty(name) for name in (CONNECTIONS, PATHS)
    )
    return Results(directory, connections, summary, environment, records, paths)


def _behind(directory: Path) -> bool:
    """Whether the tables are missing, or older than a finished run (an interrupted campaign)."""
    tables = [directory / CONNECTIONS, directory / PATHS, directory / SUMMARY]
    if not all(table.exists() for table in tables):
        return True
    written = min(table.stat().st_mtime_ns for table in tables)
    newer = [path / RECORD for path, _ in finished_runs(directory)]
    if (directory / RUNS).exists():
        newer.append(directory / RUNS)
    return any(file.stat().st_mtime_ns > written for file in newer)


def write_tables(directory: Path) -> pd.DataFrame:
    """Writes all tables from the runs that are there; returns the summary."""
    frames: dict[str, list[pd.DataFrame]] = {CONNECTIONS: [], PATHS: []}
    rows = []
    cells: dict[int, list[tuple[Path, dict[str, Any]]]] = {}
    for path, record in finished_runs(directory):
        cells.setdefault(record["cell"], []).append((path, record))
    for cell, members in cells.items():
        valid = [(path, record) for path, record in members if record["invalid"] is None]
        first = members[0][1]
        names = names_of(first)
        joined: list[dict[str, Any]] = []
        subflows: list[dict[str, Any]] = []
        for path, record in valid:
            head = {"cell": cell, "run": record["run"], **first["factors"]}
            late = is_late(record)
            for client, server in pairs(read_rows(path)):
                joined.append(without_times({**head, **connection(client, server)}, late))
                subflows += [without_times({**head, **row}, late) for row in path_rows(client, server, names)]
        tables = pd.DataFrame(joined), pd.DataFrame(subflows)
        for found, table in zip(frames.values(), tables, strict=True):
            found.append(table)
        row = summarise(
            cell, first["factors"], first["settings"], tables[0], [record for _, record in members]
        )
        beside = traffic_of([record for _, record in valid if not is_late(record)], row["goodput_mbit"])
        rows.append({**row, **beside, **shares(tables[1], names.values())})
    summary = pd.DataFrame(rows)
    columns = [str(name) for name in summary.columns if str(name).endswith(".share")]
    known = summary[columns].notna().any(axis=1)  # there a path that is not named carried nothing
    summary.loc[known, columns] = summary.loc[known, columns].fillna(0.0)
    for name, parts in frames.items():
        whole = [part for part in parts if len(part)]
        _write(directory / name, pd.concat(whole, ignore_index=True) if whole else _empty(name))
    write_atomically(directory / SUMMARY, to_csv(summary, float_format="%.6g"))
    return summary


def _empty(name: str) -> pd.DataFrame:
    return pd.DataFrame(columns=list(COLUMNS)) if name == PATHS else pd.DataFrame()


def _write(path: Path, frame: pd.DataFrame) -> None:
    _uniform(frame)
    partial = path.with_name(path.name + ".partial")
    frame.to_parquet(partial, index=False)
    partial.replace(path)


def summarise(
    cell: int,
    factors: dict[str, Any],
    settings: dict[str, Any],
    frame: pd.DataFrame,
    records: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """One row of summary.csv. `frame` has the connections of the valid runs, `records` are of all."""
    total = len(frame)
    counts = Counter(frame["verdict"]) if total else Counter[str]()
    row: dict[str, Any] = {"cell": cell, **factors, "connections": total}
    for verdict in ENDPOINT_VERDICTS:
        row.update(_rate(verdict.value, counts[verdict.value], total))
    said = expected_of(records[0]) if records else closed_form(settings)
    row["expected_withheld"] = withheld = _withheld(records) if said else ""
    said = None if withheld else said
    for name in ("fallback", "reset", "hang"):  # NaN where there is no closed form
        row[f"{name}_expected"] = getattr(said, name) if said else float("nan")
    for name in MEANS:
        row.update(_mean(name, frame))
    for word in GOODPUTS:
        found = frame[frame["verdict"] == word] if total else frame
        row.update(_mean("goodput_mbit", found, f"{word}_goodput_mbit"))
    # Of the connections that ended in good order: bytes that were wrong or missing. It must be 0.
    well = frame[~frame["verdict"].isin([str(verdict) for verdict in CUT_OFF])] if total else frame
    row["damaged"] = int((~well["intact"].astype(bool)).sum()) if total else 0
    row.update(_rate("served", len(well) - row["damaged"], total))
    row.update(_rate("second_path", int((frame["subflows"] > 1).sum()) if total else 0, total))
    row.update(held_of([record for record in records if record["invalid"] is None]))
    row["invalid_runs"] = sum(record["invalid"] is not None for record in records)
    row["late"] = sum(is_late(record) for record in records)
    row["runs"] = sum(counts_times(record) for record in records)
    return row


def _withheld(records: Sequence[dict[str, Any]]) -> str:
    """Why a cell with a closed form has no expected value: its queues overflowed. '' where they did not."""
    dropped: Counter[str] = Counter()
    for record in records:
        if record["invalid"] is None:
            dropped.update(overflowed(record.get("links", {})))
    places = ", ".join(f"{count} packets on {name}" for name, count in dropped.items())
    return f"queue overflow dropped {places}" if places else ""


def _rate(name: str, count: int, total: int) -> dict[str, float]:
    """A count, the rate that it is and its Wilson bounds, under the names of its four columns."""
    low, high = wilson_interval(count, total)
    rate = count / total if total else float("nan")
    return {name: count, f"{name}_rate": rate, f"{name}_low": low, f"{name}_high": high}


def _mean(name: str, frame: pd.DataFrame, column: str = "") -> dict[str, float]:
    """The mean of `name` with its bounds over runs, under the names of its three columns."""
    column = column or name
    runs: list[np.ndarray[Any, np.dtype[np.float64]]] = []
    if len(frame):
        values = pd.to_numeric(frame[name], errors="coerce").dropna()
        runs = [part.to_numpy(dtype=np.float64) for _, part in values.groupby(frame["run"])]
    return dict(zip((column, f"{column}_low", f"{column}_high"), cluster_mean(runs), strict=True))


def _uniform(frame: pd.DataFrame) -> None:
    """Factors may mix numbers and words from cell to cell; a parquet column may not."""
    for name in frame.columns:
        kinds = {type(value) for value in frame[name].dropna()}
        if len(kinds - {int, float, bool}) and len(kinds) > 1:
            frame[name] = frame[name].map(lambda value: value if value is None else str(value))
        elif kinds & {list, dict}:
            frame[name] = frame[name].map(json.dumps)
