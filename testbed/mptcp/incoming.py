"""What an arriving segment means for its connection.

Decides the order: TCP's checks first (tcp/arrive.py), then the handshake's options, then signals and DSS,
then data. What each option does is decided in negotiating.py, join.py, dss.py and addresses.py. Must not
build segments. Read first: RFC 8684 §3.1, §3.3, §3.4 (MPTCP signals count only in acceptable segments).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from testbed.mptcp import addresses, closing, events, fast_open, join, negotiating
from testbed.mptcp.capable import judge_synack
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.dss import check_mapping_in_plain_tcp, place, take_acknowledgement, take_dss
from testbed.mptcp.fallback import Observation
from testbed.mptcp.observe import observe
from testbed.mptcp.reasons import Reason
from testbed.mptcp.receiving import deliver, deliver_at_once
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.arrive import Arrival, segment_arrives
from testbed.mptcp.tcp.handshake import read_syn_options
from testbed.mptcp.tcp.state import State
from testbed.mptcp.wire import (
    ACK,
    FIN,
    RST,
    SYN,
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSynAck,
    MpPrio,
    MpTcpRst,
    RemoveAddr,
    Segment,
)
from testbed.mptcp.wire.sequence import seq_diff


@dataclass(slots=True)
class Signals:
    """The MPTCP options of one segment, the first of each kind."""

    capable: MpCapable | None = None
    dss: Dss | None = None
    join_synack: MpJoinSynAck | None = None
    join_ack: MpJoinAck | None = None
    fail: MpFail | None = None
    fastclose: MpFastclose | None = None
    tcprst: MpTcpRst | None = None
    others: list[AddAddr | RemoveAddr | MpPrio] = field(default_factory=list)

    @property
    def take_room(self) -> bool:
        """There are signals that leave no room for a DATA_ACK, or that some stacks send without one."""
        return self.capable is not None or self.fail is not None or bool(self.others)

    @classmethod
    def of(cls, segment: Segment) -> Signals:
        signals = cls()
        for option in segment.options:
            if isinstance(option, Dss):
                signals.dss = signals.dss or option
            elif isinstance(option, MpCapable):
                signals.capable = signals.capable or option
            elif isinstance(option, AddAddr | RemoveAddr | MpPrio):
                signals.others.append(option)
            elif isinstance(option, MpJoinSynAck):
                signals.join_synack = signals.join_synack or option
            elif isinstance(option, MpJoinAck):
                signals.join_ack = signals.join_ack or option
            elif isinstance(option, MpFail):
                signals.fail = signals.fail or option
            elif isinstance(option, MpFastclose):
                signals.fastclose = signals.fastclose or option
            elif isinstance(option, MpTcpRst):
                signals.tcprst = signals.tcprst or option
        return signals


def segment_arrived(conn: Connection, sub: Subflow, now: int, segment: Segment) -> None:
    """Everything that one segment does to a connection."""
    signals = Signals.of(segment)
    tcb = sub.tcb
    tcb.crowded = sub.receive_mappings.full
    takes_text = tcb.state is not State.SYN_SENT or _takes_text(conn, sub, signals)
    room = _room(conn, sub, segment, signals) if takes_text else 0
    arrival = segment_arrives(tcb, now, segment, not _is_signal(conn, signals), room)
    if arrival.reset:
        _reset_by_peer(conn, sub, now, signals)
        return
    if arrival.answer_reset:
        conn.context.answer_reset(segment)
    if arrival.resend_synack:
        tcb.syn_due = True
    if not arrival.accepted:
        if segment.flags & SYN and sub.initiated:
            sub.answers_synack = True  # our third ACK was lost: say it again, with the keys
            if sub.join is not None and not sub.usable:
                sub.join.ack_due = True
        conn.context.trace(now, conn.number, "dropped", arrival.dropped or "")
        return
    if room is not None and room < len(segment.payload):
        conn.context.count("NoDSSInWindow")
    if arrival.established:
        _established(conn, sub, now, segment, signals, arrival)
    elif segment.flags & SYN:
        _crossed(conn, sub, now)
    elif sub.join is not None and sub.initiated:
        join.answer_arrived(conn, sub, now)
    elif signals.join_ack is not None and sub.join is not None:
        tcb.ack_now = True  # the peer has not heard from us yet
    elif signals.capable is not None and conn.role == "server" and conn.mode is Mode.MPTCP:
        negotiating.capable_again(conn, signals.capable)
    if sub.lost:
        closing.advance(conn, now)
        return
    _handshake_and_signals(conn, sub, now, segment, signals, arrival)
    if not conn.finished and not sub.lost and not segment.flags & SYN:
        take_acknowledgement(conn, sub, now, segment, signals.dss, arrival, signals.take_room)
    if not conn.finished and not sub.lost:
        take_in_order(conn, sub, now, arrival)
    closing.advance(conn, now)


def _room(conn: Connection, sub: Subflow, segment: Segment, signals: Signals) -> int | None:
    """How many bytes of the segment the connection's window has room for, None where that is not in question.
    A subflow must not acknowledge what would be dropped above it (RFC 8684 §3.3.4)."""
    receiver = conn.receiver
    if conn.mode is not Mode.MPTCP or not (segment.payload and receiver.queued):
        return None
    at = sub.tcb.peer_offset(segment.seq)
    dss = signals.dss
    if dss is not None and dss.dsn is not None and dss.length and conn.remote_idsn is not None:
        ssn, data = place(conn, sub, dss)
    elif (mapping := sub.receive_mappings.at(at)) is not None:
        ssn, data = mapping.ssn, mapping.data
    else:
        return None
    edge = max(receiver.adv, receiver.next + conn.receive_space())
    return max(edge - (data + at - ssn), 0)


def _is_signal(conn: Connection, signals: Signals) -> bool:
    """Such an ACK is no sign of loss: it carries an MPTCP signal (RFC 8684 §3.3.5), or is the first
    DATA_ACK, which says that the keys have arrived (draft §3.1.1's fourth packet)."""
    if signals.take_room:
        return True
    dss = signals.dss
    return dss is not None and (dss.dsn is not None or not conn.confirmed)


def _takes_text(conn: Connection, sub: Subflow, signals: Signals) -> bool:
    """Whether data of this SYN/ACK counts (RFC 9293 §3.10.7.3). In Multipath TCP it has no mapping: it stays
    unacknowledged, and the peer sends it again with one."""
    if conn.mode is Mode.TCP or sub.join is not None:
        return sub.join is None
    return judge_synack(signals.capable, conn.speech, conn.mptcp, sub.plain_syn) is not None


def _reset_by_peer(conn: Connection, sub: Subflow, now: int, signals: Signals) -> None:
    """A RST ends its subflow; with MP_FASTCLOSE and the right key all of the connection (RFC 8684 §3.5)."""
    if signals.tcprst is not None:
        conn.context.count("MPRstRx")
    if signals.fail is not None:
        conn.context.count("MPFailRx")
    if signals.fastclose is not None and signals.fastclose.receiver_key == conn.local_key:
        conn.context.count("MPFastcloseRx")
        conn.closed_by_peer(now, sub)
    elif sub.tcb.state is State.TIME_WAIT:
        # Departs from RFC 1337 §3 because it may be the answer to our ACK of a new SYN that did not look
        # new. RFC 9293 §3.10.7.4 and Linux obey it, too.
        sub.tcb.move(State.CLOSED)
    else:
        conn.lose(now, sub, Reason.RST_RECEIVED)


def _established(
    conn: Connection, sub: Subflow, now: int, segment: Segment, signals: Signals, arrival: Arrival
) -> None:
    """The three-way handshake is over on this side."""
    conn.assign_due = True
    if sub.join is not None:
        if sub.initiated:
            join.synack_arrived(conn, sub, now, signals.join_synack)
        else:
            join.third_ack_arrived(conn, sub, now, signals.join_ack)
        return
    fast_open.synack_arrived(conn, sub, now, segment, arrival.syn_data)
    if conn.finished:
        return
    conn.sender.open_window(conn.sender.first, sub.tcb.snd_wnd)
    if sub.initiated:
        sub.answers_synack = True
        if conn.mode is Mode.NEGOTIATING:
            negotiating.synack_arrived(conn, now, signals.capable)
        conn.tell(events.Connected(conn.number))
    elif not conn.told:
        conn.told = True
        conn.tell(events.Accepted(conn.number, conn.local, conn.remote))


def _crossed(conn: Connection, sub: Subflow, now: int) -> None:
    """Simultaneous open (RFC 9293 §3.5): the peer's SYN is no answer to ours. MP_CAPABLE and MP_JOIN need
    one side that asks and one that answers."""
    if sub.join is not None:
        join.give_up(conn, sub, now, Reason.JOIN_REFUSED)
    elif conn.mode is Mode.NEGOTIATING:
        conn.context.count("SimultConnectFallback")
        observe(conn, now, sub, Observation.SIMULTANEOUS_OPEN)


def _handshake_and_signals(
    conn: Connection, sub: Subflow, now: int, segment: Segment, signals: Signals, arrival: Arrival
) -> None:
    if conn.mode is Mode.NEGOTIATING and conn.role == "server":
        negotiating.third_packet_arrived(conn, now, segment, signals.capable, signals.dss, arrival)
    if conn.mode is Mode.TCP and signals.dss is not None and conn.has_fallen_back and not sub.lost:
        check_mapping_in_plain_tcp(conn, sub, now, signals.dss)
    if conn.mode is not Mode.MPTCP or segment.flags & SYN or not sub.usable:
        return  # what comes before the HMAC says nothing to the connection
    if signals.fastclose is not None and signals.fastclose.receiver_key == conn.local_key:
        conn.context.count("MPFastcloseRx")
        conn.reset(now, Reason.FASTCLOSE_RECEIVED)
        return
    if signals.capable is not None and signals.capable.data_length is not None:
        negotiating.take_capable_mapping(conn, sub, now, signals.capable)
    if signals.dss is not None and conn.mode is Mode.MPTCP and not sub.lost:
        take_dss(conn, sub, now, segment, signals.dss)
    for option in signals.others:
        if conn.mode is not Mode.MPTCP or conn.remote_key is None or sub.lost:
            break
        if isinstance(option, AddAddr):
            addresses.take_add_addr(conn, sub, option)
        elif isinstance(option, RemoveAddr):
            addresses.take_remove_addr(conn, now, option)
        else:
            addresses.take_prio(conn, sub, option)
    if signals.fail is not None and conn.mode is Mode.MPTCP and not sub.lost:
        conn.context.count("MPFailRx")
        observe(conn, now, sub, Observation.MP_FAIL)


def take_in_order(conn: Connection, sub: Subflow, now: int, arrival: Arrival) -> None:
    """Subflow bytes in order go up; a FIN may end the stream."""
    if arrival.data:
        sub.received += len(arrival.data)
        if not deliver_at_once(conn, sub, arrival.data):
            sub.pending.append(arrival.data)
    if sub.pending.end > sub.pending.start or conn.receiver.fin is not None:
        deliver(conn, sub, now)
    if conn.finished:
        return
    if conn.fin_ack_due:
        conn.fin_ack_due = False
        sub.tcb.ack_now = True
    if conn.receiver.take_fin():
        sub.tcb.ack_now = True
        conn.tell(events.PeerFinished(conn.number))
    if arrival.fin:
        _fin_arrived(conn, sub, now)


def _fin_arrived(conn: Connection, sub: Subflow, now: int) -> None:
    if conn.mode is Mode.MPTCP and conn.receiver.fin is None and (conn.failed or not conn.confirmed):
        observe(conn, now, sub, Observation.FIN_WITHOUT_DATA_FIN)
    if conn.mode is Mode.TCP and not conn.receiver.fin_taken:
        conn.receiver.fin = conn.receiver.next
        conn.receiver.take_fin()
        conn.tell(events.PeerFinished(conn.number))
    elif conn.mode is Mode.MPTCP and conn.receiver.fin is None and sub.alive:
        if any(other.may_carry for other in conn.subflows if other is not sub):
            closing.retire(conn, sub)  # the peer gives up this subflow alone
        elif conn.linger_at is None:
            # No subflow is left that could bring a DATA_FIN.
            conn.linger_at = now + conn.mptcp.close_timeout
            conn.linger_reason = Reason.SUBFLOWS_GONE


def yields_to(sub: Subflow, segment: Segment) -> bool:
    """Whether a new SYN may take over the ports of a subflow in TIME-WAIT (RFC 9293 §3.10.7.4): its
    timestamp tells, and only where that does not its sequence number (RFC 6191 §2)."""
    tcb = sub.tcb
    if tcb.state is not State.TIME_WAIT or segment.flags & (SYN | ACK | RST | FIN) != SYN:
        return False
    timestamp = read_syn_options(segment).timestamp
    if timestamp is not None and tcb.config.timestamps:
        newer = seq_diff(timestamp, tcb.ts_recent) if tcb.ts_on else 1
        if newer:
            return newer > 0
    return tcb.peer_offset(segment.seq) >= tcb.rcv_nxt
