"""What a DSS means: mappings of the peer's data, DATA_ACKs of ours, the DATA_FIN.

Decides which of their numbers are believed and what is freed. Whether a missing or contradicting one ends
MPTCP is decided in fallback.py. Must not build segments. Read first: RFC 8684 §3.3.1-§3.3.5.
"""

from __future__ import annotations

from testbed.mptcp import events
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.fallback import Observation
from testbed.mptcp.mapping import Mapping
from testbed.mptcp.observe import next_data, observe
from testbed.mptcp.reinject import data_acknowledged, window_opened
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.arrive import Arrival
from testbed.mptcp.wire import ACK, Dss, Segment
from testbed.mptcp.wire.checksum import dss_checksum, same_checksum
from testbed.mptcp.wire.sequence import MASK32, dsn_diff, promote, seq_diff


def take_dss(conn: Connection, sub: Subflow, now: int, segment: Segment, dss: Dss) -> None:
    if not conn.peer_dss_seen:
        conn.peer_dss_seen = conn.book.plan_due = True
    if dss.data_ack is not None:
        _take_data_ack(conn, sub, now, segment, dss)
    if dss.dsn is None or conn.remote_idsn is None:
        return
    conn.peer_dsn_8 = conn.peer_dsn_8 or dss.dsn_8
    ssn, data = place(conn, sub, dss)
    if dss.length == 0:
        conn.context.count("InfiniteMapRx")
        in_step = data + sub.pending.start - ssn == next_data(conn, sub)
        observe(conn, now, sub, Observation.INFINITE_MAPPING, in_step=in_step)
        return
    length = dss.length - dss.data_fin  # the DATA_FIN is the mapping's last octet (RFC 8684 §3.3.3)
    if length > 0:
        sub.peer_maps = True
        # A DATA_FIN counts in the length that is checksummed, but has no byte on the subflow.
        add_mapping(conn, sub, now, Mapping(ssn, data, length, dss.checksum, with_fin=dss.data_fin))
        if sub.lost or conn.mode is not Mode.MPTCP:
            return
    elif not _lone_fin_counts(conn, sub, now, dss, data):
        return
    if dss.data_fin:
        later = length and conn.checksum  # it counts when its data's checksum is known (receiving.py)
        if not later and not conn.receiver.ends_at(data + length, conn.config.receive_buffer):
            conn.context.count("DSSNotMatching")
        conn.fin_ack_due = True  # acknowledged even when seen before: our DATA_ACK may be lost


def place(conn: Connection, sub: Subflow, dss: Dss) -> tuple[int, int]:
    """Where a mapping begins: its subflow offset and its data offset, the ones closest to what comes next."""
    assert dss.dsn is not None
    near = conn.peer_dsn(conn.receiver.next)
    dsn = dss.dsn if dss.dsn_8 else promote(dss.dsn, near)
    return _ssn_offset(sub, dss.ssn), conn.receiver.next + dsn_diff(dsn, near)


def check_mapping_in_plain_tcp(conn: Connection, sub: Subflow, now: int, dss: Dss) -> None:
    """A peer that has not heard of our fallback still maps. Where that is what plain TCP does anyway, its
    bytes count; a mapping that moves them is a copy that it sent because of a DATA_ACK that no longer
    comes, so the connection is reset.

    A server that never learned the key takes the first mapping for the right one. A lone DATA_FIN and a
    DATA_ACK are ignored.
    """
    ssn = _ssn_offset(sub, dss.ssn)
    length = 1 << 62 if dss.length == 0 else dss.length - dss.data_fin
    at = max(ssn, sub.pending.start)
    mapping = sub.receive_mappings.at(at)
    if dss.dsn is None or mapping is None or ssn + length <= at:
        return  # of bytes that came before the fallback
    dsn = dss.dsn + at - ssn
    if conn.remote_idsn is None:
        conn.remote_idsn = dsn - mapping.data_at(at)
    elif (dsn - conn.peer_dsn(mapping.data_at(at))) & MASK32:  # a DSN may have 32 bits only
        conn.context.count("DSSNotMatching")
        observe(conn, now, sub, Observation.MAPPING_AFTER_FALLBACK)


def _lone_fin_counts(conn: Connection, sub: Subflow, now: int, dss: Dss, data: int) -> bool:
    """A DATA_FIN without data has a checksum over its numbers alone (RFC 8684 §3.3.3)."""
    if not _checksum_as_agreed(conn, sub, now, dss.checksum):
        return False
    expected = dss_checksum(conn.peer_dsn(data), dss.ssn, dss.length, 0)
    if not conn.checksum or dss.checksum is None or same_checksum(expected, dss.checksum):
        return True
    conn.context.count("DataCsumErr")
    observe(conn, now, sub, Observation.CHECKSUM_WRONG, data)
    return False


def _checksum_as_agreed(conn: Connection, sub: Subflow, now: int, checksum: int | None) -> bool:
    """There where it was negotiated, absent where not; False when MPTCP ends over that, here or at all."""
    if conn.checksum and checksum is None:
        observe(conn, now, sub, Observation.CHECKSUM_MISSING)
    elif not conn.checksum and checksum is not None:
        observe(conn, now, sub, Observation.CHECKSUM_UNEXPECTED)
    return not sub.lost and conn.mode is Mode.MPTCP


def _ssn_offset(sub: Subflow, ssn: int) -> int:
    """The 32-bit relative number as an unbounded offset near where we are."""
    near = sub.tcb.rcv_nxt
    return near + seq_diff(ssn, near & MASK32)


def add_mapping(conn: Connection, sub: Subflow, now: int, mapping: Mapping) -> None:
    if not _checksum_as_agreed(conn, sub, now, mapping.checksum):
        return
    if not conn.checksum and mapping.checksum is not None:
        mapping = Mapping(mapping.ssn, mapping.data, mapping.length, None, with_fin=mapping.with_fin)
    if not sub.receive_mappings.add(mapping):
        conn.context.count("DSSNotMatching")
        observe(conn, now, sub, Observation.MAPPING_CONTRADICTS)


def _take_data_ack(conn: Connection, sub: Subflow, now: int, segment: Segment, dss: Dss) -> None:
    assert dss.data_ack is not None
    sender = conn.sender
    near = conn.dsn(sender.una)
    number = dss.data_ack if dss.data_ack_8 else promote(dss.data_ack, near)
    offset = sender.una + dsn_diff(number, near)
    before = sender.una
    if not sender.acknowledge(offset):
        return
    if not conn.confirmed:
        conn.confirmed = conn.book.plan_due = True
    sub.confirmed = True
    sub.acknowledged = sub.acknowledged or sub.tcb.snd_una > 1 or sender.una > sender.first
    sub.acks_without_data_ack = 0
    blocked, edge = sender.edge <= sender.nxt, sender.edge
    sender.open_window(offset, segment.window << sub.tcb.snd_wscale)
    if blocked and sender.edge > edge:
        window_opened(conn, now)
    if sender.una > before:
        data_acknowledged(conn, now)
        free(conn)


def take_acknowledgement(
    conn: Connection,
    sub: Subflow,
    now: int,
    segment: Segment,
    dss: Dss | None,
    arrival: Arrival,
    excused: bool,
) -> None:
    """What the subflow-level ACK means above. `excused`: another signal takes a DATA_ACK's room."""
    tcb = sub.tcb
    with_data_ack = dss is not None and dss.data_ack is not None
    acks_data = bool(arrival.acked and segment.flags & ACK and tcb.snd_una > 1)
    expected = conn.mode is Mode.MPTCP and not conn.both_done  # nothing is left to acknowledge
    if with_data_ack and segment.flags & ACK and tcb.ack_offset(segment.ack) == tcb.snd_una:
        sub.data_ack_is_current = True
    elif acks_data:
        sub.data_ack_is_current = False
    answers = sub.asked and not segment.payload
    if answers:
        sub.asked = False
    if expected and (acks_data or answers) and not with_data_ack and not excused:
        sub.acks_without_data_ack += 1
        observe(conn, now, sub, Observation.ACK_WITHOUT_DATA_ACK)
    if conn.finished or sub.lost:
        return
    if arrival.window_opened:
        sub.stale = False
    if not conn.confirmed or conn.mode is Mode.TCP:
        # No DATA_ACK to relate the window to: the subflow's own acknowledgement does.
        mapping = sub.send_mappings.at(tcb.snd_una)
        base = mapping.data_at(tcb.snd_una) if mapping is not None else conn.sender.nxt
        conn.sender.open_window(base, tcb.snd_wnd)
    if conn.mode is Mode.TCP:
        _take_plain_ack(conn, sub)
    if not arrival.acked:
        return
    sub.stale = False
    sub.send_mappings.forget(tcb.snd_una)
    if sub.announce_infinite is not None and tcb.snd_una > sub.announce_infinite.ssn:
        sub.announce_infinite = None


def _take_plain_ack(conn: Connection, sub: Subflow) -> None:
    """After a fallback the subflow's acknowledgement takes the place of the DATA_ACK. That includes what was
    acknowledged before the fallback: no further acknowledgement would come for it."""
    tcb = sub.tcb
    mapping = sub.send_mappings.at(tcb.snd_una)
    at = min(tcb.snd_una, tcb.snd_end)
    acked = min(mapping.data_at(at) if mapping is not None else conn.sender.nxt, conn.sender.nxt)
    if acked > conn.sender.una:
        conn.sender.una = acked
        sub.forget_carried(acked)
        free(conn)


def free(conn: Connection) -> None:
    """Forget what was DATA_ACKed; subflows keep their own copies until they are acknowledged there too
    (RFC 8684 §3.3.2)."""
    buffer = conn.sender.buffer
    buffer.free(conn.sender.una)
    if conn.want_space and buffer.end - buffer.start <= conn.config.send_buffer // 2:
        conn.want_space = False
        conn.tell(events.SpaceFreed(conn.number))
