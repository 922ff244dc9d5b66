"""From records to tables: whose row is whose, what the verdict is, what the columns say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import UserError
from testbed.records import ROWS, finished_runs, read_rows, write_run
from testbed.results import load, wilson_interval, write_tables
from testbed.results.held import held_of
from testbed.results.join import ABSENT, join, judge
from testbed.runner import load_experiment
from testbed.runner.experiment import written

MS = 1_000_000
EXPERIMENT = Path(__file__).parents[2] / "experiments" / "fallback.yaml"
SETTINGS = written(load_experiment(EXPERIMENT).cells[0].cell)


def client(port: int, verdict: str = "mptcp", reason: str = "none", **more: Any) -> dict[str, Any]:
    return {
        "host": "client",
        "connection": port - 21000,
        "role": "client",
        "profile": "v0",
        "local_address": "10.0.1.1",
        "local_port": port,
        "remote_address": "10.1.1.1",
        "remote_port": 20080,
        "verdict": verdict,
        "reason": reason,
        "opened_ns": 0,
        "connected_ns": 40 * MS,
        "first_byte_ns": 80 * MS,
        "done_ns": 100 * MS,
        "bytes_sent": 300,
        "bytes_received": 10_000,
        "subflows": 1,
        "retransmits": 0,
        "closed_by": "data_fin",
        "intact": True,
        **more,
    }


def server(port: int, verdict: str = "mptcp", reason: str = "none", **more: Any) -> dict[str, Any]:
    return {
        **client(port, verdict, reason),
        "host": "server",
        "role": "server",
        "local_address": "10.1.1.1",
        "local_port": 20080,
        "remote_address": "10.0.1.1",
        "remote_port": port,
        "bytes_sent": 10_000,
        "bytes_received": 300,
        **more,
    }


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (("mptcp", "none"), ("mptcp", "none"), ("mptcp", "none")),
        (("mptcp", "none"), ("fallback", "cookie_without_key"), ("fallback", "cookie_without_key")),
        (("fallback", "no_data_ack"), ("mptcp", "none"), ("fallback", "no_data_ack")),
        (("fallback", "no_data_ack"), ("fallback", "cookie_without_key"), ("fallback", "cookie_without_key")),
        (
            ("fallback", "syn_retries_exhausted"),
            ("fallback", "no_capable_in_syn"),
            ("fallback", "syn_retries_exhausted"),
        ),
        (
            ("fallback", "no_capable_in_synack"),
            ("fallback", "no_capable_in_syn"),
            ("fallback", "no_capable_in_syn"),
        ),
        (("reset", "rst_received"), ("fallback", "cookie_without_key"), ("fallback", "cookie_without_key")),
        (("reset", "aborted"), ("fallback", "no_mapping"), ("fallback", "no_mapping")),
        (("reset", "rst_received"), ("reset", "data_timed_out"), ("reset", "data_timed_out")),
        (("hang", "no_progress"), ("mptcp", "none"), ("hang", "no_progress")),
        (("reset", "rst_received"), None, ("reset", "rst_received")),
        (("tcp", "none"), ("tcp", "none"), ("tcp", "none")),
        (("unfinished", "time_limit"), ("fallback", "no_mapping"), ("unfinished", "time_limit")),
        (("unfinished", "time_limit"), None, ("unfinished", "time_limit")),
        (("reset", "rst_received"), ("hang", "no_progress"), ("reset", "rst_received")),
        (("mptcp", "none"), ("unfinished", "time_limit"), ("mptcp", "none")),
    ],
)
def test_where_the_ends_disagree(
    here: tuple[str, str], there: tuple[str, str] | None, expected: tuple[str, str]
) -> None:
    other = server(21000, *there) if there else None
    assert judge(client(21000, *here), other) == expected


def test_rows_are_joined_by_the_clients_port_and_both_ends_are_kept() -> None:
    rows = [
        client(21001),
        client(21000, "fallback", "no_data_ack"),
        server(21000, "fallback", "cookie_without_key", retransmits=2),
        server(21001),
        client(21002, "reset", "rst_received", bytes_received=0, connected_ns=None, done_ns=None),
    ]
    one, two, three = join(rows)
    assert (one["client_port"], one["verdict"], one["server_verdict"]) == (21001, "mptcp", "mptcp")
    assert (two["verdict"], two["reason"]) == ("fallback", "cookie_without_key")
    assert (two["client_reason"], two["server_reason"]) == ("no_data_ack", "cookie_without_key")
    assert two["retransmits_down"] == 2
    assert (three["verdict"], three["server_verdict"]) == ("reset", ABSENT)
    assert three["setup_ms"] is None
    assert three["goodput_mbit"] is None


def test_goodput_and_setup_time() -> None:
    (row,) = join([client(21000), server(21000)])
    assert row["setup_ms"] == 40
    assert row["goodput_mbit"] == pytest.approx(10_300 * 8 / 0.1 / 1e6)


def test_an_empty_second_connection_on_the_same_port_does_not_count() -> None:
    ghost = server(21000, "fallback", "cookie_without_key", bytes_sent=0, bytes_received=0)
    for rows in ([ghost, server(21000)], [server(21000), ghost]):
        (row,) = join([client(21000), *rows])
        assert row["verdict"] == "mptcp"


def record(
    cell: int, factors: dict[str, Any], invalid: str | None = None, attempt: int = 1
) -> dict[str, Any]:
    return {
        "run": f"{cell:03d}" + (f".try{attempt}" if attempt > 1 else ""),
        "cell": cell,
        "factors": factors,
        "settings": {**SETTINGS, "network": {"paths.*.loss.up": 5 * cell}},
        "repeat": 1,
        "try": attempt,
        "invalid": invalid,
    }


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for cell, loss in enumerate((0, "5")):
        factors = {"client.profile": "v0", "paths.*.loss.up": loss}
        rows = [client(21000), server(21000), client(21001), server(21001, "fallback", "cookie_without_key")]
        directory = tmp_path / "runs" / f"{cell:03d}"
        directory.mkdir(parents=True)
        write_run(directory, record(cell, factors), rows, {})
    directory = tmp_path / "runs" / "000.try2"
    directory.mkdir()
    factors = {"client.profile": "v0", "paths.*.loss.up": 0}
    write_run(directory, record(0, factors, "a queue overflowed", 2), [client(21000, "hang")], {})
    (tmp_path / "runs" / "002").mkdir()  # never finished
    return tmp_path


def test_tables(output: Path) -> None:
    write_tables(output)
    results = load(output)
    assert len(results.connections) == 4
    assert list(results.connections["verdict"]) == ["mptcp", "fallback"] * 2
    assert list(results.connections["paths.*.loss.up"]) == ["0", "0", "5", "5"]  # one word, so words all
    row = results.summary.iloc[0]
    assert row["connections"] == 2
    assert row["fallback"] == 1
    assert row["fallback_rate"] == 0.5
    low, high = wilson_interval(1, 2)
    assert row["fallback_low"] == pytest.approx(low, rel=1e-5)
    assert row["fallback_high"] == pytest.approx(high, rel=1e-5)
    assert row["setup_ms"] == 40
    assert row["invalid_runs"] == 1
    assert row["damaged"] == 0
    assert results.factors == ["client.profile", "paths.*.loss.up"]
    assert results.settings(1)["network"] == {"paths.*.loss.up": 5}
    assert row["fallback_expected"] == pytest.approx(0)
    assert results.summary["fallback_expected"][1] == pytest.approx(0.05 + 0.95 * 0.05**3, rel=1e-5)


def test_goodput_by_verdict_and_who_was_served(output: Path) -> None:
    row = load(output).summary.iloc[0]
    assert (row["served"], row["served_rate"], row["second_path"]) == (2, 1.0, 0)
    assert row["mptcp_goodput_mbit"] == row["fallback_goodput_mbit"] == pytest.approx(10_300 * 8e3 / 100e6)
    assert math.isnan(row["fallback_goodput_mbit_low"]), "one run counts"
    assert row[["tcp_goodput_mbit", "server_half_open_peak", "server_memory_mb"]].isna().all()


def test_a_cell_has_the_most_that_its_servers_held() -> None:
    runs: list[dict[str, Any]] = [
        {"held": {"server": {"half_open_peak": 3, "connections_peak": 9, "memory_mb": 40.5}}},
        {"held": {name: {"half_open_peak": 2, "connections_peak": 4} for name in ("one", "other")}},
        {"held": {}},
        {},
    ]
    found = held_of(runs)
    assert (found["server_half_open_peak"], found["server_connections_peak"]) == (4, 9)
    assert found["server_memory_mb"] == 40.5
    assert math.isnan(found["server_memory_growth_mb"])


def test_the_first_load_makes_the_tables(output: Path) -> None:
    assert len(load(str(output)).summary) == 2


def test_a_directory_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished runs here"):
        load(tmp_path)


def test_rows_round_trip(output: Path) -> None:
    path, _ = next(iter(finished_runs(output)))
    assert (path / ROWS).exists()
    assert read_rows(path)[0] == client(21000)
