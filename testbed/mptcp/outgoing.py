"""What leaves a connection now: SYN, data, ACK or RST, and the options on it.

Decides which options a segment carries and in which form, within 40 bytes. When and how much TCP may
send is tcp/output.py's. Read first: RFC 8684 §3.1, §3.3; draft-paasch-mptcp-syncookies-02 §3.1.
"""

from __future__ import annotations

from testbed.mptcp import closing
from testbed.mptcp.capable import attach_to_ack, flags, syn_option
from testbed.mptcp.config import FirstData, Profile, ThirdAck
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.mapping import Mapping
from testbed.mptcp.tcp.handshake import syn_options, synack_options
from testbed.mptcp.tcp.output import (
    Span,
    acknowledged,
    arm_persist,
    next_span,
    offer_window,
    room_for_new,
    span_sent,
)
from testbed.mptcp.tcp.sack import sack_due, sack_option
from testbed.mptcp.tcp.state import SYNCHRONIZED, State
from testbed.mptcp.tcp.timers import syn_sent
from testbed.mptcp.wire import ACK, FIN, PSH, RST, SYN, Dss, MpCapable, Option, Segment, Timestamps
from testbed.mptcp.wire.checksum import dss_checksum, residue
from testbed.mptcp.wire.options import MAX_OPTION_BYTES

TIMESTAMP_BYTES = 10
DATA_FIN_LENGTH = 1


def next_segment(conn: Connection, now: int) -> Segment | None:
    """The next segment of this connection, or None when nothing is due."""
    tcb = conn.tcb
    if conn.reset_options is not None:
        return _reset(conn, now)
    if tcb.syn_due:
        return _syn(conn, now)
    if tcb.state not in SYNCHRONIZED:
        return None
    if tcb.state is State.TIME_WAIT:
        return _ack(conn, now) if tcb.ack_now else None
    if conn.send_fail is not None:
        return _ack(conn, now)  # no room beside data
    if not _third_ack_comes_first(conn):
        _map_new_data(conn)
        if sack_due(tcb):
            return _ack(conn, now)
        span = next_span(tcb, lambda ssn: _most(conn, ssn), now)
        if span is not None:
            return _data(conn, now, span)
    if tcb.ack_now or closing.data_fin_is_owed(conn):
        return _ack(conn, now)
    arm_persist(tcb, now, _is_blocked(conn))
    return None


def _third_ack_comes_first(conn: Connection) -> bool:
    """The handshake ends in an ACK of its own, unless data may ride on it (v0 has no room: RFC 6824 §3.6)."""
    if not (conn.answers_synack and conn.tcb.ack_now):
        return False
    return conn.third_ack is ThirdAck.BARE or (conn.mode is Mode.MPTCP and conn.speech.key_in_syn)


def _is_blocked(conn: Connection) -> bool:
    return conn.tcb.snd_end > conn.tcb.snd_nxt or conn.sender.unmapped > 0


# -- mappings and data ----------------------------------------------------------------------------------


def _payload_room(conn: Connection, mapping: Mapping | None) -> int:
    """Payload bytes of one segment beside its options (RFC 9293 §3.7.1: the MSS does not count options).

    `mapping` None: a new DSS mapping.
    """
    size = TIMESTAMP_BYTES if conn.tcb.ts_on else 0
    if conn.mode is not Mode.TCP:
        checksum = 2 if conn.checksum else 0
        if mapping is not None and mapping.capable:
            size += 22 + checksum
        else:
            size += 4 + _data_ack_bytes(conn) + (8 if _dsn_8(conn) else 4) + 6 + checksum
    elif conn.announce_infinite is not None:
        size += 4 + (8 if _dsn_8(conn) else 4) + 6 + (2 if conn.checksum else 0)
    return conn.tcb.mss - ((size + 3) & ~3)


def _most(conn: Connection, ssn: int) -> int:
    mapping = conn.send_mappings.at(ssn)
    room = _payload_room(conn, mapping)
    return min(room, mapping.left(ssn)) if mapping is not None else room


def _map_new_data(conn: Connection) -> None:
    """Commit as much new data to the subflow as it may send now, one mapping per segment."""
    tcb, sender = conn.tcb, conn.sender
    while True:
        queued = min(sender.unmapped, sender.edge - sender.nxt)
        if queued <= 0:
            break
        capable = _first_data_is_capable(conn)
        most = _payload_room(conn, Mapping(1, 1, 1, capable=capable))
        count = room_for_new(tcb, queued, most)
        if count == 0:
            if not (tcb.probe and tcb.snd_end == tcb.snd_una):
                break
            count = min(queued, most, max(tcb.snd_wnd, 1))  # the override timer's min(D, U), or a probe
        _commit(conn, count, capable)
    if queued <= 0 and tcb.probe and tcb.snd_end == tcb.snd_una and sender.unmapped:
        sender.edge = max(sender.edge, sender.nxt + 1)
        _commit(conn, 1, _first_data_is_capable(conn))  # a window probe needs a byte to send
    closing.queue_fin(conn)


def _commit(conn: Connection, count: int, capable: bool) -> None:
    if conn.mode is not Mode.TCP:
        conn.send_mappings.add(_new_mapping(conn, count, capable))
    conn.tcb.snd_end += count
    conn.sender.nxt += count


def _first_data_is_capable(conn: Connection) -> bool:
    """The first mapping travels in MP_CAPABLE: draft §3.1.1, RFC 8684 §3.1. Not once a DATA_ACK came
    before the first write (§3.1.2), and never in v0."""
    return (
        conn.role == "client"
        and conn.mode is Mode.MPTCP
        and conn.sender.nxt == 1
        and not conn.speech.key_in_syn
        and not conn.confirmed
        and conn.first_data is FirstData.CAPABLE
    )


def _new_mapping(conn: Connection, length: int, capable: bool) -> Mapping:
    ssn, data = conn.tcb.snd_end, conn.sender.nxt
    checksum = None
    if conn.checksum:
        payload = residue(conn.sender.buffer.read(data, length))
        checksum = dss_checksum(conn.dsn(data), ssn & 0xFFFF_FFFF, length, payload)
    return Mapping(ssn, data, length, checksum, capable)


def _data(conn: Connection, now: int, span: Span) -> Segment:
    mapping = conn.send_mappings.at(span.offset)
    payload = b""
    if span.length and mapping is not None:
        payload = conn.sender.buffer.read(mapping.data_at(span.offset), span.length)
    options = _timestamps(conn, now)
    if conn.mode is not Mode.TCP and span.length and mapping is not None:
        options.append(_mapping_option(conn, mapping))
    elif conn.mode is Mode.MPTCP:
        options += _ack_options(conn, now)
    elif conn.announce_infinite is not None and span.length:
        options.append(_infinite_option(conn, conn.announce_infinite))
    last = span.length > 0 and span.offset + span.length == conn.tcb.snd_end and not conn.sender.unmapped
    bits = ACK | (PSH if last else 0) | (FIN if span.fin else 0)
    before = conn.tcb.retransmits
    span_sent(conn.tcb, now, span)
    if conn.tcb.retransmits > before:
        conn.context.count("RetransSegs")
    return _segment(conn, conn.tcb.wire_seq(span.offset), bits, tuple(options), payload)


def _mapping_option(conn: Connection, mapping: Mapping) -> Option:
    """The same option on every copy and every part of a mapping, whoever cuts it."""
    assert mapping.length is not None
    if mapping.capable:
        return MpCapable(
            conn.speech.version,
            flags(conn.checksum),
            conn.local_key,
            conn.remote_key,
            mapping.length,
            mapping.checksum,
        )
    ack_8 = _data_ack_bytes(conn) == 8
    return Dss(
        data_ack=conn.data_ack_number() if _data_ack_bytes(conn) else None,
        data_ack_8=ack_8,
        dsn=conn.dsn(mapping.data),
        dsn_8=_dsn_8(conn),
        ssn=mapping.ssn & 0xFFFF_FFFF,
        length=mapping.length,
        checksum=mapping.checksum,
    )


def _infinite_option(conn: Connection, mapping: Mapping) -> Option:
    """Data-Level Length 0, its checksum field 0 (RFC 8684 §3.7)."""
    conn.context.count("InfiniteMapTx")
    return Dss(
        dsn=conn.dsn(mapping.data),
        dsn_8=_dsn_8(conn),
        ssn=mapping.ssn & 0xFFFF_FFFF,
        length=0,
        checksum=0 if conn.checksum else None,
    )


def _dsn_8(conn: Connection) -> bool:
    """4-byte DSNs from a draft server until the client is heard of: its answers then fit beside
    MP_CAPABLE (the draft §3.1.2 leaves no room for 8)."""
    if conn.mptcp.dsn_bytes == 4:
        return False
    return not (conn.profile is Profile.DRAFT and conn.role == "server" and not conn.peer_dss_seen)


def _data_ack_bytes(conn: Connection) -> int:
    """0 until the peer's key is known: there is nothing to acknowledge in (draft §3.1.2, TFO).
    64-bit numbers are answered by 64-bit numbers (RFC 8684 §3.3.1)."""
    if conn.remote_idsn is None or conn.mode is not Mode.MPTCP:
        return 0
    return 8 if conn.mptcp.dsn_bytes == 8 or conn.peer_dsn_8 else 4


# -- segments without data ------------------------------------------------------------------------------


def _ack(conn: Connection, now: int) -> Segment:
    options = _timestamps(conn, now)
    if conn.mode is Mode.MPTCP:
        options += _ack_options(conn, now)
    if conn.send_fail is not None:
        options.append(conn.send_fail)
        conn.send_fail = None
        conn.context.count("MPFailTx")
    if conn.tcb.sack_on:
        sack = sack_option(conn.tcb, MAX_OPTION_BYTES - sum(len(one.encode()) for one in options))
        if sack is not None:
            options.append(sack)
    return _segment(conn, conn.tcb.wire_seq(conn.tcb.snd_nxt), ACK, tuple(options))


def _ack_options(conn: Connection, now: int) -> list[Option]:
    """MP_CAPABLE with both keys where it is due, else a DATA_ACK, and the DATA_FIN when that is due."""
    attach = conn.role == "client" and attach_to_ack(
        conn.profile,
        answers_synack=conn.answers_synack,
        data_sent=conn.sender.nxt > 1,
        confirmed=conn.confirmed,
    )
    if attach:
        keys = MpCapable(conn.speech.version, flags(conn.checksum), conn.local_key, conn.remote_key)
        if closing.data_fin_is_owed(conn):
            # No room for a DATA_FIN beside both keys: first hear that they have arrived.
            closing.arm_data_fin(conn, now)
        if conn.receiver.next > 1:
            # 20 + 8 + 10 for timestamps: only a 4-byte DATA_ACK fits (draft §3.1.2).
            return [keys, Dss(data_ack=conn.data_ack_number() & 0xFFFF_FFFF)]
        return [keys]
    if conn.remote_idsn is None:
        return []
    ack_8 = _data_ack_bytes(conn) == 8
    number = conn.data_ack_number()
    if not closing.data_fin_is_owed(conn):
        return [Dss(data_ack=number, data_ack_8=ack_8)]
    closing.data_fin_sent(conn, now)
    dsn = conn.dsn(conn.sender.end)
    checksum = dss_checksum(dsn, 0, DATA_FIN_LENGTH, 0) if conn.checksum else None
    return [Dss(number, ack_8, dsn, _dsn_8(conn), 0, DATA_FIN_LENGTH, checksum, data_fin=True)]


def _timestamps(conn: Connection, now: int) -> list[Option]:
    tcb = conn.tcb
    return [Timestamps(tcb.timestamp(now), tcb.ts_recent)] if tcb.ts_on else []


def _syn(conn: Connection, now: int) -> Segment:
    tcb = conn.tcb
    window = tcb.config.syn_window
    tcb.rcv_adv = max(tcb.rcv_adv, 1 + window)
    if tcb.state is State.SYN_RECEIVED:
        options = synack_options(tcb, now)
        bits, ack = SYN | ACK, tcb.wire_ack()
        if conn.mode is Mode.NEGOTIATING:
            wants = flags(conn.mptcp.checksum)
            options += (MpCapable(conn.speech.version, wants, conn.local_key),)
    else:
        options = syn_options(tcb, now)
        bits, ack = SYN, 0
        conn.plain_syn = conn.mode is Mode.NEGOTIATING and tcb.syn_count > conn.syn_retries
        if conn.mode is Mode.NEGOTIATING and not conn.plain_syn and conn.local_key is not None:
            options += (syn_option(conn.speech, conn.mptcp, conn.local_key),)
            conn.context.count("MPCapableSYNTX")
    syn_sent(tcb, now)
    acknowledged(tcb)
    (local, sport), (remote, dport) = tcb.local, tcb.remote
    return Segment(local, remote, sport, dport, tcb.iss, ack, bits, window, options)


def _reset(conn: Connection, now: int) -> Segment:
    options = conn.reset_options or ()
    conn.reset_options = None
    return _segment(conn, conn.tcb.wire_seq(conn.tcb.snd_nxt), RST | ACK, options)


def _segment(
    conn: Connection, seq: int, bits: int, options: tuple[Option, ...], payload: bytes = b""
) -> Segment:
    tcb = conn.tcb
    window = offer_window(tcb, conn.receive_space())
    acknowledged(tcb)
    conn.answers_synack = False
    (local, sport), (remote, dport) = tcb.local, tcb.remote
    return Segment(local, remote, sport, dport, seq, tcb.wire_ack(), bits, window, options, payload)
