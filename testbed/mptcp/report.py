"""What is known of a connection and of its subflows once it has ended (or so far)."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.tcp.fastopen import FastOpenOutcome


@dataclass(slots=True)
class Peaks:
    """The most that an endpoint held at once. `half_open`: connections in SYN-RECEIVED, begun by a SYN whose
    sender may not be there; one rebuilt from a cookie never is. `connections`: those and all others that are
    not forgotten."""

    half_open: int = 0
    connections: int = 0

    def note(self, half_open: int, connections: int) -> None:
        self.half_open = max(self.half_open, half_open)
        self.connections = max(self.connections, connections)


@dataclass(frozen=True, slots=True)
class SubflowReport:
    """One subflow that was established. Bytes are payload, retransmissions and copies included; `srtt` in
    ns, `cwnd` in bytes; `state` is RFC 9293's word, `reason` why it ended early; ids are None where nobody
    knows them."""

    index: int
    local: tuple[bytes, int]
    remote: tuple[bytes, int]
    local_id: int | None
    remote_id: int | None
    backup: bool
    state: str
    bytes_sent: int
    bytes_received: int
    retransmits: int
    srtt: int | None
    cwnd: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """`profile` is the one asked for (client) or agreed (server). `closed_by`: data_fin, fin, fastclose,
    rst or open. Keys and tokens are None where there is none. `subflows` counts those that were
    ever established, `paths` describes them in the order of their opening (of closed ones the last 64).
    `bytes_sent` were given to the stack, `bytes_acked` of them the peer has acknowledged. `syn_data`: bytes
    of the SYN that the server took."""

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
    bytes_acked: int
    bytes_received: int
    subflows: int
    closed_by: str
    retransmits: int
    srtt: int | None = None
    paths: tuple[SubflowReport, ...] = ()
    fast_open: FastOpenOutcome = FastOpenOutcome.NONE
    syn_data: int = 0
