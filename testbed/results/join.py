"""Both ends' rows of one run -> one row per connection.

Decides which server row belongs to which client row (the client's address and port), and what the
connection's verdict is where the two disagree: `unfinished` where the client's time limit struck; `fallback`
if either end fell back; else what the client saw, since it waits for the result (a server's application waits
for longer). Both ends' verdicts and reasons are kept beside it.
Must not know how rows were made. The words are those of testbed/mptcp/reasons.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from testbed.mptcp.reasons import CONSEQUENCES, Reason, Verdict

Row = Mapping[str, Any]

ABSENT = "absent"  # the server's verdict on a connection that it never had
TIMES = ("setup_ms", "duration_ms", "goodput_mbit")  # what a late machine falsifies


def join(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One row per client row, in the client's order."""
    return [connection(client, server) for client, server in pairs(rows)]


def pairs(rows: Iterable[Row]) -> list[tuple[Row, Row | None]]:
    """Every client row with the server's row of the same connection; None where it never had one."""
    clients: list[Row] = []
    servers: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        if row["role"] == "client":
            clients.append(row)
        else:
            servers[row["remote_address"], row["remote_port"]].append(row)
    joined: list[tuple[Row, Row | None]] = []
    for client in clients:
        candidates = servers.get((client["local_address"], client["local_port"]), [])
        # A late packet may have begun a second, empty connection there: the one that moved data counts.
        server = max(candidates, key=_weight, default=None)
        if server is not None:
            candidates.remove(server)
        joined.append((client, server))
    return joined


def _weight(row: Row) -> int:
    return int(row.get("bytes_received") or 0) + int(row.get("bytes_sent") or 0)


def connection(client: Row, server: Row | None) -> dict[str, Any]:
    """The row of connections.parquet."""
    verdict, reason = judge(client, server)
    there: Row = server or {}
    opened, connected = client.get("opened_ns"), client.get("connected_ns")
    done = client.get("done_ns")
    received = client.get("bytes_received") or 0
    # Without a row of the server's (behind a NAT it has another port): what was acknowledged.
    sent = there.get("bytes_received", client.get("bytes_sent")) or 0
    lasted = done - opened if done is not None and opened is not None else 0
    return {
        "connection": client["connection"],
        "profile": client["profile"],
        "client_address": client["local_address"],
        "client_port": client["local_port"],
        "server_address": client["remote_address"],
        "server_port": client["remote_port"],
        "verdict": verdict,
        "reason": reason,
        "client_verdict": client["verdict"],
        "client_reason": client["reason"],
        "server_verdict": there.get("verdict", ABSENT),
        "server_reason": there.get("reason", Reason.NONE.value),
        "opened_ns": opened,
        "connected_ns": connected,
        "first_byte_ns": client.get("first_byte_ns"),
        "done_ns": done,
        "setup_ms": (connected - opened) / 1e6 if connected is not None and opened is not None else None,
        # From the SYN to the last byte that this client had to verify, or to have acknowledged.
        "duration_ms": lasted / 1e6 if lasted > 0 else None,
        # Bytes that reached an application, both ways, over the time from the SYN to the last of them.
        "goodput_mbit": (received + sent) * 8e3 / lasted if lasted > 0 and received + sent else None,
        "bytes_up": sent,
        "bytes_down": received,
        "subflows": client.get("subflows"),
        "retransmits_up": client.get("retransmits"),
        "retransmits_down": there.get("retransmits"),
        "fast_open": client.get("fast_open"),
        "syn_data": client.get("syn_data"),
        "closed_by": client.get("closed_by"),
        "intact": bool(client.get("intact")) and bool(there.get("intact", True)),
    }


def judge(client: Row, server: Row | None) -> tuple[str, str]:
    """The connection's verdict and reason from both ends'."""
    here = (str(client["verdict"]), str(client["reason"]))
    if server is None:
        return here
    there = (str(server["verdict"]), str(server["reason"]))
    if here[0] == Verdict.UNFINISHED:
        return here
    fallback = Verdict.FALLBACK.value
    if here[0] == fallback and (there[0] != fallback or here[1] not in CONSEQUENCES):
        return here
    if there[0] == fallback:
        return there
    if here[0] == there[0] and here[1] in CONSEQUENCES:
        return there if there[1] != Reason.NONE.value else here
    return here
