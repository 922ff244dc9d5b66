"""One run's record on disk: written by the runner's workers, read by the results. Atomic, and last.

Decides the files of `runs/RUN_ID/` and what makes a run finished: `record.json` is there. It is written
under another name, flushed to the disk and renamed, after the rows, so that an interrupt or `kill -9`
leaves a whole record or none. In the simulator it holds nothing but what the seed decides, so that the same
seed gives the same bytes; wall-clock times are in `timing.json` beside it.
`runs.json` beside `runs/` lists the runs that belong to the experiment as it is now: a directory may hold
others, of an earlier version of the code or of the experiment. Without that file all runs belong to it.
Must not know how runs are made or judged, and imports nothing heavy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

RECORD = "record.json"
ROWS = "rows.json"
TIMING = "timing.json"
LOG = "run.log"
FAILURE = "failure.txt"
RUNS = "runs.json"


def write_atomically(path: Path, text: str) -> None:
    """All of `text` under `path`, or what was there before."""
    beside = path.with_name(path.name + ".partial")
    with open_new(beside) as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def open_new(path: Path, mode: int = 0o666) -> BinaryIO:
    """A new file under `path`, in place of an old one. A symbolic link there is replaced and not followed."""
    path.unlink(missing_ok=True)
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode), "wb"
    )


def write_run(
    directory: Path, record: dict[str, Any], rows: Iterable[dict[str, Any]], timing: dict[str, Any]
) -> None:
    """Rows and times first, the record last."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = {"columns": columns, "rows": [[row.get(key) for key in columns] for row in rows]}
    write_atomically(directory / ROWS, json.dumps(table, separators=(",", ":")))
    write_atomically(directory / TIMING, json.dumps(timing, indent=1))
    write_atomically(directory / RECORD, json.dumps(record, indent=1))


def read_record(directory: Path) -> dict[str, Any] | None:
    """The record of a finished run; None for one that never finished."""
    try:
        record: dict[str, Any] = json.loads((directory / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return record


def read_rows(directory: Path) -> list[dict[str, Any]]:
    table = json.loads((directory / ROWS).read_text(encoding="utf-8"))
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def every_run(output: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every finished run in an output directory, listed in runs.json or not, in the order of names."""
    for directory in sorted((output / "runs").glob("*/")):
        record = read_record(directory)
        if record is not None:
            yield directory, record


def finished_runs(output: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every finished run of the experiment in an output directory, in the order of cells, repeats, parts and
    tries. Where runs.json gives a run another place in the experiment than its record, runs.json counts."""
    listed = _listed(output)
    found = []
    for directory, record in every_run(output):
        if listed is not None:
            if directory.name not in listed:
                continue
            record = _placed(record, listed[directory.name])
        place = (record["cell"], record["repeat"], record.get("part", 1), record["try"])
        found.append((place, directory, record))
    for _, directory, record in sorted(found, key=lambda entry: entry[0]):
        yield directory, record


def write_listed(output: Path, runs: Iterable[dict[str, Any]]) -> None:
    """runs.json: for each execution `names` (of its tries), `cell`, `factors`, `expect`, `repeat`, `part`."""
    path = output / RUNS
    text = json.dumps({"runs": list(runs)}, indent=1) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:  # its time says when tables are old
        write_atomically(path, text)


def _listed(output: Path) -> dict[str, dict[str, Any]] | None:
    try:
        entries = json.loads((output / RUNS).read_text(encoding="utf-8"))["runs"]
    except FileNotFoundError:
        return None
    return {name: entry for entry in entries for name in entry["names"]}


def _placed(record: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    keys = ("cell", "factors", "repeat", "part")
    settings = {**record["settings"], "expect": entry["expect"]}
    return {**record, **{key: entry[key] for key in keys}, "settings": settings}
