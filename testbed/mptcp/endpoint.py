"""One host's protocol engine: packets, time and entropy in; packets, events and the next deadline out.

Decides which connection a segment belongs to, and answers the segments that belong to none. Holds all
connections of a host. The same object runs in the simulator, in a lab and against a kernel.
Read first: RFC 9293 §3.10.7.1-2 (CLOSED and LISTEN), RFC 8684 §3.1.

    endpoint = Endpoint(entropy=os.urandom)
    endpoint.listen(80, ServerConfig())
    endpoint.handle_segment(now, segment)
    while (event := endpoint.poll_event()): ...      # the application reacts: send, close, ...
    while (segment := endpoint.poll_transmit(now)): ...
    wake_me_at(endpoint.poll_timeout())
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable

from testbed.mptcp import closing
from testbed.mptcp.capable import find_capable
from testbed.mptcp.config import ClientConfig, Profile, ServerConfig
from testbed.mptcp.connection import Connection
from testbed.mptcp.context import Context, TraceRecord
from testbed.mptcp.cookie_ack import Fate, connection_from_cookie, recover_isn, serves_isn_recovery
from testbed.mptcp.events import Event
from testbed.mptcp.incoming import segment_arrived, yields_to
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.listener import Listener, answer_with_cookie, is_silently_ignored, open_half
from testbed.mptcp.outgoing import next_segment
from testbed.mptcp.reasons import Reason
from testbed.mptcp.report import ConnectionReport
from testbed.mptcp.tcp.cookies import FourTuple, SynCookieJar
from testbed.mptcp.tcp.state import State
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import ACK, FIN, RST, SYN, Segment, TooBig

_Key = tuple[bytes, int, bytes, int]


class Endpoint:
    """`entropy(n)` gives n random bytes. `cookie_secret` (32 bytes) makes SYN cookies interchangeable
    between endpoints; drawn from `entropy` when not given."""

    def __init__(
        self,
        *,
        entropy: Callable[[int], bytes],
        trace: Callable[[TraceRecord], None] | None = None,
        cookie_secret: bytes | None = None,
    ) -> None:
        self._context = Context(entropy, trace)
        self._jar = SynCookieJar(cookie_secret if cookie_secret is not None else entropy(32))
        self._listeners: dict[int, Listener] = {}
        self._by_tuple: dict[_Key, Connection] = {}
        self._by_number: dict[int, Connection] = {}
        self._last_number = 0
        self._ready: deque[Connection] = deque()
        self._ready_set: set[int] = set()
        self._timers: list[tuple[int, int]] = []  # (deadline, connection), stale entries included
        self._timer_owner: dict[int, Connection] = {}

    # -- the application's side -----------------------------------------------------------------------

    @property
    def counters(self) -> Counter[str]:
        """Linux's MIB names."""
        return self._context.counters

    def listen(self, port: int, config: ServerConfig, addresses: tuple[bytes, ...] = ()) -> None:
        """Accept connections to `port` on these local addresses; on any when none are given."""
        self._listeners[port] = Listener(port, config, addresses, self._jar)

    def rotate_cookie_secret(self, secret: bytes) -> None:
        """New cookies use `secret`; those of the generation before still count."""
        self._jar.rotate(secret)

    def connect(
        self, now: int, local: tuple[bytes, int], remote: tuple[bytes, int], config: ClientConfig
    ) -> int:
        """Start a connection; its number. Raises ValueError when the four-tuple is in use."""
        key = (local[0], local[1], remote[0], remote[1])
        if key in self._by_tuple:
            raise ValueError(f"ports {local[1]} -> {remote[1]} are in use between these addresses")
        context = self._context
        offset = self._jar.timestamp_offset(FourTuple(local, remote))
        tcb = Tcb(config.tcp, local, remote, context.random(4), offset)
        tcb.move(State.SYN_SENT)
        tcb.syn_due = True
        conn = Connection(self._next_number(), "client", context, tcb, config.profile, config.mptcp)
        conn.third_ack, conn.first_data = config.third_ack, config.first_data
        conn.syn_retries = config.syn_retries
        if config.profile is not Profile.TCP:
            own_key = context.random(8)
            while token_and_idsn(own_key, conn.speech.sha256)[0] in context.tokens:
                own_key = context.random(8)
            conn.set_local_key(own_key)
        self._add(key, conn)
        self._touch(conn)
        return conn.number

    def send(self, now: int, connection: int, data: bytes) -> int:
        """Queue bytes; how many were taken. SpaceFreed follows when fewer than offered."""
        conn = self._by_number[connection]
        count = conn.send(data)
        self._touch(conn)
        return count

    def receive(self, now: int, connection: int, most: int = 1 << 30) -> bytes:
        """What has arrived in order, at most `most` bytes; b"" when there is nothing now."""
        conn = self._by_number[connection]
        data = conn.receive(most)
        if conn.tcb.ack_now:
            self._touch(conn)
        return data

    def close(self, now: int, connection: int) -> None:
        """No more to send: DATA_FIN or FIN behind what is queued. Receiving goes on."""
        conn = self._by_number[connection]
        conn.close()
        closing.advance(conn, now)
        self._touch(conn)

    def abort(self, now: int, connection: int, reason: Reason = Reason.ABORTED) -> None:
        """Reset the connection at once."""
        conn = self._by_number[connection]
        conn.abort(now, reason)
        self._touch(conn)

    def describe(self, connection: int) -> ConnectionReport:
        """Also after Closed, until `forget`."""
        return self._by_number[connection].describe()

    def forget(self, connection: int) -> None:
        """Drop the report of a closed connection; TIME-WAIT goes on without it."""
        conn = self._by_number.get(connection)
        if conn is not None and conn.finished:
            del self._by_number[connection]

    # -- the driver's side ----------------------------------------------------------------------------

    def handle_segment(self, now: int, segment: Segment) -> None:
        """Take one segment from the network. Never raises, whatever is in it."""
        key = (segment.dst, segment.dport, segment.src, segment.sport)
        conn = self._by_tuple.get(key)
        if conn is not None and yields_to(conn, segment):
            self._remove(key, conn)
            conn = None
        if conn is not None:
            self._deliver(key, conn, now, segment)
            return
        listener = self._listeners.get(segment.dport)
        if listener is None or not listener.serves(segment.dst):
            self._context.answer_reset(segment)
        elif segment.flags & RST:
            return
        elif segment.flags & ACK:
            self._acknowledgement_for_nobody(listener, key, now, segment)
        elif segment.flags & SYN and not segment.flags & FIN:
            self._syn(listener, key, now, segment)

    def packet_too_big(self, now: int, too_big: TooBig) -> None:
        """A router could not pass on a packet of ours. Believed only of data in flight (RFC 5927 §4.1)."""
        conn = self._by_tuple.get((*too_big.local, *too_big.remote))
        if conn is None:
            return
        tcb = conn.tcb
        if not tcb.snd_una <= tcb.ack_offset(too_big.seq) < tcb.snd_nxt:
            self._context.count("OutOfWindowIcmps")
            return
        tcb.path_mtu_lowered(too_big.mtu)
        self._touch(conn)

    def _deliver(self, key: _Key, conn: Connection, now: int, segment: Segment) -> None:
        was_half_open = conn.tcb.state is State.SYN_RECEIVED
        segment_arrived(conn, now, segment)
        if was_half_open and conn.tcb.state is not State.SYN_RECEIVED:
            self._no_longer_half_open(conn)
        self._touch(conn)
        if conn.tcb.state is State.CLOSED and conn.reset_options is None:
            self._remove(key, conn)

    def _syn(self, listener: Listener, key: _Key, now: int, segment: Segment) -> None:
        """LISTEN: RFC 9293 §3.10.7.2."""
        if is_silently_ignored(find_capable(segment.options), listener.config):
            return
        if listener.wants_cookie():
            self._context.outbox.append(answer_with_cookie(listener, self._context, now, segment))
        elif listener.half_open < listener.config.backlog:
            conn = open_half(listener, self._context, self._next_number(), now, segment)
            listener.half_open += 1
            self._add(key, conn)
            self._touch(conn)
        else:
            self._context.count("ListenOverflows")

    def _acknowledgement_for_nobody(self, listener: Listener, key: _Key, now: int, segment: Segment) -> None:
        context = self._context
        if not listener.tries_cookies(now) or segment.flags & SYN:
            context.answer_reset(segment)
            return
        conn = connection_from_cookie(listener, context, self._last_number + 1, now, segment)
        if conn is not None:
            self._last_number += 1
            context.count("SyncookiesRecv")
            self._add(key, conn)
            listener.half_open += 1
            self._deliver(key, conn, now, segment)
            return
        context.count("SyncookiesFailed")
        fate = recover_isn(listener, now, segment) if serves_isn_recovery(listener) else Fate.RESET
        if isinstance(fate, Segment):
            context.outbox.append(fate)
        elif fate is Fate.RESET:
            context.trace(now, 0, "ACK for no connection", Reason.COOKIE_INVALID.value)
            context.answer_reset(segment)

    def handle_timeout(self, now: int) -> None:
        """Carry out what is due. An early call does nothing."""
        timers = self._timers
        while timers and timers[0][0] <= now:
            at, number = heapq.heappop(timers)
            conn = self._timer_owner.get(number)
            if conn is None or conn.scheduled != at:
                continue
            conn.scheduled = None
            deadline = conn.deadline()
            if deadline is not None and deadline <= now:
                was_half_open = conn.tcb.state is State.SYN_RECEIVED
                closing.timed_out(conn, now)
                if was_half_open and conn.tcb.state is not State.SYN_RECEIVED:
                    self._no_longer_half_open(conn)
            self._touch(conn)

    def poll_transmit(self, now: int) -> Segment | None:
        """The next segment to send, or None."""
        if self._context.outbox:
            return self._context.outbox.popleft()
        while self._ready:
            conn = self._ready[0]
            segment = next_segment(conn, now)
            if segment is not None:
                return segment
            self._ready.popleft()
            self._ready_set.discard(conn.number)
            self._reschedule(conn)
        return None

    def poll_event(self) -> Event | None:
        return self._context.events.popleft() if self._context.events else None

    def poll_timeout(self) -> int | None:
        """When `handle_timeout` wants to be called, in ns; None: not at all."""
        timers = self._timers
        while timers:
            at, number = timers[0]
            conn = self._timer_owner.get(number)
            if conn is not None and conn.scheduled == at:
                return at
            heapq.heappop(timers)
        return None

    # -- books ----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Connections that hold state here, half-open and TIME-WAIT ones included."""
        return len(self._by_tuple)

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _add(self, key: _Key, conn: Connection) -> None:
        self._by_tuple[key] = conn
        self._by_number[conn.number] = conn

    def _remove(self, key: _Key, conn: Connection) -> None:
        if self._by_tuple.get(key) is conn:
            del self._by_tuple[key]
        self._timer_owner.pop(conn.number, None)
        if not conn.announced:
            self._by_number.pop(conn.number, None)
            if conn.local_token is not None:
                self._context.tokens.pop(conn.local_token, None)

    def _no_longer_half_open(self, conn: Connection) -> None:
        listener = self._listeners.get(conn.tcb.local[1])
        if listener is not None and conn.role == "server":
            listener.half_open -= 1

    def _touch(self, conn: Connection) -> None:
        """It may have something to send, or another deadline."""
        if conn.number not in self._ready_set:
            self._ready_set.add(conn.number)
            self._ready.append(conn)

    def _reschedule(self, conn: Connection) -> None:
        tcb = conn.tcb
        if tcb.state is State.CLOSED:
            (local, lport), (remote, rport) = tcb.local, tcb.remote
            self._remove((local, lport, remote, rport), conn)
            conn.scheduled = None
            return
        deadline = conn.deadline()
        if deadline == conn.scheduled:
            return
        if deadline is None:
            conn.scheduled = None
        elif conn.scheduled is None or deadline < conn.scheduled:
            # A later deadline keeps the earlier entry, which re-arms itself when it comes up.
            conn.scheduled = deadline
            self._timer_owner[conn.number] = conn
            heapq.heappush(self._timers, (deadline, conn.number))
