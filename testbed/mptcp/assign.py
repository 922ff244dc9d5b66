"""Which data goes on which subflow now: new data, data once more, data on all of them.

Decides what is committed to a subflow, one mapping per segment or large frame; a subflow commits no more
than it may send at once. Who is asked first is the scheduler's choice (sched/), when data has to go again
is decided in reinject.py. Must not build segments.
Read first: RFC 8684 §3.3.1, §3.3.5-§3.3.8.
"""

from __future__ import annotations

from testbed.mptcp import closing
from testbed.mptcp.config import FirstData
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.mapping import Mapping
from testbed.mptcp.option_space import frame_room, payload_room
from testbed.mptcp.reinject import arm_data_timer, holder_of_left_edge, late_elsewhere, penalize
from testbed.mptcp.sched import Candidate, eligible
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.tcp.output import after_idle, room_for_new
from testbed.mptcp.wire.checksum import dss_checksum, residue

LARGEST = 1 << 30


def assign(conn: Connection, now: int) -> None:
    """Commit as much as the windows allow."""
    conn.assign_due = False
    sender = conn.sender
    ready = usable(conn)
    if not ready:
        return
    for sub in ready:
        after_idle(sub.tcb, now)
    if sender.again:
        _once_more(conn, ready, now)
    if conn.scheduler.duplicates and len(ready) > 1:
        _everywhere(conn, ready, now)
    else:
        _new_data(conn, ready, now)
    if sender.unmapped or sender.again:
        _probe(conn, ready, now)
    if conn.mptcp.opportunistic and len(ready) > 1 and not conn.scheduler.duplicates:
        blocked = sender.edge <= sender.nxt if sender.unmapped else conn.want_space
        if blocked:
            _left_edge(conn, ready, now)
        if blocked or (sender.fin_queued and not sender.unmapped):
            _overtake(conn, ready, now)
    arm_data_timer(conn, now)
    closing.queue_fin(conn)


def usable(conn: Connection) -> list[Subflow]:
    """Subflows for data: those that work before those that do not, and backups last (RFC 8684 §3.3.8)."""
    ready = [sub for sub in conn.subflows if sub.may_carry]
    if len(ready) > 1:
        ready = [sub for sub in ready if not sub.stale] or ready
        ready = eligible(ready)
    return ready


def _new_data(conn: Connection, ready: list[Subflow], now: int) -> None:
    sender = conn.sender
    rooms: dict[int, int] | None = None  # by subflow index; a commitment changes its own only
    while (queued := min(sender.unmapped, sender.edge - sender.nxt)) > 0:
        if rooms is None or len(ready) == 1:
            rooms = {sub.index: _room(conn, sub, queued) for sub in ready}
        sub = _pick(conn, ready, rooms, queued)
        if sub is None:
            return
        _commit(conn, now, sub, sender.nxt, min(rooms[sub.index], queued))
        sub.cursor = sender.nxt
        rooms[sub.index] = _room(conn, sub, min(sender.unmapped, sender.edge - sender.nxt))


def _once_more(conn: Connection, ready: list[Subflow], now: int) -> None:
    """Data below `nxt` that is to be mapped again, on a subflow that does not have it in flight."""
    again = conn.sender.again
    again.drop_below(conn.sender.una)
    while again:
        start, end = again.ranges[0]
        free = [sub for sub in ready if _takes_again(sub, start)]
        if not free:
            again.take(LARGEST)  # it is on its way everywhere
            continue
        rooms = {sub.index: _room(conn, sub, end - start) for sub in free}
        sub = _pick(conn, free, rooms, end - start)
        if sub is None:
            return
        count = rooms[sub.index]
        again.take(count)
        _commit(conn, now, sub, start, count)
        conn.context.count("DataReinjected")


def _takes_again(sub: Subflow, data: int) -> bool:
    """Not in flight there, nor is the peer suspected of having fallen back (reinject.data_timeout)."""
    return not sub.acks_without_data_ack and not sub.send_mappings.holds_data(data)


def _everywhere(conn: Connection, ready: list[Subflow], now: int) -> None:
    """Redundant: each subflow sends all that is not DATA_ACKed, as far as its own windows allow."""
    sender = conn.sender
    for sub in ready:
        while True:
            start = max(sub.cursor, sender.una)
            known = sender.nxt - start
            queued = known if known > 0 else min(sender.unmapped, sender.edge - sender.nxt)
            count = _room(conn, sub, queued) if queued > 0 else 0
            if not count:
                break
            _commit(conn, now, sub, start, count)
            sub.cursor = start + count


def _left_edge(conn: Connection, ready: list[Subflow], now: int) -> None:
    """A window or the send buffer is full and this subflow is idle: it sends what a slow one holds back,
    which is penalized (Raiciu et al., NSDI 2012 §4.2)."""
    sender = conn.sender
    for sub in ready:
        slow = holder_of_left_edge(conn, sub)
        if slow is None:
            continue
        count = _room(conn, sub, min(slow.carrying.held_to(sender.una), sender.nxt) - sender.una)
        if count:
            _commit(conn, now, sub, sender.una, count)
            conn.context.count("OpportunisticRetrans")
            penalize(conn, slow, now)


def _overtake(conn: Connection, ready: list[Subflow], now: int) -> None:
    """No new data may go, or none is left: an idle subflow sends what it would bring sooner than the slow
    one that has it. Beyond Raiciu et al., who resend the left edge only, one segment in a round trip."""
    for sub in ready:
        if not _room(conn, sub, sub.tcb.mss):
            continue
        for start, end in late_elsewhere(conn, sub, now):
            while (start := sub.copied.past(start)) < end and (count := _room(conn, sub, end - start)):
                _commit(conn, now, sub, start, count)
                conn.context.count("OpportunisticRetrans")
            if start < end:
                break


def _probe(conn: Connection, ready: list[Subflow], now: int) -> None:
    """A window probe needs a byte to send, the oldest that waits; behind a window that stays small, what
    there is goes out (the override timer of RFC 9293 §3.8.6.2.1)."""
    sender = conn.sender
    for sub in ready:
        tcb = sub.tcb
        if not (tcb.probe and tcb.snd_end == tcb.snd_una):
            continue
        if sender.again and _takes_again(sub, sender.again.ranges[0][0]):
            start, end = sender.again.ranges[0]
            count = min(end - start, _in_one_segment(conn, sub))
            sender.again.take(count)
            _commit(conn, now, sub, start, count)
            conn.context.count("DataReinjected")
        elif sender.unmapped:
            queued = min(sender.unmapped, max(sender.edge - sender.nxt, 1))
            _commit(conn, now, sub, sender.nxt, min(queued, _in_one_segment(conn, sub)))


def _in_one_segment(conn: Connection, sub: Subflow) -> int:
    """Bytes, within the subflow's window; one where that is closed."""
    room = payload_room(conn, sub, _first_data_is_capable(conn, sub))
    return min(room, max(sub.tcb.snd_wnd, 1))


def _pick(conn: Connection, ready: list[Subflow], rooms: dict[int, int], queued: int) -> Subflow | None:
    """The subflow for the next bytes, of those with room."""
    if len(ready) == 1:
        return ready[0] if rooms[ready[0].index] else None
    candidates = [
        Candidate(
            index=sub.index,
            srtt=sub.tcb.rtt.srtt,
            cwnd=sub.tcb.cc.cwnd,
            flight=sub.tcb.flight,
            room=rooms[sub.index],
            backup=sub.backup,
            mss=sub.tcb.mss,
        )
        for sub in ready
        if rooms[sub.index]
    ]
    index = conn.scheduler.pick(candidates, queued) if candidates else None
    return next((sub for sub in ready if sub.index == index), None)


def _room(conn: Connection, sub: Subflow, queued: int) -> int:
    """Bytes of the next mapping on this subflow; 0: wait, or nothing is queued."""
    if queued <= 0:
        return 0
    room = payload_room(conn, sub, _first_data_is_capable(conn, sub))
    frame = frame_room(conn, sub, room)
    count = room_for_new(sub.tcb, queued, frame)
    if room < count < queued:
        count -= count % room  # no small segment at the end of a frame
    return count


def _commit(conn: Connection, now: int, sub: Subflow, start: int, count: int) -> None:
    """These bytes of the connection are the subflow's next."""
    sender, tcb = conn.sender, sub.tcb
    if conn.mode is not Mode.TCP:
        capable = start == sender.nxt and _first_data_is_capable(conn, sub)
        payload = sender.buffer.read(start, count)
        checksum = None
        if conn.checksum:
            ssn = tcb.snd_end & 0xFFFF_FFFF
            checksum = dss_checksum(conn.dsn(start), ssn, count, residue(payload))
        sub.send_mappings.add(Mapping(tcb.snd_end, start, count, checksum, capable, payload=payload))
        sub.commit(start, start + count, now)
    tcb.snd_end += count
    sender.nxt = max(sender.nxt, start + count)


def _first_data_is_capable(conn: Connection, sub: Subflow) -> bool:
    """The first mapping travels in MP_CAPABLE: draft §3.1.1, RFC 8684 §3.1. Not once a DATA_ACK came
    before the first write (§3.1.2), and never in v0."""
    return (
        conn.role == "client"
        and conn.mode is Mode.MPTCP
        and conn.sender.nxt == conn.sender.first
        and not sub.index
        and not conn.speech.key_in_syn
        and not conn.confirmed
        and conn.first_data is FirstData.CAPABLE
    )
