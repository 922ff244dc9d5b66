"""Traffic beside what is measured: how much of it arrived, and when; of a flood, how much of it went.

Decides how a sink keeps account (a mark about every MARK nanoseconds) and what counts as a rival's goodput:
what arrived between the first SYN of the measured clients and the last byte of their connections, whatever
the rival did before and after. Must not know which hosts compete, or why (testbed/runner/traffic.py).
Read first: server.py, outcome.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from testbed.mptcp.config import MILLISECOND
from testbed.workloads.outcome import Row
from testbed.workloads.server import RequestServer
from testbed.workloads.spec import HostSpec
from testbed.workloads.transfer import Transfer

if TYPE_CHECKING:
    from testbed.mptcp.endpoint import Endpoint

MARK = 100 * MILLISECOND
Marks = Sequence[Sequence[int]]  # (time, bytes so far), both growing


class Sink(RequestServer):
    """A server whose rows have one key more, `marks`."""

    def __init__(self, spec: HostSpec) -> None:
        super().__init__(spec)
        self._marks: dict[int, list[tuple[int, int]]] = {}

    def _read(self, now: int, endpoint: Endpoint, transfer: Transfer) -> None:
        super()._read(now, endpoint, transfer)
        marks = self._marks.setdefault(transfer.index, [(transfer.opened, 0)])
        if len(marks) > 1 and now - marks[-2][0] < MARK:
            marks.pop()  # the last one always says how it stands now
        marks.append((now, transfer.received))

    def rows(self, endpoint: Endpoint) -> list[Row]:
        return [
            {**row, "marks": self._marks.get(int(str(row["connection"])), [])}
            for row in super().rows(endpoint)
        ]


def carried(rows: Iterable[Mapping[str, Any]], background: Sequence[Mapping[str, Any]]) -> list[Row]:
    """For a run's record: what each rival got while the measured clients ran, in the order of the rivals.

    `from` and `to` are hosts; `bytes` and `goodput_mbit` are of that time alone. Floods come behind them,
    with what flood.py counted.
    """
    floods = [row for row in background if row["role"] == "flood"]
    return _goodputs(rows, background) + [
        {"from": flood["host"], **{key: flood[key] for key in flood if key not in ("host", "role")}}
        for flood in floods
    ]


def _goodputs(rows: Iterable[Mapping[str, Any]], background: Sequence[Mapping[str, Any]]) -> list[Row]:
    if not background:
        return []
    opened = [row["opened_ns"] for row in rows if row["role"] == "client"]
    ended = [row["done_ns"] for row in rows if row["done_ns"] is not None]
    if not opened or not ended:
        return []
    begin, end = min(opened), max(ended)
    sinks: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in background:
        if row["role"] == "server":
            sinks.setdefault((row["remote_address"], row["remote_port"]), []).append(row)
    found: list[Row] = []
    for row in background:
        if row["role"] == "client":
            there = sinks.get((row["local_address"], row["local_port"]), [])
            count = sum(_by(end, sink["marks"]) - _by(begin, sink["marks"]) for sink in there)
            found.append(
                {
                    "from": row["host"],
                    "to": there[0]["host"] if there else None,
                    "profile": row["profile"],
                    "bytes": round(count),
                    "goodput_mbit": count * 8e3 / (end - begin) if end > begin else None,
                    "retransmits": row["retransmits"],
                }
            )
    return found


def _by(time: int, marks: Marks) -> float:
    """Bytes that had arrived by `time`; between two marks evenly."""
    after = bisect_left(marks, time, key=lambda mark: mark[0])
    if after == 0:
        return 0
    if after == len(marks):
        return marks[-1][1]
    (t0, had), (t1, has) = marks[after - 1], marks[after]
    return had + (has - had) * (time - t0) / (t1 - t0)
