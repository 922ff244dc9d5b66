"""Subflows in the tables: whose is whose, which path it took, what it carried."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.cli.show import summary_table
from testbed.records import write_run
from testbed.results import load
from testbed.results.paths import COLUMNS, names_of, path_rows, share_columns, shares
from tests.results.test_store import SETTINGS, client, server

NAMES = {number: {"client": f"10.0.{number}.1", "server": f"10.1.{number}.1"} for number in "12"}
MORE = {"srtt_ns": 21_000_000, "cwnd": 14_600, "ended": "closed", "backup": False}


def path(number: int, sent: int, received: int, turned: bool = False, **more: Any) -> dict[str, Any]:
    """A subflow between the addresses of a path; turned: as the server has it."""
    near = {"address": f"10.0.{number}.1", "port": 21000, "id": number - 1}
    far = {"address": f"10.1.{number}.1", "port": 20080, "id": 10 * (number - 1)}
    local, remote = (far, near) if turned else (near, far)
    return {
        "subflow": number - 1,
        **{f"local_{name}": value for name, value in local.items()},
        **{f"remote_{name}": value for name, value in remote.items()},
        "bytes_sent": sent,
        "bytes_received": received,
        "retransmits": number,
        **MORE,
        **more,
    }


def both(one: int, two: int) -> list[dict[str, Any]]:
    """An upload; on the second path a fifth more was sent than arrived."""
    return [
        client(21000, paths=[path(1, one, 0), path(2, two + two // 5, 0)]),
        server(21000, paths=[path(2, 0, two, turned=True, subflow=7), path(1, 0, one, turned=True)]),
    ]


def test_both_ends_are_put_together_by_their_addresses() -> None:
    first, second = path_rows(*both(3000, 1000), names_of({"paths": NAMES}))
    assert tuple(first) == COLUMNS
    assert (first["path"], first["subflow"], second["path"], second["subflow"]) == ("1", 0, "2", 1)
    assert (first["bytes_up"], second["bytes_up"]) == (3000, 1000)  # what arrived, not what was sent
    assert (first["share"], second["share"]) == (0.75, 0.25)
    assert (first["share_up"], first["share_down"]) == (0.75, None)
    assert (second["client_id"], second["server_id"]) == (1, 10)
    assert (second["retransmits_up"], second["retransmits_down"], second["srtt_ms"]) == (2, 2, 21.0)


def test_without_the_servers_account_what_was_sent_counts() -> None:
    (first, second) = path_rows(both(3000, 1000)[0], None, {})
    assert (first["bytes_up"], second["bytes_up"]) == (3000, 1200)
    assert second["retransmits_down"] is None


def test_a_path_that_has_no_name_is_called_by_its_addresses() -> None:
    crossed = path(1, 5, 5, remote_address="10.1.2.1")
    (row,) = path_rows(client(21000, paths=[crossed]), None, names_of({"paths": NAMES}))
    assert row["path"] == "10.0.1.1-10.1.2.1"
    assert names_of({}) == {}


def test_rows_of_an_earlier_version_have_no_paths() -> None:
    assert path_rows(client(21000), server(21000), {}) == []
    assert all(math.isnan(value) for value in shares(pd.DataFrame(), ["1"]).values())


@pytest.mark.parametrize(
    ("cells", "shown"),
    [([1.0, 1.0], False), ([0.0, 1.0], False), ([float("nan")], False), ([1.0, 0.75], True)],
)
def test_shares_are_shown_where_there_was_something_to_share(cells: list[float], shown: bool) -> None:
    summary = pd.DataFrame({"paths.1.share": cells, "paths.1.rate": cells})
    assert share_columns(summary) == ({"paths.1.share": "1"} if shown else {})


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for cell, (one, two) in enumerate([(3000, 1000), (4000, 0)]):
        rows = both(one, two)
        directory = tmp_path / "runs" / f"{cell:03d}"
        directory.mkdir(parents=True)
        record = {
            "run": directory.name,
            "cell": cell,
            "factors": {"client.mptcp.scheduler": ("lowest_rtt", "redundant")[cell]},
            "settings": SETTINGS,
            "repeat": 1,
            "try": 1,
            "invalid": None,
            "paths": NAMES,
        }
        write_run(directory, record, rows, {})
    return tmp_path


def test_the_share_per_path_is_one_line_in_a_notebook(output: Path) -> None:
    share = load(output).paths.groupby(["client.mptcp.scheduler", "path"])["share"].mean()
    assert dict(share) == {
        ("lowest_rtt", "1"): 0.75,
        ("lowest_rtt", "2"): 0.25,
        ("redundant", "1"): 1.0,
        ("redundant", "2"): 0.0,
    }


def test_the_summary_has_the_shares_and_the_table_shows_them(output: Path) -> None:
    results = load(output)
    assert list(results.summary["paths.1.share"]) == [0.75, 1.0]
    assert list(results.summary["paths.2.share"]) == [0.25, 0.0]
    head, _, first, second, last = summary_table(results).splitlines()
    assert head.endswith("path 1 %  path 2 %")
    assert first.split()[-2:] == ["75.0", "25.0"]
    assert second.split()[-2:] == ["100.0", "0.0"]
    # All had one verdict, so that a column of it would say nothing.
    assert "mptcp %" not in head
    assert last == "2 connections, verdict mptcp"


def test_tables_of_an_earlier_version_are_made_again(output: Path) -> None:
    load(output)
    (output / "paths.parquet").unlink()
    assert len(load(output).paths) == 4
