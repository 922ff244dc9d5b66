"""What is known of a connection once it has ended (or so far)."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mptcp.reasons import Reason, Verdict


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """`profile` is the one asked for (client) or agreed (server). `closed_by`: data_fin, fin, fastclose,
    rst, timeout, or open. Keys and tokens are None where there is none."""

    profile: str
    role: str
    local: tuple[bytes, int]
    remote: tuple[bytes, int]
    verdict: Verdict
    reason: Reason
    local_key: int | None
    remote_key: int | None
    local_token: int | None
    remote_token: int | None
    bytes_sent: int
    bytes_received: int
    subflows: int
    closed_by: str
    retransmits: int
    srtt: int | None = None
