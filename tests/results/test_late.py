"""Late runs: verdicts count, times do not; and what is said where a mean has no interval."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.cli.show import note_lines, summary_table
from testbed.figures import write_report
from testbed.records import write_run
from testbed.results import Results, interval_lines, late_lines, load
from testbed.results.late import without_times
from tests.results.test_store import MS, SETTINGS, client, server

LATE = [{"key": "late_p50", "value": 3.0, "text": "half of the packets were 3 ms late"}]


def directory(folder: Path, runs: list[tuple[int, list[dict[str, Any]] | None, int]]) -> Results:
    """One connection in each run: cell, why it is late, set-up time in ms."""
    for number, (cell, late, setup) in enumerate(runs):
        home = folder / "runs" / f"{number:03d}"
        home.mkdir(parents=True)
        record = {
            "run": home.name,
            "cell": cell,
            "factors": {"client.profile": f"p{cell}"},
            "settings": SETTINGS,
            "repeat": number + 1,
            "try": 1,
            "invalid": None,
            "late": late,
            "traffic": [{"goodput_mbit": 1.0 if late else 5.0}],
        }
        rows = [client(21000, connected_ns=setup * MS, done_ns=2 * setup * MS), server(21000)]
        write_run(home, record, rows, {})
    (folder / "environment.json").write_text('{"question": "How late?"}')
    return load(folder)


def test_a_late_run_keeps_its_verdicts_and_loses_its_times(tmp_path: Path) -> None:
    results = directory(tmp_path, [(0, None, 20), (0, LATE, 91), (0, None, 22)])
    row = results.summary.iloc[0]
    assert (row["connections"], row["mptcp"], row["late"], row["runs"]) == (3, 3, 1, 2)
    assert row["setup_ms"] == pytest.approx(21)
    assert row["rival_mbit"] == pytest.approx(5)
    frame = results.connections.set_index("run")
    assert list(frame["late"]) == [False, True, False]
    assert math.isnan(frame.loc["001", "setup_ms"])
    assert math.isnan(frame.loc["001", "goodput_mbit"])
    assert frame.loc["001", "connected_ns"] == 91 * MS, "raw samples are kept"
    assert frame.loc["000", "setup_ms"] == 20
    assert "late runs" in summary_table(results)
    said = "\n".join(late_lines(results))
    assert "1 of 3 runs were too late for times" in said
    assert "half of the packets were 3 ms late" in said
    assert "fidelity.late_p50" in said
    assert "--net sim" in said


def test_a_cell_whose_runs_are_all_late_has_rates_and_no_times(tmp_path: Path) -> None:
    results = directory(tmp_path, [(0, LATE, 91), (0, LATE, 55), (1, None, 20), (1, None, 21)])
    first, second = results.summary.to_dict("records")
    assert (first["mptcp_rate"], first["late"], first["runs"]) == (1.0, 2, 0)
    assert math.isnan(first["setup_ms"])
    assert not math.isnan(second["setup_ms_low"])
    line = summary_table(results).splitlines()[2]
    assert "nan" not in line
    assert " - " in line
    assert "nan" not in write_report(results, []).read_text()
    assert "1 cell has no run whose times count" in " ".join(note_lines(results))


def test_one_run_per_cell_says_how_many_repeats_are_needed(tmp_path: Path) -> None:
    results = directory(tmp_path, [(0, None, 20), (1, None, 91)])
    assert results.summary["setup_ms_low"].isna().all()
    assert list(results.summary["setup_ms"]) == [20, 91]
    (line,) = interval_lines(results)
    assert "2 of 2 cells have one run" in line
    assert "at least 3 are needed" in line
    assert "--set repeats=" in line


def test_records_of_an_earlier_version_are_not_late(tmp_path: Path) -> None:
    results = directory(tmp_path, [(0, None, 20), (0, None, 22), (0, None, 24)])
    assert late_lines(results) == []
    assert interval_lines(results) == []
    row = results.summary.iloc[0]
    assert row["setup_ms_low"] < 20
    assert row["setup_ms_high"] > 24


NAMES = ["setup_ms", "duration_ms", "goodput_mbit", "srtt_ms", "n"]


@settings(deadline=None)
@given(st.booleans(), st.dictionaries(st.sampled_from(NAMES), st.floats(0, 9)))
def test_only_times_are_left_out(late: bool, row: dict[str, float]) -> None:
    left = without_times(dict(row), late)
    for name, value in row.items():
        assert left[name] == (None if late and name != "n" else value)
    assert left["late"] is late
