"""The subflows of joined connections: one row each, and how the paths shared the work.

Decides which subflow of the server's is which of the client's (the four-tuple), which path of the topology
a subflow took (the one with its two addresses, else it is named by them), and what a share is: of the
payload that arrived on all subflows of the connection, copies included.
Must not know how rows were made. Read first: join.py, testbed/workloads/path_rows.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from testbed.results.join import Row

Names = Mapping[tuple[str, str], str]  # client's and server's address -> the topology's name of the path

COLUMNS = (
    "connection",
    "subflow",
    "path",
    "client_address",
    "client_port",
    "server_address",
    "server_port",
    "client_id",
    "server_id",
    "backup",
    "bytes_up",
    "bytes_down",
    "share",
    "share_up",
    "share_down",
    "retransmits_up",
    "retransmits_down",
    "srtt_ms",
    "ended",
)


def names_of(record: Row) -> Names:
    """From a run's record; empty where an earlier version wrote it."""
    return {(ends["client"], ends["server"]): name for name, ends in record.get("paths", {}).items()}


def path_rows(client: Row, server: Row | None, names: Names) -> list[dict[str, Any]]:
    """One row per subflow of the client's, in the order of opening. Without the server's own account what
    the client sent counts as carried."""
    there = {_remote(path) + _local(path): path for path in (server or {}).get("paths", ())}
    rows = [
        _row(path, there.get(_local(path) + _remote(path), {}), names) for path in client.get("paths", ())
    ]
    up, down = (sum(row[name] for row in rows) for name in ("bytes_up", "bytes_down"))
    for row in rows:
        row["connection"] = client["connection"]
        row["share"] = _part(row["bytes_up"] + row["bytes_down"], up + down)
        row["share_up"] = _part(row["bytes_up"], up)
        row["share_down"] = _part(row["bytes_down"], down)
    return [{name: row[name] for name in COLUMNS} for row in rows]


def _local(path: Row) -> tuple[Any, ...]:
    return path["local_address"], path["local_port"]


def _remote(path: Row) -> tuple[Any, ...]:
    return path["remote_address"], path["remote_port"]


def _row(here: Row, there: Row, names: Names) -> dict[str, Any]:
    ends = here["local_address"], here["remote_address"]
    return {
        "subflow": here["subflow"],
        "path": names.get(ends, "-".join(ends)),
        "client_address": ends[0],
        "client_port": here["local_port"],
        "server_address": ends[1],
        "server_port": here["remote_port"],
        "client_id": here["local_id"],
        "server_id": here["remote_id"],
        "backup": bool(here["backup"] or there.get("backup")),
        "bytes_up": there.get("bytes_received", here["bytes_sent"]),
        "bytes_down": here["bytes_received"],
        "retransmits_up": here["retransmits"],
        "retransmits_down": there.get("retransmits"),
        "srtt_ms": None if here["srtt_ns"] is None else here["srtt_ns"] / 1e6,
        "ended": here["ended"],
    }


def _part(count: int, total: int) -> float | None:
    return count / total if total else None


def shares(frame: pd.DataFrame, names: Iterable[str]) -> dict[str, float]:
    """Of a cell's payload, both ways: what each path carried, those that carried nothing included."""
    carried = dict.fromkeys(names, 0)
    if len(frame):
        moved = (frame["bytes_up"] + frame["bytes_down"]).groupby(frame["path"], sort=False).sum()
        carried |= {str(name): int(count) for name, count in moved.items()}
    total = sum(carried.values())
    return {
        f"paths.{name}.share": count / total if total else float("nan") for name, count in carried.items()
    }


def share_columns(summary: pd.DataFrame) -> dict[str, str]:
    """Column -> path, where any cell used more than one; else none."""
    found = {
        str(name): str(name).removeprefix("paths.").removesuffix(".share")
        for name in summary.columns
        if str(name).startswith("paths.") and str(name).endswith(".share")
    }
    several = any(((summary[name] > 0) & (summary[name] < 1)).any() for name in found)
    return found if several else {}
