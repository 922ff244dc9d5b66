"""Linux's sockets behind the contract of testbed/mptcp/endpoint.py: the same applications run on them.

Decides how readiness of sockets becomes events, and when the kernel is asked about a connection: once it is
there, with its first data, before this end closes, at its end, and for every description. Descriptions are
made of the most that was seen. Handed the time like every endpoint; packets and timers are the kernel's.
Knows nothing of workloads.
Read first: testbed/workloads/host.py (Hosted), sockets.py; mptcp(7) where there is one.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping

from testbed.errors import MachineError
from testbed.linux import verdicts
from testbed.linux.connection import Connection, text_of
from testbed.linux.settings import CONTROLLERS
from testbed.linux.sockets import IPPROTO_MPTCP, MSG_FASTOPEN, mapped, unmapped
from testbed.mptcp.config import ClientConfig, ServerConfig, TcpConfig
from testbed.mptcp.events import Accepted, Closed, Connected, DataArrived, Event, PeerFinished, SpaceFreed
from testbed.mptcp.reasons import HANGS, Reason, Verdict
from testbed.mptcp.report import ConnectionReport

CHUNK = 1 << 18
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: a close that resets
_GONE_ON = (errno.EINPROGRESS, errno.EAGAIN)


class KernelEndpoint:
    """`counted()`: Linux's counters of this network namespace since the run began. `poller` has the sockets;
    whoever waits on it hands in what is ready."""

    def __init__(self, counted: Callable[[], Mapping[str, int]], *, both_families: bool = False) -> None:
        self._counted = counted
        self._both = both_families
        self.poller = select.epoll()
        self._events: deque[Event] = deque()
        self._listeners: dict[int, tuple[socket.socket, ServerConfig]] = {}
        self._connections: dict[int, Connection] = {}
        self._by_fd: dict[int, Connection] = {}
        self._waiting: dict[int, Connection] = {}  # Fast Open: their SYN goes with the first data
        self._blamed = 0  # connections put down to a third ACK without MP_CAPABLE
        self._next = 0

    # -- the application's side -----------------------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        return dict(self._counted())

    def listen(self, port: int, config: ServerConfig, addresses: tuple[bytes, ...] = ()) -> None:
        """On all addresses: Linux takes MP_JOIN only where something listens."""
        family = self._family(text_of(addresses[0]) if addresses else "0.0.0.0")
        sock = self._socket(family, config.tcp)
        if config.fast_open:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, config.fast_open_pending)
        self._bind(sock, "", port)
        sock.listen(config.backlog)
        self._listeners[sock.fileno()] = sock, config
        self.poller.register(sock, select.EPOLLIN)

    def connect(
        self, now: int, local: tuple[bytes, int], remote: tuple[bytes, int], config: ClientConfig
    ) -> int:
        here, there = (text_of(local[0]), local[1]), (text_of(remote[0]), remote[1])
        sock = self._socket(self._family(here[0]), config.tcp)
        self._bind(sock, *here)
        conn = self._add(sock, "client", here, there)
        conn.config = config
        if config.fast_open:
            self._waiting[conn.number] = conn
        else:
            self._connect(conn)
        return conn.number

    def send(self, now: int, connection: int, data: bytes) -> int:
        conn = self._connections[connection]
        if conn.sock is None or (conn.connecting and connection not in self._waiting):
            return 0
        try:
            if self._waiting.pop(connection, None) is not None:
                self._watch(conn, writing=True)
                count = conn.sock.sendto(data, MSG_FASTOPEN, self._target(conn))
                conn.syn_data = count
            else:
                count = conn.sock.send(data)
        except OSError as error:
            if error.errno not in _GONE_ON:
                self._failed(conn, error)
                return 0
            count = 0
        if count < len(data):
            self._watch(conn, writing=True)
        conn.sent += count
        return count

    def receive(self, now: int, connection: int, most: int = 1 << 30) -> bytes:
        conn = self._connections[connection]
        data, conn.incoming = conn.incoming[:most], conn.incoming[most:]
        return data

    def close(self, now: int, connection: int) -> None:
        """After what was sent; Closed comes once the peer has finished as well."""
        conn = self._connections[connection]
        if conn.sock is None or conn.shut:
            return
        conn.shut = True
        conn.observe()
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._failed(conn, error)
            return
        if conn.peer_finished:
            self._finish(conn, verdicts.clean(conn.fallback))

    def abort(self, now: int, connection: int, reason: Reason = Reason.ABORTED) -> None:
        conn = self._connections[connection]
        if conn.sock is None:
            return
        self._waiting.pop(connection, None)
        conn.observe()
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        verdict = Verdict.HANG if reason in HANGS else Verdict.RESET
        self._finish(conn, verdicts.End(verdict, reason, "rst"), clean=False)

    def describe(self, connection: int) -> ConnectionReport:
        """As it is now: the kernel is asked once more while there is a socket."""
        conn = self._connections[connection]
        conn.observe()
        return conn.report()

    def forget(self, connection: int) -> None:
        del self._connections[connection]

    # -- the driver's side ----------------------------------------------------------------------------

    def handle_ready(self, now: int, fd: int, mask: int) -> None:
        """What the poller said of a socket; those that are not ours are left alone."""
        if fd in self._listeners:
            self._accept(*self._listeners[fd])
        elif (conn := self._by_fd.get(fd)) is not None:
            if conn.connecting and not self._connected(conn):
                return
            if mask & ~select.EPOLLOUT:
                self._read(conn)
            if mask & select.EPOLLOUT and conn.sock is not None:
                self._watch(conn)
                self._events.append(SpaceFreed(conn.number))

    def poll_transmit(self, now: int) -> None:
        """Fast Open that had nothing to send with its SYN."""
        while self._waiting:
            self._connect(self._waiting.popitem()[1])

    def poll_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> None:
        """The kernel keeps time itself."""

    def __len__(self) -> int:
        return len(self._by_fd)

    # -- sockets --------------------------------------------------------------------------------------

    def _socket(self, family: int, config: TcpConfig) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, IPPROTO_MPTCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not config.nagle)
        wanted = CONTROLLERS[config.congestion]
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, wanted.encode())
        except OSError as error:
            raise MachineError(
                f"congestion control {wanted}: {error.strerror}; sudo modprobe tcp_{wanted}"
            ) from None
        return sock

    def _family(self, address: str) -> socket.AddressFamily:
        """Only a socket of IPv6, with IPv4 mapped, may have subflows of both."""
        return socket.AF_INET6 if ":" in address or self._both else socket.AF_INET

    def _bind(self, sock: socket.socket, address: str, port: int) -> None:
        try:
            sock.bind((mapped(address) if self._both and address else address, port))
        except OSError as error:
            raise MachineError(f"port {port} of {address or 'this host'}: {error.strerror}") from None

    def _target(self, conn: Connection) -> tuple[str, int]:
        address, port = conn.remote
        return (mapped(address) if self._both else address), port

    def _add(
        self, sock: socket.socket, role: str, local: tuple[str, int], remote: tuple[str, int]
    ) -> Connection:
        conn = Connection(self._next, sock, role, local, remote)
        self._next += 1
        self._connections[conn.number] = conn
        self._by_fd[sock.fileno()] = conn
        self.poller.register(sock, select.EPOLLIN if role == "server" else 0)
        return conn

    def _watch(self, conn: Connection, *, writing: bool = False) -> None:
        assert conn.sock is not None
        reading = 0 if conn.peer_finished or conn.connecting else select.EPOLLIN
        self.poller.modify(conn.sock, reading | (select.EPOLLOUT if writing else 0))

    def _connect(self, conn: Connection) -> None:
        assert conn.sock is not None
        self._watch(conn, writing=True)
        error = conn.sock.connect_ex(self._target(conn))
        if error and error not in _GONE_ON:
            self._failed(conn, OSError(error, ""))

    def _connected(self, conn: Connection) -> bool:
        assert conn.sock is not None
        error = conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._failed(conn, OSError(error, ""))
            return False
        conn.connecting = False
        conn.observe()
        if conn.plain:
            self._client_fell_back(conn, early=True)
        self._watch(conn)
        self._events.append(Connected(conn.number))
        return True

    def _accept(self, listener: socket.socket, config: ServerConfig) -> None:
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:  # none left, or one that is gone again
                return
            sock.setblocking(False)
            local = sock.getsockname()
            conn = self._add(sock, "server", (unmapped(local[0]), local[1]), (unmapped(peer[0]), peer[1]))
            conn.connecting = False
            conn.observe()
            conn.note_syn_data()
            if conn.plain:
                counted = self._counted()
                reason = verdicts.server_fallback(early=True, blamed=self._blamed, counted=counted)
                self._blamed += reason is Reason.THIRD_ACK_WITHOUT_CAPABLE
                conn.fallback = reason
            self._events.append(Accepted(conn.number, conn.packed_local, conn.packed_remote))

    def _read(self, conn: Connection) -> None:
        assert conn.sock is not None
        if conn.peer_finished:
            return
        try:
            data = conn.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(conn, error)
            return
        if data:
            if not conn.received:
                conn.observe()
            conn.received += len(data)
            conn.incoming += data
            self._events.append(DataArrived(conn.number))
            return
        conn.peer_finished = True
        conn.observe()
        self._late_fallback(conn)
        if conn.shut:
            self._finish(conn, verdicts.clean(conn.fallback))
        else:
            self._watch(conn)
            self._events.append(PeerFinished(conn.number))

    def _client_fell_back(self, conn: Connection, *, early: bool) -> None:
        assert conn.config is not None
        conn.fallback = verdicts.client_fallback(
            early=early,
            syn_retransmits=conn.retransmits,
            syn_retries=conn.config.syn_retries,
            counted={} if early else self._counted(),
        )

    def _late_fallback(self, conn: Connection) -> None:
        """A connection that had MPTCP and has it no more."""
        if not conn.plain or conn.fallback is not Reason.NONE:
            return
        if conn.role == "client":
            self._client_fell_back(conn, early=False)
        else:
            conn.fallback = verdicts.server_fallback(early=False, blamed=0, counted=self._counted())

    def _failed(self, conn: Connection, error: OSError) -> None:
        self._waiting.pop(conn.number, None)
        conn.observe()
        self._late_fallback(conn)
        number = error.errno or errno.ECONNRESET
        end = verdicts.broken(
            number, connected=not conn.connecting, fallback=conn.fallback, counted=self._counted()
        )
        self._finish(conn, end, clean=False)

    def _finish(self, conn: Connection, end: verdicts.End, *, clean: bool = True) -> None:
        sock, conn.sock = conn.sock, None
        if sock is None:
            return
        conn.end = end
        del self._by_fd[sock.fileno()]
        self.poller.unregister(sock)
        sock.close()
        self._events.append(Closed(conn.number, clean, end.verdict, end.reason))
