"""One host's protocol engine: packets, time and entropy in; packets, events and the next deadline out.

Decides which connection a segment belongs to, and answers the segments that belong to none. The same
object runs in the simulator, in a lab and against a kernel.
Read first: RFC 9293 §3.10.7.1-2 (CLOSED and LISTEN), RFC 8684 §3.1.

    endpoint = Endpoint(entropy=os.urandom)
    endpoint.listen(80, ServerConfig())
    endpoint.handle_segment(now, segment)
    while (event := endpoint.poll_event()): ...      # the application reacts: send, close, ...
    while (segment := endpoint.poll_transmit(now)): ...
    wake_me_at(endpoint.poll_timeout())
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable

from testbed.mptcp import closing, half_open_joins, join
from testbed.mptcp.active_open import active_open
from testbed.mptcp.addresses import add_endpoint, place_of, plan, set_backup, withdraw
from testbed.mptcp.capable import find_capable
from testbed.mptcp.config import ClientConfig, ServerConfig
from testbed.mptcp.connection import Connection
from testbed.mptcp.context import Context, TraceRecord
from testbed.mptcp.cookie_ack import Fate, connection_from_cookie, recover_isn, serves_isn_recovery
from testbed.mptcp.events import Event
from testbed.mptcp.fallback import RST_MPTCP_ERROR
from testbed.mptcp.fast_open import door_of, syn_arrived
from testbed.mptcp.half_open_joins import HalfOpenJoins
from testbed.mptcp.incoming import segment_arrived, yields_to
from testbed.mptcp.listener import (
    Listener,
    answer_with_cookie,
    open_half,
)
from testbed.mptcp.martian import can_talk
from testbed.mptcp.outgoing import next_segment
from testbed.mptcp.paths import Join, LocalEndpoint
from testbed.mptcp.paths.endpoints import LAST_ID
from testbed.mptcp.profiles import own
from testbed.mptcp.reasons import Reason
from testbed.mptcp.report import ConnectionReport, Peaks
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.table import Key, Table
from testbed.mptcp.tcp.cookies import FourTuple, SynCookieJar
from testbed.mptcp.tcp.fastopen import CookieCache, Opening
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import ACK, FIN, RST, SYN, MpJoinAck, MpJoinSyn, MpTcpRst, Segment, TooBig

PORT_TRIES = 8


def _join_option(segment: Segment) -> MpJoinSyn | None:
    return next((option for option in segment.options if isinstance(option, MpJoinSyn)), None)


class Endpoint:
    """`entropy(n)` gives n random bytes. `cookie_secret` (32 bytes) makes SYN cookies interchangeable
    between endpoints; drawn from `entropy` when not given. `addresses` are the host's, in the order of its
    paths, and `ports` the range (first, last) for subflows whose connection's own port is taken."""

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        trace: Callable[[TraceRecord], None] | None = None,
        cookie_secret: bytes | None = None,
        addresses: tuple[bytes, ...] = (),
        ports: tuple[int, int] = (49_152, 65_535),
    ) -> None:
        self._context = Context(entropy, trace)
        self._secret = cookie_secret if cookie_secret is not None else entropy(32)
        self._jar = SynCookieJar(self._secret)
        self._cookies = CookieCache()  # of servers, for Fast Open
        self._listeners: dict[int, Listener] = {}
        self._addresses, self._ports = addresses, ports
        self._table = Table()
        self._joins = HalfOpenJoins()
        self._half_open: dict[int, Listener] = {}  # connections in SYN-RECEIVED, by number
        self.peaks = Peaks()

    # -- the application's side: each verb is harmless on a connection that has ended ------------------

    @property
    def counters(self) -> Counter[str]:
        """Linux's MIB names."""
        return self._context.counters

    def listen(self, port: int, config: ServerConfig, addresses: tuple[bytes, ...] = ()) -> None:
        """Accept connections to `port` on these local addresses; on any when none are given."""
        own(*config.profiles)
        self._listeners[port] = Listener(port, config, addresses, self._jar, door_of(config, self._secret))

    def rotate_cookie_secret(self, secret: bytes) -> None:
        """New cookies use `secret`; those of the generation before still count."""
        self._secret = secret
        self._jar.rotate(secret)
        for listener in self._listeners.values():
            if listener.door is not None:
                listener.door.mint.rotate(secret)

    def connect(
        self,
        now: int,
        local: tuple[bytes, int],
        remote: tuple[bytes, int],
        config: ClientConfig,
        *,
        only_cookie: bool = False,
    ) -> int:
        """Start a connection; its number. Raises ValueError when the four-tuple is in use, or no host can
        have these addresses (RFC 9293 §3.9.2.3). `only_cookie`: it is reset as soon as it has a Fast Open
        cookie for the next one; Closed follows in any case."""
        own(config.profile)
        if not can_talk(local[0], remote[0]):
            here, there = (ipaddress.ip_address(one[0]) for one in (local, remote))
            raise ValueError(f"no TCP connection is possible between {here} and {there}")
        key = (local[0], local[1], remote[0], remote[1])
        if self._table.find(key) is not None:
            raise ValueError(f"ports {local[1]} -> {remote[1]} are in use between these addresses")
        conn = active_open(self._context, now, self._jar, self._table.next_number(), local, remote, config)
        if config.fast_open or only_cookie:
            conn.fast_open = Opening(self._cookies, only_cookie, config.fast_open_pauses)
        self._add(key, conn, conn.first)
        self._touch(conn, now)
        return conn.number

    def _open(self, connection: int) -> Connection | None:
        """The connection, unless it is unknown, forgotten or has ended: then a verb does nothing."""
        conn = self._table.by_number.get(connection)
        return None if conn is None or conn.finished else conn

    def send(self, now: int, connection: int, data: bytes) -> int:
        """Queue bytes; how many were taken. SpaceFreed follows when fewer than offered. 0 after the end."""
        conn = self._open(connection)
        if conn is None:
            return 0
        count = conn.send(data)
        self._touch(conn, now)
        return count

    def receive(self, now: int, connection: int, most: int = 1 << 30) -> bytes:
        """What has arrived in order, at most `most` bytes; b"" when there is nothing now. What came before
        Closed can still be read behind it, until `forget`."""
        conn = self._table.by_number.get(connection)
        if conn is None or most <= 0:
            return b""
        data = conn.receive(most)
        if any(sub.tcb.ack_now for sub in conn.subflows):
            self._touch(conn, now)
        return data

    def close(self, now: int, connection: int) -> None:
        """No more to send: DATA_FIN or FIN behind what is queued. Receiving goes on."""
        conn = self._open(connection)
        if conn is None:
            return
        conn.close()
        closing.advance(conn, now)
        self._touch(conn, now)

    def abort(self, now: int, connection: int, reason: Reason = Reason.ABORTED) -> None:
        """Reset the connection at once."""
        conn = self._open(connection)
        if conn is None:
            return
        closing.abort(conn, now, reason)
        self._touch(conn, now)

    def set_backup(self, now: int, connection: int, subflow: int, backup: bool) -> None:
        """Ask the peer (MP_PRIO) to use a subflow only when no other works, or to use it again."""
        conn = self._open(connection)
        if conn is None:
            return
        for sub in conn.subflows:
            if sub.index == subflow and sub.established:
                set_backup(conn, sub, backup)
        self._touch(conn, now)

    def close_subflow(self, now: int, connection: int, subflow: int) -> None:
        """Close one subflow by a FIN behind what it carries; the connection goes on. While a fallback would
        make that FIN the end of the stream, it waits; with checksums, for another subflow."""
        conn = self._open(connection)
        if conn is None:
            return
        for sub in conn.subflows:
            if sub.index == subflow and sub.established:
                closing.retire(conn, sub)
        self._touch(conn, now)

    def remove_address(self, now: int, connection: int, address_id: int) -> None:
        """An address of ours is gone: REMOVE_ADDR, and the end of its subflows."""
        conn = self._open(connection)
        if conn is None:
            return
        if not 0 <= address_id <= LAST_ID:
            return
        withdraw(conn, now, (address_id,))
        self._touch(conn, now)

    def add_endpoint(self, now: int, connection: int, endpoint: LocalEndpoint) -> None:
        """An address of ours is new, or back: what its words ask for is tried (again). Where the last
        subflow is gone, a new one still saves the connection (break-before-make)."""
        conn = self._open(connection)
        if conn is None:
            return
        add_endpoint(conn, endpoint, self._addresses)
        self._plan(conn, now)
        self._touch(conn, now)

    @property
    def connections(self) -> tuple[int, ...]:
        """The numbers of those that are not forgotten, in the order of their beginning."""
        return tuple(self._table.by_number)

    def describe(self, connection: int) -> ConnectionReport:
        """Also after Closed, until `forget`; KeyError for a number that is unknown or forgotten."""
        conn = self._table.by_number.get(connection)
        if conn is None:
            raise KeyError(f"connection {connection} is unknown or was forgotten")
        return conn.describe()

    def forget(self, connection: int) -> None:
        """Drop the report of a closed connection; TIME-WAIT goes on without it."""
        self._table.forget(connection)

    # -- the driver's side ----------------------------------------------------------------------------

    def handle_segment(self, now: int, segment: Segment) -> None:
        """Take one segment from the network. Never raises, whatever is in it."""
        key = (segment.dst, segment.dport, segment.src, segment.sport)
        found = self._table.find(key)
        listener = self._listeners.get(segment.dport)
        if listener is not None and not listener.serves(segment.dst):
            listener = None
        before = None  # on the same ports, in TIME-WAIT
        if found is not None and yields_to(found[1], segment) and self._answers_syn(listener, segment):
            before = found[1].tcb
            self._table.remove(*found)
            found = None
        if found is not None:
            self._deliver(*found, now, segment)
            return
        if not can_talk(segment.dst, segment.src) or key[:2] == key[2:]:
            self._context.count("InAddrErrors")
        elif segment.flags & RST:
            self._joins.remove(half_open_joins.key_of(segment))
        elif segment.flags & (SYN | ACK | FIN) == SYN:
            self._syn(listener, key, now, segment, before)
        elif not self._ends_join(key, now, segment):
            self._acknowledgement_without_connection(listener, key, now, segment)

    def packet_too_big(self, now: int, too_big: TooBig) -> None:
        """A router could not pass on a packet of ours. Believed only of data in flight (RFC 5927 §4.1)."""
        found = self._table.find((*too_big.local, *too_big.remote))
        if found is None:
            return
        conn, sub = found
        tcb = sub.tcb
        if not tcb.snd_una <= tcb.ack_offset(too_big.seq) < tcb.snd_nxt:
            self._context.count("OutOfWindowIcmps")
            return
        tcb.path_mtu_lowered(too_big.mtu, now)
        self._touch(conn, now)

    def _deliver(self, conn: Connection, sub: Subflow, now: int, segment: Segment) -> None:
        segment_arrived(conn, sub, now, segment)
        self._plan(conn, now)
        self._touch(conn, now)
        self._table.bury(conn)

    def _answers_syn(self, listener: Listener | None, segment: Segment) -> bool:
        """Whether a SYN for no subflow would be answered by a SYN/ACK."""
        joins = _join_option(segment)
        if joins is not None:
            return join.refusal(self._joined_by(joins), (segment.dst, segment.dport)) is None
        return listener is not None and listener.takes(find_capable(segment.options))

    def _syn(
        self, listener: Listener | None, key: Key, now: int, segment: Segment, before: Tcb | None
    ) -> None:
        """LISTEN: RFC 9293 §3.10.7.2. A join finds its connection by the token, on any port. `before`:
        a subflow in TIME-WAIT that had these ports."""
        joins = _join_option(segment)
        if joins is not None:
            self._join(listener, now, segment, joins, before)
            return
        if listener is None:
            self._context.answer_reset(segment)
            return
        if not listener.takes(find_capable(segment.options)):
            if listener.is_full:
                self._context.count("ListenOverflows")
            return
        if listener.wants_cookie():
            self._context.outbox.append(answer_with_cookie(listener, self._context, now, segment))
            return
        conn = open_half(listener, self._context, self._table.next_number(), now, segment)
        if before is not None:
            conn.first.tcb.begin_behind(before)
        self._begin_half_open(listener, conn)
        syn_arrived(conn, listener, now, segment)
        self._add(key, conn, conn.first)
        self._touch(conn, now)

    def _joined_by(self, option: MpJoinSyn) -> Connection | None:
        return self._table.by_number.get(self._context.tokens.get(option.token, 0))

    def _join(
        self, listener: Listener | None, now: int, segment: Segment, option: MpJoinSyn, before: Tcb | None
    ) -> None:
        context = self._context
        conn = self._joined_by(option)
        code = join.refusal(conn, (segment.dst, segment.dport))
        join.count_syn(context, conn, option, segment.dport, refused=code is not None)
        if conn is None or code is not None:
            context.answer_reset(segment, join.reset_options(conn, code or RST_MPTCP_ERROR))
            return
        here = place_of(conn, self._addresses, segment.dst, segment.dport)
        cookie = listener is not None and listener.wants_cookie()
        context.outbox.append(
            half_open_joins.answer(self._joins, conn, self._jar, now, segment, option, here, before, cookie)
        )

    def _ends_join(self, key: Key, now: int, segment: Segment) -> bool:
        """A segment for no subflow may open one whose SYN was answered before."""
        if segment.flags & (SYN | ACK) != ACK or not len(self._joins):
            return False
        waiting = half_open_joins.opened_by(self._joins, self._jar, now, segment)
        if waiting is None:
            return False
        conn = self._table.by_number.get(waiting.connection)
        code = join.refusal(conn)
        if conn is None or code is not None:
            self._context.answer_reset(segment, join.reset_options(conn, code or RST_MPTCP_ERROR))
            return True
        if waiting.cookie:
            self._context.count("SyncookiesRecv")
        sub = half_open_joins.subflow_of(conn, waiting)
        self._add(key, conn, sub)
        self._deliver(conn, sub, now, segment)
        return True

    def _acknowledgement_without_connection(
        self, listener: Listener | None, key: Key, now: int, segment: Segment
    ) -> None:
        context = self._context
        if any(isinstance(option, MpJoinAck) for option in segment.options):
            context.answer_reset(segment, (MpTcpRst(RST_MPTCP_ERROR),))
            return
        if listener is not None and not segment.flags & ACK:
            return
        if listener is None or not listener.tries_cookies(now) or segment.flags & SYN:
            context.answer_reset(segment)
            return
        conn = connection_from_cookie(listener, context, self._table.next_number, now, segment)
        if conn is not None:
            context.count("SyncookiesRecv")
            self._add(key, conn, conn.first)
            self._begin_half_open(listener, conn)
            self._deliver(conn, conn.first, now, segment)
            return
        context.count("SyncookiesFailed")
        fate = recover_isn(listener, now, segment) if serves_isn_recovery(listener) else Fate.RESET
        if isinstance(fate, Segment):
            context.outbox.append(fate)
        elif fate is Fate.RESET:
            context.trace(now, 0, "ACK for no connection", Reason.COOKIE_INVALID.value)
            context.answer_reset(segment)

    def _plan(self, conn: Connection, now: int) -> None:
        """Ask the path manager what to do, when something has changed."""
        if not conn.book.plan_due:
            return
        for wanted in plan(conn, now, self._addresses):
            local = self._free_port(conn, wanted)
            if local is None:
                continue
            tuple_ = FourTuple((wanted.local, local), (wanted.remote, wanted.port))
            offset = self._jar.timestamp_offset(tuple_)
            tcb = Tcb(conn.config, tuple_.local, tuple_.remote, self._jar.isn(now, tuple_), offset)
            sub = join.begin(conn, tcb, wanted)
            self._add((*tuple_.local, *tuple_.remote), conn, sub)

    def _free_port(self, conn: Connection, wanted: Join) -> int | None:
        """The connection's own port where that is free: another address makes another four-tuple."""
        first, last = self._ports
        port = conn.local[1]
        for _ in range(PORT_TRIES):
            if self._table.find((wanted.local, port, wanted.remote, wanted.port)) is None:
                return port
            port = first + self._context.random(4) % (last - first + 1)
        return None

    def handle_timeout(self, now: int) -> None:
        """Carry out what is due. An early call does nothing."""
        while (conn := self._table.agenda.due(now)) is not None:
            deadline = conn.deadline()
            if deadline is not None and deadline <= now:
                closing.timed_out(conn, now)
                self._plan(conn, now)
            self._touch(conn, now)

    def poll_transmit(self, now: int) -> Segment | None:
        """The next segment to send, or None."""
        if self._context.outbox:
            return self._context.outbox.popleft()
        while (conn := self._table.agenda.ready()) is not None:
            segment = next_segment(conn, now)
            if segment is not None:
                return segment
            self._table.bury(conn)
            self._table.agenda.settle(conn)
        return None

    def poll_event(self) -> Event | None:
        return self._context.events.popleft() if self._context.events else None

    def poll_timeout(self) -> int | None:
        """When `handle_timeout` wants to be called, in ns; None: not at all."""
        return self._table.agenda.next_deadline()

    # -- books ----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Connections that hold state here, half-open and TIME-WAIT ones included."""
        return len(self._table)

    def _add(self, key: Key, conn: Connection, sub: Subflow) -> None:
        self._context.last_words.pop(key, None)  # those of whoever had these ports before
        self._table.add(key, conn, sub)
        self.peaks.note(len(self._half_open), len(self._table.by_number))

    def _begin_half_open(self, listener: Listener, conn: Connection) -> None:
        listener.half_open += 1
        self._half_open[conn.number] = listener

    def _touch(self, conn: Connection, now: int) -> None:
        """It may have something to send, another deadline, or its handshake behind it."""
        if conn.finished:
            self._joins.forget(conn.number)
        if conn.number in self._half_open and conn.first.tcb.state is not State.SYN_RECEIVED:
            listener = self._half_open.pop(conn.number)
            listener.half_open -= 1
            if conn.first.tcb.fast_open and listener.door is not None:
                listener.door.ended(now, established=conn.first.alive)
        self._table.touch(conn)
