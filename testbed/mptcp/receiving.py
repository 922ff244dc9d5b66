"""From subflow bytes in order to connection bytes in order.

Decides which bytes have a mapping, checks DSS checksums, and hands bytes to the data level. Must not
look at options. Read first: RFC 8684 §3.3.1, §3.7.
"""

from __future__ import annotations

from testbed.mptcp import events
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.fallback import Action, Observation
from testbed.mptcp.mapping import Mapping
from testbed.mptcp.observe import observe
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.wire.checksum import dss_checksum, residue, same_checksum


def deliver_at_once(conn: Connection, sub: Subflow, data: bytes) -> bool:
    """The usual case without a copy: nothing waits, and one mapping without a checksum covers the bytes."""
    pending = sub.pending
    if pending.end > pending.start or conn.mode is Mode.NEGOTIATING or conn.finished:
        return False
    mapping = sub.receive_mappings.at(pending.start)
    if mapping is None or mapping.left(pending.start) < len(data):
        return False
    if mapping.checksum is not None and conn.mode is Mode.MPTCP:
        return False
    at = mapping.data_at(pending.start)
    pending.start = pending.end = pending.start + len(data)
    if _take(conn, at, data):
        sub.unmapped = 0
        conn.tell(events.DataArrived(conn.number))
    sub.receive_mappings.forget(pending.start)
    return True


def deliver(conn: Connection, sub: Subflow, now: int) -> None:
    """Map and pass up as much of the subflow's `pending` as can be; the rest waits for its mapping."""
    pending = sub.pending
    fresh = 0
    while pending.end > pending.start and not conn.finished:
        mapping = sub.receive_mappings.at(pending.start)
        if mapping is None:
            if not _without_mapping(conn, sub, now):
                break
            continue
        have = pending.end - pending.start
        left = mapping.left(pending.start)
        if mapping.checksum is not None and conn.mode is Mode.MPTCP:
            if have < left:
                break  # a checksum covers its whole mapping
            if _checksum_holds(conn, sub, mapping):
                end = mapping.data_at(pending.start) + left
                if mapping.with_fin and not conn.receiver.ends_at(end, conn.config.receive_buffer):
                    conn.context.count("DSSNotMatching")
            else:
                conn.context.count("DataCsumErr")
                seen = observe(conn, now, sub, Observation.CHECKSUM_WRONG, mapping.data)
                if seen.action is Action.RESET:
                    break
                # the only subflow: its bytes count as they are (RFC 8684 §3.7)
        fresh += _pass_up(conn, sub, mapping.data_at(pending.start), min(have, left))
        sub.receive_mappings.forget(pending.start)
    if fresh:
        sub.unmapped = 0
        conn.tell(events.DataArrived(conn.number))


def _without_mapping(conn: Connection, sub: Subflow, now: int) -> bool:
    """True when there is more to do: a decision made the bytes deliverable, or they were dropped.

    Bytes in front of others that have a mapping will not get one any more: their option was lost. They are
    dropped without a DATA_ACK, so that the peer sends them again with a new mapping (RFC 8684 §3.3.6), as
    Linux does. A receive window of such bytes, with nothing that came in order between, is too much.
    """
    if conn.mode is not Mode.MPTCP:
        return False  # the third packet has not been judged yet
    pending = sub.pending
    held = sub.unmapped + pending.end - pending.start
    overdue = held + sub.tcb.mss > conn.config.receive_buffer  # no room for one more segment
    following = sub.receive_mappings.next_start(pending.start)
    if not overdue and following is not None and not sub.confirmed:
        # A mapping for later bytes exists: some option in between was lost or moved.
        conn.context.count("DSSNoMatchTCP")
    seen = Observation.MAPPING_OVERDUE if overdue else Observation.DATA_WITHOUT_MAPPING
    action = observe(conn, now, sub, seen).action
    if action is Action.STAY and following is not None and following < pending.end:
        sub.unmapped += following - pending.start
        pending.free(following)
        return True
    return action is Action.FALL_BACK


def _checksum_holds(conn: Connection, sub: Subflow, mapping: Mapping) -> bool:
    assert mapping.length is not None
    assert mapping.checksum is not None
    payload = sub.pending.read(mapping.ssn, mapping.length)
    length = mapping.length + mapping.with_fin
    expected = dss_checksum(conn.peer_dsn(mapping.data), mapping.ssn & 0xFFFF_FFFF, length, residue(payload))
    return same_checksum(expected, mapping.checksum)


def _pass_up(conn: Connection, sub: Subflow, data: int, count: int) -> int:
    """Move `count` bytes up as the connection's from offset `data`; bytes newly in order."""
    payload = sub.pending.read(sub.pending.start, count)
    sub.pending.free(sub.pending.start + count)
    return _take(conn, data, payload)


def _take(conn: Connection, data: int, payload: bytes) -> int:
    """Hand bytes to the data level; how many are newly in order there."""
    receiver = conn.receiver
    if conn.mode is Mode.MPTCP:
        end = max(receiver.adv, receiver.next + conn.receive_space())
        end = end if receiver.fin is None else min(end, receiver.fin)
        if data + len(payload) > end:
            payload = payload[: max(end - data, 0)]
        if not payload or (receiver.reassembly.full and data > receiver.next):
            # Outside the receive window (RFC 8684 §3.3.4) or behind the DATA_FIN: dropped, no DATA_ACK.
            conn.context.count("NoDSSInWindow")
            return 0
    if data < receiver.next:
        conn.context.count("DuplicateData")
    elif data > receiver.next:
        conn.context.count("OFOQueue")
    return receiver.take(data, payload)
