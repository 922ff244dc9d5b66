"""How much of a segment its options take, and what is left for payload.

Decides the sizes that assign.py commits to before outgoing.py writes the options, so both must agree.
Read first: RFC 9293 §3.7.1 (the MSS does not count options), RFC 8684 §3.3.
"""

from __future__ import annotations

from testbed.mptcp.config import Profile
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.subflow import Subflow

TIMESTAMP_BYTES = 10
CAPABLE_WITH_DATA_BYTES = 22
LARGEST_FRAME = 65_535
MILLISECOND = 1_000_000
NEAR = 512_000  # ns of RTT; each halves what a frame may have beyond a millisecond's worth


def payload_room(conn: Connection, sub: Subflow, capable: bool) -> int:
    """Payload bytes of one packet beside its options. `capable`: the mapping travels in MP_CAPABLE."""
    return sub.tcb.mss - ((_option_bytes(conn, sub, capable) + 3) & ~3)


def frame_room(conn: Connection, sub: Subflow, room: int) -> int:
    """Payload bytes of one large frame: a whole number of packets that carry `room` each.

    No more than the subflow sends in a millisecond, but two packets: a frame goes on one subflow as a
    whole, and a slow one would take long over it. Near a peer, where the time is short anyhow, more.
    """
    size = min(conn.config.gso_max_size, LARGEST_FRAME)
    if not size:
        return room
    rtt = sub.tcb.rtt
    if rtt.srtt:
        most = sub.tcb.cc.cwnd * MILLISECOND // rtt.srtt + (size >> (rtt.min_rtt or rtt.srtt) // NEAR)
        if most < size:
            size = max(most, 2 * sub.tcb.mss + 60)
    headers = (60 if sub.tcb.ipv6 else 40) + sub.tcb.mss - room
    return max((size - headers) // room, 1) * room


def _option_bytes(conn: Connection, sub: Subflow, capable: bool) -> int:
    size = TIMESTAMP_BYTES if sub.tcb.ts_on else 0
    checksum = 2 if conn.checksum else 0
    if conn.mode is not Mode.TCP:
        if capable:
            return size + CAPABLE_WITH_DATA_BYTES + checksum
        return size + 4 + data_ack_bytes(conn) + (8 if dsn_8(conn) else 4) + 6 + checksum
    if sub.announce_infinite is not None:
        return size + 4 + (8 if dsn_8(conn) else 4) + 6 + checksum
    return size


def dsn_8(conn: Connection) -> bool:
    """4-byte DSNs from a draft server until the client is heard of: its answers then fit beside
    MP_CAPABLE (the draft §3.1.2 leaves no room for 8)."""
    if conn.mptcp.dsn_bytes == 4:
        return False
    return not (conn.profile is Profile.DRAFT and conn.role == "server" and not conn.peer_dss_seen)


def data_ack_bytes(conn: Connection) -> int:
    """0 until the peer's key is known: there is nothing to acknowledge in (draft §3.1.2, TFO).
    64-bit numbers are answered by 64-bit numbers (RFC 8684 §3.3.1)."""
    if conn.remote_idsn is None or conn.mode is Mode.TCP:
        return 0
    return 8 if conn.mptcp.dsn_bytes == 8 or conn.peer_dsn_8 else 4
