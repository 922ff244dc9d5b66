"""The subflows of a connection as plain values: what rows of runs and results of the programs hold of each.

Decides the columns, and the word for how a subflow ended. Knows nothing of how either is stored.
"""

from __future__ import annotations

import functools
import ipaddress

from testbed.mptcp.reasons import Reason
from testbed.mptcp.report import ConnectionReport, SubflowReport
from testbed.mptcp.tcp.state import State

PathRow = dict[str, object]

OPEN, CLOSED = "open", "closed"
OVER = (State.CLOSED.value, State.TIME_WAIT.value)


def path_rows(report: ConnectionReport, reason: Reason) -> list[PathRow]:
    """One per subflow that was established, in the order of opening. Bytes are payload, copies included;
    `reason` is the connection's. `ended`: open, closed (in good order), or the reason."""
    return [
        {
            "subflow": path.index,
            "local_address": address_text(path.local[0]),
            "local_port": path.local[1],
            "remote_address": address_text(path.remote[0]),
            "remote_port": path.remote[1],
            "local_id": path.local_id,
            "remote_id": path.remote_id,
            "backup": path.backup,
            "bytes_sent": path.bytes_sent,
            "bytes_received": path.bytes_received,
            "retransmits": path.retransmits,
            "srtt_ns": path.srtt,
            "cwnd": path.cwnd,
            "ended": _ended(path, report.closed_by, reason),
        }
        for path in report.paths
    ]


def _ended(path: SubflowReport, closed_by: str, reason: Reason) -> str:
    if path.reason is not Reason.NONE:
        return path.reason.value
    if closed_by == "open":
        return CLOSED if path.state in OVER else OPEN
    return CLOSED if closed_by in ("data_fin", "fin") else reason.value


@functools.cache
def address_text(address: bytes) -> str:
    return str(ipaddress.ip_address(address))
