"""What an arriving segment means for its connection.

Decides the order: TCP's checks first (tcp/arrive.py), then the handshake's options, then DSS, then data.
Reports observations to fallback.py through `Connection.observe`. Must not build segments.
Read first: RFC 8684 §3.1, §3.3, §3.4 (MPTCP signals count only in acceptable segments).
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mptcp import closing, events
from testbed.mptcp.capable import client_key, judge_synack, wants_checksum
from testbed.mptcp.config import SECOND
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.fallback import Action, Observation
from testbed.mptcp.mapping import Mapping
from testbed.mptcp.reasons import Reason
from testbed.mptcp.receiving import deliver
from testbed.mptcp.tcp.arrive import Arrival, segment_arrives
from testbed.mptcp.tcp.state import State
from testbed.mptcp.wire import ACK, FIN, RST, SYN, Dss, MpCapable, MpFail, MpFastclose, MpTcpRst, Segment
from testbed.mptcp.wire.sequence import MASK32, dsn_diff, promote, seq_diff

MOST_EARLY_DSS = 1024  # mappings kept before the peer's key is known
SUBFLOWS_GONE_TIMEOUT = 60 * SECOND  # RFC 8684 §3.3.3 leaves it open; Linux's close_timeout


@dataclass(slots=True)
class Signals:
    """The MPTCP options of one segment, the first of each kind."""

    capable: MpCapable | None = None
    dss: Dss | None = None
    fail: MpFail | None = None
    fastclose: MpFastclose | None = None
    tcprst: MpTcpRst | None = None

    @classmethod
    def of(cls, segment: Segment) -> Signals:
        signals = cls()
        for option in segment.options:
            if isinstance(option, Dss):
                signals.dss = signals.dss or option
            elif isinstance(option, MpCapable):
                signals.capable = signals.capable or option
            elif isinstance(option, MpFail):
                signals.fail = signals.fail or option
            elif isinstance(option, MpFastclose):
                signals.fastclose = signals.fastclose or option
            elif isinstance(option, MpTcpRst):
                signals.tcprst = signals.tcprst or option
        return signals


def segment_arrived(conn: Connection, now: int, segment: Segment) -> None:
    """Everything that one segment does to a connection."""
    signals = Signals.of(segment)
    arrival = segment_arrives(conn.tcb, now, segment, not _is_signal(conn, signals))
    if arrival.reset:
        _reset_by_peer(conn, now, signals)
        return
    if arrival.answer_reset:
        conn.context.answer_reset(segment)
    if arrival.resend_synack:
        conn.tcb.syn_due = True
    if not arrival.accepted:
        if segment.flags & SYN and conn.role == "client":
            conn.answers_synack = True  # our third ACK was lost: say it again, with the keys
        conn.context.trace(now, conn.number, "dropped", arrival.dropped or "")
        return
    if arrival.established:
        _established(conn, now, signals)
    elif signals.capable is not None and conn.role == "server" and conn.mode is Mode.MPTCP:
        _capable_again(conn, signals.capable)
    _handshake_and_signals(conn, now, segment, signals, arrival)
    if not conn.finished and not segment.flags & SYN:
        _acknowledgement(conn, now, segment, signals, arrival)
    if not conn.finished:
        take_in_order(conn, now, arrival)
    closing.advance(conn, now)


def _is_signal(conn: Connection, signals: Signals) -> bool:
    """Such an ACK is no sign of loss: it carries an MPTCP signal (RFC 8684 §3.3.5), or is the first
    DATA_ACK, which says that the keys have arrived (draft §3.1.1's fourth packet)."""
    if signals.capable is not None or signals.fail is not None:
        return True
    dss = signals.dss
    return dss is not None and (dss.dsn is not None or not conn.confirmed)


def _reset_by_peer(conn: Connection, now: int, signals: Signals) -> None:
    reason = Reason.RST_RECEIVED
    if signals.tcprst is not None:
        conn.context.count("MPRstRx")
    if signals.fastclose is not None and signals.fastclose.receiver_key == conn.local_key:
        conn.context.count("MPFastcloseRx")
        reason = Reason.FASTCLOSE_RECEIVED
    closing.died(conn, now, reason)


def _established(conn: Connection, now: int, signals: Signals) -> None:
    """The three-way handshake is over on this side."""
    conn.sender.open_window(1, conn.tcb.snd_wnd)
    if conn.role == "client":
        conn.answers_synack = True
        if conn.mode is Mode.NEGOTIATING:
            _judge_synack(conn, now, signals.capable)
        conn.context.events.append(events.Connected(conn.number))
    else:
        conn.announced = True
        conn.context.events.append(events.Accepted(conn.number, conn.tcb.local, conn.tcb.remote))


def _judge_synack(conn: Connection, now: int, option: MpCapable | None) -> None:
    seen = judge_synack(option, conn.speech, conn.mptcp, conn.plain_syn)
    if seen is not None:
        name = "MPCapableSYNTXDrop" if seen is Observation.SYNACK_TO_PLAIN_SYN else "MPCapableFallbackSYNACK"
        conn.context.count(name)
        conn.observe(now, seen)
        return
    assert option is not None
    assert option.sender_key is not None
    conn.context.count("MPCapableSYNACKRX")
    conn.set_remote_key(option.sender_key)
    conn.checksum = conn.mptcp.checksum or wants_checksum(option)
    conn.mode = Mode.MPTCP


def _handshake_and_signals(
    conn: Connection, now: int, segment: Segment, signals: Signals, arrival: Arrival
) -> None:
    if conn.mode is Mode.NEGOTIATING and conn.role == "server":
        _judge_third_packet(conn, now, segment, signals, arrival)
    if conn.mode is not Mode.MPTCP:
        return
    if signals.fastclose is not None and signals.fastclose.receiver_key == conn.local_key:
        conn.context.count("MPFastcloseRx")
        conn.reset(now, Reason.FASTCLOSE_RECEIVED)
        return
    if signals.capable is not None and signals.capable.data_length is not None:
        _take_capable_mapping(conn, now, signals.capable)
    if signals.dss is not None and conn.mode is Mode.MPTCP:
        _take_dss(conn, now, segment, signals.dss)
    if signals.fail is not None and conn.mode is Mode.MPTCP:
        conn.context.count("MPFailRx")
        conn.observe(now, Observation.MP_FAIL)


def _judge_third_packet(
    conn: Connection, now: int, segment: Segment, signals: Signals, arrival: Arrival
) -> None:
    """The server's last word on MPTCP: the first packet in order (RFC 8684 §3.1).

    A later segment that overtook it decides nothing: it may not carry the keys.
    """
    key = None
    if conn.local_key is not None:
        key = client_key(signals.capable, conn.speech, conn.local_key)
    if key is not None:
        _learn_client_key(conn, key)
    elif arrival.offset > 1:
        if signals.dss is not None and len(conn.early_dss) < MOST_EARLY_DSS:
            conn.early_dss.append(signals.dss)
    else:
        with_dss = signals.dss is not None
        seen = Observation.FIRST_PACKET_WITH_DSS if with_dss else Observation.FIRST_PACKET_WITHOUT_CAPABLE
        if conn.third_packet_observation is not None:
            seen = conn.third_packet_observation
        if conn.observe(now, seen).action is Action.FALL_BACK:
            conn.context.count("MPCapableFallbackACK")
        else:
            conn.mode = Mode.MPTCP
    if conn.mode is not Mode.NEGOTIATING:
        early, conn.early_dss = conn.early_dss, []
        for dss in early:
            if conn.mode is Mode.MPTCP:
                _take_dss(conn, now, segment, dss)


def _learn_client_key(conn: Connection, key: int) -> None:
    """Key-A has come, in whichever packet. The draft then wants a DATA_ACK at once (§3.1.1)."""
    conn.context.count("MPCapableACKRX")
    conn.set_remote_key(key)
    conn.mode = Mode.MPTCP
    if not conn.speech.key_in_syn and not conn.speech.sha256:
        conn.tcb.ack_now = True


def _capable_again(conn: Connection, option: MpCapable) -> None:
    """The keys once more: the client has not seen a DATA_ACK yet. Answer with one (draft §3.1.2)."""
    if _brings_known_keys(conn, option):
        conn.tcb.ack_now = True


def _brings_known_keys(conn: Connection, option: MpCapable) -> bool:
    return conn.local_key is not None and client_key(option, conn.speech, conn.local_key) == conn.remote_key


def _take_capable_mapping(conn: Connection, now: int, option: MpCapable) -> None:
    """MP_CAPABLE with data maps the first bytes: subflow offset 1, data offset 1 (draft §3.1.1).

    With other keys than the agreed ones it counts as absent, as in the third ACK (RFC 8684 §3.1).
    """
    assert option.data_length is not None
    if conn.role != "server" or not _brings_known_keys(conn, option):
        return
    if conn.first_capable_length not in (None, option.data_length):
        conn.context.count("DSSNotMatching")
        conn.observe(now, Observation.MAPPING_CONTRADICTS)
        return
    conn.first_capable_length = option.data_length
    conn.peer_dss_seen = True
    _add_mapping(conn, now, 1, 1, option.data_length, option.checksum)


def _take_dss(conn: Connection, now: int, segment: Segment, dss: Dss) -> None:
    conn.peer_dss_seen = True
    if dss.data_ack is not None:
        _take_data_ack(conn, segment, dss)
    if dss.dsn is None or conn.remote_idsn is None:
        return
    conn.peer_dsn_8 = conn.peer_dsn_8 or dss.dsn_8
    near = (conn.remote_idsn + conn.receiver.next) & 0xFFFF_FFFF_FFFF_FFFF
    dsn = dss.dsn if dss.dsn_8 else promote(dss.dsn, near)
    data = conn.receiver.next + dsn_diff(dsn, near)
    if dss.length == 0:
        conn.context.count("InfiniteMapRx")
        conn.observe(now, Observation.INFINITE_MAPPING)
        return
    length = dss.length
    if dss.data_fin:
        length -= 1  # the DATA_FIN is the mapping's last octet (RFC 8684 §3.3.3)
        fin = data + length
        if conn.receiver.fin is None and fin >= conn.receiver.next:
            conn.receiver.fin = fin
        conn.fin_ack_due = True  # acknowledged even when seen before: our DATA_ACK may be lost
    if length > 0:
        ssn = _ssn_offset(conn, dss.ssn)
        # A DATA_FIN counts in the length that is checksummed, but has no byte on the subflow.
        _add_mapping(conn, now, ssn, data, length, dss.checksum, dss.data_fin)


def _ssn_offset(conn: Connection, ssn: int) -> int:
    """The 32-bit relative number as an unbounded offset near where we are."""
    near = conn.tcb.rcv_nxt
    return near + seq_diff(ssn, near & MASK32)


def _add_mapping(
    conn: Connection,
    now: int,
    ssn: int,
    data: int,
    length: int,
    checksum: int | None,
    with_fin: bool = False,
) -> None:
    if conn.checksum and checksum is None:
        conn.observe(now, Observation.CHECKSUM_MISSING)
    elif (
        not conn.checksum
        and checksum is not None
        and (conn.observe(now, Observation.CHECKSUM_UNEXPECTED).action is Action.RESET)
    ):
        return
    if conn.finished or conn.mode is not Mode.MPTCP:
        return
    kept = checksum if conn.checksum else None
    if not conn.receive_mappings.add(Mapping(ssn, data, length, kept, with_fin=with_fin)):
        conn.context.count("DSSNotMatching")
        conn.observe(now, Observation.MAPPING_CONTRADICTS)


def _take_data_ack(conn: Connection, segment: Segment, dss: Dss) -> None:
    assert dss.data_ack is not None
    sender = conn.sender
    near = conn.dsn(sender.una)
    number = dss.data_ack if dss.data_ack_8 else promote(dss.data_ack, near)
    offset = sender.una + dsn_diff(number, near)
    if not sender.acknowledge(offset):
        return
    conn.confirmed = True
    conn.acks_without_data_ack = 0
    sender.open_window(offset, segment.window << conn.tcb.snd_wscale)


def _acknowledgement(
    conn: Connection, now: int, segment: Segment, signals: Signals, arrival: Arrival
) -> None:
    """What the subflow-level ACK means above."""
    dss = signals.dss
    with_data_ack = dss is not None and dss.data_ack is not None
    if conn.mode is Mode.MPTCP and not with_data_ack and arrival.acked and segment.flags & ACK:
        acks_data = conn.tcb.snd_una > 1 and signals.capable is None
        if acks_data:
            conn.acks_without_data_ack += 1
            conn.observe(now, Observation.ACK_WITHOUT_DATA_ACK)
    if conn.finished:
        return
    if not conn.confirmed or conn.mode is Mode.TCP:
        # No DATA_ACK to relate the window to: the subflow's own acknowledgement does.
        mapping = conn.send_mappings.at(conn.tcb.snd_una)
        base = mapping.data_at(conn.tcb.snd_una) if mapping is not None else conn.sender.nxt
        conn.sender.open_window(base, conn.tcb.snd_wnd)
    if arrival.acked:
        _free(conn)


def _free(conn: Connection) -> None:
    """Forget what both levels have acknowledged (RFC 8684 §3.3.2)."""
    una = conn.tcb.snd_una
    mapping = conn.send_mappings.at(una)
    acked = mapping.data_at(min(una, conn.tcb.snd_end)) if mapping is not None else conn.sender.nxt
    if conn.mode is Mode.TCP:
        conn.sender.una = max(conn.sender.una, min(acked, conn.sender.nxt))
    conn.send_mappings.forget(una)
    conn.sender.buffer.free(min(acked, conn.sender.una))
    if conn.announce_infinite is not None and una > conn.announce_infinite.ssn:
        conn.announce_infinite = None
    if conn.want_space:
        buffer = conn.sender.buffer
        if buffer.end - buffer.start <= conn.tcb.config.send_buffer // 2:
            conn.want_space = False
            conn.context.events.append(events.SpaceFreed(conn.number))


def take_in_order(conn: Connection, now: int, arrival: Arrival) -> None:
    """Subflow bytes in order go up; a FIN may end the stream."""
    if arrival.data:
        conn.pending.append(arrival.data)
    if conn.pending.end > conn.pending.start or conn.receiver.fin is not None:
        deliver(conn, now)
    if conn.finished:
        return
    if conn.fin_ack_due:
        conn.fin_ack_due = False
        conn.tcb.ack_now = True
    if conn.receiver.take_fin():
        conn.tcb.ack_now = True
        conn.context.events.append(events.PeerFinished(conn.number))
    if not arrival.fin:
        return
    if conn.mode is Mode.MPTCP and conn.receiver.fin is None and not conn.confirmed:
        conn.observe(now, Observation.DATA_WITHOUT_MAPPING)  # a FIN is sequence space too
    if conn.mode is Mode.TCP and not conn.receiver.fin_taken:
        conn.receiver.fin = conn.receiver.next
        conn.receiver.take_fin()
        conn.context.events.append(events.PeerFinished(conn.number))
    elif conn.mode is Mode.MPTCP and conn.receiver.fin is None and conn.linger_at is None:
        conn.linger_at = now + SUBFLOWS_GONE_TIMEOUT  # no subflow left to bring a DATA_FIN


def yields_to(conn: Connection, segment: Segment) -> bool:
    """Whether a new SYN may take over the ports of a connection in TIME-WAIT (RFC 9293 §3.10.7.4)."""
    tcb = conn.tcb
    is_plain_syn = segment.flags & (SYN | ACK | RST | FIN) == SYN
    return tcb.state is State.TIME_WAIT and is_plain_syn and tcb.peer_offset(segment.seq) >= tcb.rcv_nxt
