"""What leaves a connection now: SYN, data, ACK or RST, and the options on it.

Decides which options a segment carries and in which form, within 40 bytes. What data a subflow carries is
assign.py's, when and how much TCP may send is tcp/output.py's.
Read first: RFC 8684 §3.1, §3.3; draft-paasch-mptcp-syncookies-02 §3.1.
"""

from __future__ import annotations

from testbed.mptcp import closing, fast_open, join
from testbed.mptcp.assign import assign, usable
from testbed.mptcp.capable import attach_to_ack, flags, syn_option
from testbed.mptcp.config import Profile, ThirdAck
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.mapping import Mapping
from testbed.mptcp.option_space import data_ack_bytes, dsn_8, frame_room, payload_room
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.handshake import syn_options, synack_options
from testbed.mptcp.tcp.output import (
    Span,
    acknowledged,
    arm_persist,
    next_span,
    offer_window,
    span_sent,
)
from testbed.mptcp.tcp.sack import sack_due, sack_option
from testbed.mptcp.tcp.state import SYNCHRONIZED, State
from testbed.mptcp.tcp.timers import syn_sent
from testbed.mptcp.wire import (
    ACK,
    FIN,
    MAX_OPTION_BYTES,
    PSH,
    RST,
    SYN,
    Dss,
    MpCapable,
    MpFail,
    Option,
    Segment,
    Timestamps,
    encoded_length,
)
from testbed.mptcp.wire.checksum import dss_checksum

DATA_FIN_LENGTH = 1


def next_segment(conn: Connection, now: int) -> Segment | None:
    """The next segment of this connection, or None when nothing is due."""
    if conn.assign_due and not _third_ack_comes_first(conn, conn.first):
        assign(conn, now)
    for sub in conn.subflows:
        segment = _of_subflow(conn, sub, now)
        if segment is not None:
            return segment
    if not conn.finished:
        _arm_probes(conn, now)
    return None


def _of_subflow(conn: Connection, sub: Subflow, now: int) -> Segment | None:
    tcb = sub.tcb
    if sub.reset_options is not None:
        return _reset(conn, sub, now)
    if tcb.syn_due:
        return syn_segment(conn, sub, now)
    if tcb.state not in SYNCHRONIZED and not tcb.may_send_data:
        return None
    if tcb.state is State.TIME_WAIT:
        return _ack(conn, sub, now) if tcb.ack_now else None
    if sub.signals and (sub.usable or conn.finished):
        return _ack(conn, sub, now)  # no room beside data
    if not _third_ack_comes_first(conn, sub):
        if tcb.ack_now and sack_due(tcb):
            return _ack(conn, sub, now)
        span = next_span(tcb, lambda ssn: _most(conn, sub, ssn), now)
        if span is not None:
            return _data(conn, sub, now, span)
    owes_fin = sub.usable and closing.data_fin_is_owed(conn) and closing.carries_data_fin(conn, sub)
    if tcb.ack_now or sub.asks or owes_fin:
        return _ack(conn, sub, now)
    return None


def _third_ack_comes_first(conn: Connection, sub: Subflow) -> bool:
    """The handshake ends in an ACK of its own, unless data may ride on it (v0 has no room: RFC 6824 §3.6)."""
    if not (sub.answers_synack and sub.tcb.ack_now and sub.alive):
        return False
    return conn.third_ack is ThirdAck.BARE or (conn.mode is Mode.MPTCP and conn.speech.key_in_syn)


def _arm_probes(conn: Connection, now: int) -> None:
    """One subflow probes a window that is closed to the whole connection."""
    sender = conn.sender
    for sub in conn.subflows:
        tcb = sub.tcb
        if sub.established and (tcb.snd_end > tcb.snd_nxt or (tcb.snd_nxt > tcb.snd_una and not tcb.snd_wnd)):
            arm_persist(tcb, now, True)
    working = usable(conn)  # what a dead path still waits for says nothing of the window
    waiting = sender.unmapped or sender.again
    if waiting and not any(sub.tcb.rto_at is not None for sub in working):
        for sub in working[:1]:
            arm_persist(sub.tcb, now, True)


def _most(conn: Connection, sub: Subflow, ssn: int) -> int:
    """Payload bytes that one segment may carry from this offset on: of one mapping, at most."""
    mapping = sub.send_mappings.at(ssn)
    room = payload_room(conn, sub, mapping is not None and mapping.capable)
    if mapping is None:
        return room
    if conn.config.gso_max_size:
        room = frame_room(conn, sub, room)
    return min(room, mapping.left(ssn))


# -- data -----------------------------------------------------------------------------------------------


def _data(conn: Connection, sub: Subflow, now: int, span: Span) -> Segment:
    tcb = sub.tcb
    mapping = sub.send_mappings.at(span.offset) if span.length else None
    payload = b""
    cut = 0
    if mapping is not None:
        payload = _payload(conn, mapping, span)
        room = payload_room(conn, sub, mapping.capable)
        cut = room if span.length > room else 0
    options = _timestamps(sub, now)
    if conn.mode is not Mode.TCP and mapping is not None:
        options.append(_mapping_option(conn, mapping))
    elif conn.mode is Mode.MPTCP:
        if span.fin and not sub.leaving:
            conn.data_fin_at = None  # a FIN before the DATA_FIN was acknowledged: never without it
        options += _ack_options(conn, sub, now, span.fin)
    elif sub.announce_infinite is not None and span.length:
        options.append(_infinite_option(conn, sub.announce_infinite))
    last = span.length > 0 and span.offset + span.length == tcb.snd_end and not conn.sender.unmapped
    bits = ACK | (PSH if last else 0) | (FIN if span.fin else 0)
    before = tcb.retransmits
    span_sent(tcb, now, span)
    sub.sent += span.length
    if tcb.retransmits > before:
        conn.context.count("RetransSegs")
    return _segment(conn, sub, tcb.wire_seq(span.offset), bits, tuple(options), payload, cut)


def _payload(conn: Connection, mapping: Mapping, span: Span) -> bytes:
    """From the subflow's own copy; plain TCP keeps none beside the connection's."""
    if mapping.length is None:
        return conn.sender.buffer.read(mapping.data_at(span.offset), span.length)
    if span.length == mapping.length:
        return mapping.payload
    at = span.offset - mapping.ssn
    return mapping.payload[at : at + span.length]


def _mapping_option(conn: Connection, mapping: Mapping) -> Option:
    """The same option on every copy and every part of a mapping, whoever cuts it."""
    assert mapping.length is not None
    if mapping.capable:
        return MpCapable(
            conn.speech.version,
            _agreed(conn),
            conn.local_key,
            conn.remote_key,
            mapping.length,
            mapping.checksum,
        )
    ack = data_ack_bytes(conn)
    return Dss(
        data_ack=conn.data_ack_number() if ack else None,
        data_ack_8=ack == 8,
        dsn=conn.dsn(mapping.data),
        dsn_8=dsn_8(conn),
        ssn=mapping.ssn & 0xFFFF_FFFF,
        length=mapping.length,
        checksum=mapping.checksum,
    )


def _agreed(conn: Connection) -> int:
    """The flags beside both keys: a server in cookie mode has forgotten those of the SYN."""
    return flags(conn.checksum, conn.speech.sha256 and conn.mptcp.deny_join_initial)


def _infinite_option(conn: Connection, mapping: Mapping) -> Option:
    """Data-Level Length 0, its checksum field 0 (RFC 8684 §3.7)."""
    conn.context.count("InfiniteMapTx")
    return Dss(
        dsn=conn.dsn(mapping.data),
        dsn_8=dsn_8(conn),
        ssn=mapping.ssn & 0xFFFF_FFFF,
        length=0,
        checksum=0 if conn.checksum else None,
    )


# -- segments without data ------------------------------------------------------------------------------


def _ack(conn: Connection, sub: Subflow, now: int) -> Segment:
    options = _timestamps(sub, now)
    if sub.join is not None and sub.join.ack_due:
        options.append(join.ack_option(conn, sub, now))
    elif sub.signals:
        options = _with_signal(conn, sub, options, sub.signals.popleft())
    elif conn.mode is Mode.MPTCP:
        options += _ack_options(conn, sub, now)
    if sub.tcb.sack_blocks or sub.tcb.dsack is not None:
        sack = sack_option(sub.tcb, MAX_OPTION_BYTES - sum(len(one.encode()) for one in options))
        if sack is not None:
            options.append(sack)
    offset = sub.tcb.snd_nxt
    if sub.asks:  # like a keep-alive it is not acceptable, so it is answered (RFC 9293 §3.8.4)
        sub.asks, sub.asked = False, True
        offset -= 1
    return _segment(conn, sub, sub.tcb.wire_seq(offset), ACK, tuple(options))


def _with_signal(conn: Connection, sub: Subflow, options: list[Option], signal: Option) -> list[Option]:
    """A DATA_ACK beside it if there is room: an IPv6 address with a port leaves none. MP_FAIL comes without:
    the data that it is about has no DATA_ACK."""
    if isinstance(signal, MpFail):
        conn.context.count("MPFailTx")
    elif conn.mode is Mode.MPTCP and conn.remote_idsn is not None:
        ack = Dss(data_ack=conn.data_ack_number(), data_ack_8=data_ack_bytes(conn) == 8)
        if encoded_length((*options, ack, signal)) <= MAX_OPTION_BYTES:
            return [*options, ack, signal]
    return [*options, signal]


def _ack_options(conn: Connection, sub: Subflow, now: int, fin: bool = False) -> list[Option]:
    """MP_CAPABLE with both keys where it is due, else a DATA_ACK, and the DATA_FIN when that is due.

    There is no room for a DATA_FIN beside both keys. The draft's server answers the keys, so there the
    DATA_FIN waits for that (§3.1.2). RFC 8684's need not: the DATA_FIN follows in a segment of its own, as
    Linux sends it. A FIN never leaves without its DATA_FIN.
    """
    owes_fin = sub.usable and closing.data_fin_is_owed(conn) and closing.carries_data_fin(conn, sub)
    attach = (
        conn.role == "client"
        and not sub.index
        and attach_to_ack(
            conn.profile,
            repeat=conn.mptcp.repeat_keys,
            answers_synack=sub.answers_synack,
            data_sent=conn.has_sent,
            confirmed=conn.confirmed,
        )
    )
    if owes_fin and (fin or (conn.profile is Profile.V1 and not sub.answers_synack)):
        attach = False
    if attach:
        keys = MpCapable(conn.speech.version, _agreed(conn), conn.local_key, conn.remote_key)
        if owes_fin and conn.profile is not Profile.V1:
            closing.arm_data_fin(conn, sub, now)
        if conn.receiver.next > 1:
            # 20 + 8 + 10 for timestamps: only a 4-byte DATA_ACK fits (draft §3.1.2).
            return [keys, Dss(data_ack=conn.data_ack_number() & 0xFFFF_FFFF)]
        return [keys]
    if conn.remote_idsn is None:
        return []
    ack_8 = data_ack_bytes(conn) == 8
    number = conn.data_ack_number()
    if not owes_fin:
        return [Dss(data_ack=number, data_ack_8=ack_8)]
    closing.data_fin_sent(conn, sub, now)
    dsn = conn.dsn(conn.sender.end)
    checksum = dss_checksum(dsn, 0, DATA_FIN_LENGTH, 0) if conn.checksum else None
    return [Dss(number, ack_8, dsn, dsn_8(conn), 0, DATA_FIN_LENGTH, checksum, data_fin=True)]


def _timestamps(sub: Subflow, now: int) -> list[Option]:
    tcb = sub.tcb
    return [Timestamps(tcb.timestamp(now), tcb.ts_recent)] if tcb.ts_on else []


def syn_segment(conn: Connection, sub: Subflow, now: int) -> Segment:
    """Our SYN or SYN/ACK, booked as sent."""
    tcb = sub.tcb
    window = tcb.config.syn_window
    tcb.rcv_adv = max(tcb.rcv_adv, 1 + window)
    if sub.join is None:  # a join's SYN has no DATA_ACK that its window could count from (RFC 8684 §3.3.4)
        conn.receiver.adv = max(conn.receiver.adv, conn.receiver.next + window)
    payload = b""
    if tcb.state is State.SYN_RECEIVED:
        options = synack_options(tcb, now)
        bits, ack = SYN | ACK, tcb.wire_ack()
        if sub.join is not None:
            options += (join.synack_option(conn, sub),)
        elif conn.mode is Mode.NEGOTIATING:
            wants = flags(conn.mptcp.checksum, conn.speech.sha256 and conn.mptcp.deny_join_initial)
            options += (MpCapable(conn.speech.version, wants, conn.local_key),)
        options = fast_open.on_synack(conn, sub, options)
    else:
        options = syn_options(tcb, now)
        bits, ack = SYN, 0
        if sub.join is not None:
            options += (join.syn_option(conn, sub),)
            conn.context.count("MPJoinSynTx")
        else:
            sub.plain_syn = conn.mode is Mode.NEGOTIATING and tcb.syn_count > conn.syn_retries
            if conn.mode is Mode.NEGOTIATING and not sub.plain_syn and conn.local_key is not None:
                options += (syn_option(conn.speech, conn.mptcp, conn.local_key),)
                conn.context.count("MPCapableSYNTX")
            options, payload = fast_open.on_syn(conn, sub, now, options)
    syn_sent(tcb, now)
    acknowledged(tcb)
    (local, sport), (remote, dport) = tcb.local, tcb.remote
    return Segment(local, remote, sport, dport, tcb.iss, ack, bits, window, options, payload)


def _reset(conn: Connection, sub: Subflow, now: int) -> Segment:
    """With timestamps, as any segment of a living subflow (RFC 7323 §3.2)."""
    options = (*_timestamps(sub, now), *(sub.reset_options or ()))
    sub.reset_options = None
    return _segment(conn, sub, sub.tcb.wire_seq(sub.tcb.snd_nxt), RST | ACK, options)


def _segment(
    conn: Connection,
    sub: Subflow,
    seq: int,
    bits: int,
    options: tuple[Option, ...],
    payload: bytes = b"",
    cut: int = 0,
) -> Segment:
    tcb = sub.tcb
    receiver = conn.receiver
    window, receiver.adv = offer_window(tcb, receiver.next, receiver.adv, conn.receive_space())
    acknowledged(tcb)
    sub.answers_synack = False
    (local, sport), (remote, dport) = tcb.local, tcb.remote
    return Segment(local, remote, sport, dport, seq, tcb.wire_ack(), bits, window, options, payload, cut=cut)
