"""The real-time loop: one pure host over one TUN, one timer.

Decides when the clock is read and in which order packets, timers and segments get their turn: whatever is
due, then a batch of packets, then everything that there is to send, then sleep. Time for the host counts
from `origin`. Knows nothing of namespaces, and nothing of what the host does.
Read first: testbed/workloads/host.py (Hosted) for the contract; timer.py.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from typing import Protocol

from testbed.drive.fidelity import LatenessMeter, ReadMeter, ResourceMeter
from testbed.drive.icmp import Icmp
from testbed.drive.stop import Stop
from testbed.drive.timer import Timer
from testbed.drive.tun import Tun
from testbed.mptcp.wire import Segment, TooBig, decode

QUIET = 1_000_000_000  # a host that is done and heard nothing for so long has nothing more to answer
READ_BATCH = 16  # packets read before the answers to them are sent
SEND_BATCH = 64  # segments sent before packets are read again


class Driven(Protocol):
    """What the loop runs: testbed.workloads.host.Hosted."""

    def poll_transmit(self, now: int, /) -> Segment | None: ...

    @property
    def done(self) -> bool: ...

    @property
    def open_connections(self) -> int: ...

    @property
    def holds_state(self) -> bool: ...

    def start(self, now: int) -> None: ...

    def handle_segment(self, now: int, segment: Segment) -> None: ...

    def handle_too_big(self, now: int, too_big: TooBig) -> None: ...

    def handle_timeout(self, now: int) -> None: ...

    def poll_timeout(self) -> int | None: ...


class Loop:
    """Use: `start`, then `run` as often as needed with a condition for its end."""

    def __init__(
        self, host: Driven, tun: Tun, stop: Stop, *, icmp: Icmp | None = None, origin: int | None = None
    ) -> None:
        self._host = host
        self._tun = tun
        self._stop = stop
        self.origin = time.monotonic_ns() if origin is None else origin
        self._timer = Timer()
        self._epoll = select.epoll()
        self._icmp = icmp
        self._icmp_fds = icmp.filenos if icmp is not None else ()
        for fd in (tun.fileno(), self._timer.fileno(), stop.fileno(), *self._icmp_fds):
            self._epoll.register(fd, select.EPOLLIN)
        self._input: int | None = None
        self._heard: tuple[int, Callable[[bytes], None]] | None = None
        self._more = False
        self.input_ended = False
        self.packets_in = 0
        self.packets_out = 0
        self.undecodable = 0
        self.last_packet = 0
        self._lateness = LatenessMeter()
        self._reads = ReadMeter()
        self._resources = ResourceMeter()

    def now(self) -> int:
        return time.monotonic_ns() - self.origin

    @property
    def stopping(self) -> bool:
        """Whether a signal, or the end of the watched input, asks for an end."""
        return self._stop.requested or self.input_ended

    def watch_input(self, fd: int) -> None:
        """End of file on `fd` sets `input_ended`. A file or /dev/null cannot be watched, and is not."""
        with contextlib.suppress(PermissionError):
            self._epoll.register(fd, select.EPOLLIN)
            self._input = fd

    def listen(self, fd: int, hear: Callable[[bytes], None]) -> None:
        """What comes on `fd` goes to `hear`, until its end, which means nothing."""
        with contextlib.suppress(PermissionError):
            self._epoll.register(fd, select.EPOLLIN)
            self._heard = fd, hear

    def start(self) -> None:
        now = self.now()
        self._host.start(now)
        self._transmit(now)
        self._reads.woke()  # what was waited before concerns no frame

    def flush(self) -> None:
        """Sends what the host has to send now; it acted outside of a turn."""
        self._more = True
        while self._more:
            self._transmit(self.now())

    def run(self, until: Callable[[], bool], deadline: int | None = None) -> bool:
        """Until `until()` (asked once a turn), or `deadline` (of `now()`): whether the condition was met.

        Also ends when a signal asks for it.
        """
        while not until():
            if self._stop.requested or (deadline is not None and self.now() >= deadline):
                return False
            self._turn(deadline)
        return True

    def run_until_quiet(self, quiet: int = QUIET) -> None:
        """Until nothing has come for `quiet` nanoseconds, the loop is asked to end, or there is no connection
        left that could answer anything."""
        began = self.now()
        while (until := max(self.last_packet, began) + quiet) > self.now() and not self._may_leave():
            self.run(self._may_leave, until)

    def _may_leave(self) -> bool:
        return self.stopping or not self._host.holds_state

    def _turn(self, deadline: int | None) -> None:
        host = self._host
        due = host.poll_timeout()
        wake = deadline if due is None or (deadline is not None and deadline < due) else due
        self._timer.arm(None if wake is None else wake + self.origin)
        ready = self._epoll.poll(0 if self._more else None)
        self._reads.woke()
        now = time.monotonic_ns() - self.origin
        if due is not None and now >= due:
            self._lateness.add(now - due)
            host.handle_timeout(now)
        tun = self._tun.fileno()
        for fd, _ in ready:
            if fd == tun:
                self._reads.read(self._receive())
            elif fd in self._icmp_fds:
                self._hear_routers()
            elif fd == self._input and not os.read(fd, 4096):
                self._epoll.unregister(fd)
                self.input_ended = True
            elif self._heard is not None and fd == self._heard[0]:
                self._hear(*self._heard)
        self._transmit(time.monotonic_ns() - self.origin)

    def _receive(self) -> int:
        """How many packets there were, up to a batch."""
        read, handle, origin = self._tun.read, self._host.handle_segment, self.origin
        for count in range(READ_BATCH):
            found = read()
            if found is None:
                return count
            data, verify = found
            segment = decode(data, verify=verify)
            self.packets_in += 1
            if isinstance(segment, Segment):
                self.last_packet = time.monotonic_ns() - origin
                handle(self.last_packet, segment)
            else:
                self.undecodable += 1
        return READ_BATCH

    def _hear(self, fd: int, hear: Callable[[bytes], None]) -> None:
        data = os.read(fd, 4096)
        if data:
            hear(data)
        else:
            self._epoll.unregister(fd)
            self._heard = None

    def _hear_routers(self) -> None:
        if self._icmp is not None:
            for too_big in self._icmp.read():
                self._host.handle_too_big(self.now(), too_big)

    def _transmit(self, now: int) -> None:
        """Up to a batch. When more may be left, the next turn does not sleep."""
        poll, send = self._host.poll_transmit, self._tun.send
        for _ in range(SEND_BATCH):
            segment = poll(now)
            if segment is None:
                self._more = False
                return
            send(segment)
            self.packets_out += 1
        self._more = True

    def figures(self) -> dict[str, float]:
        """The evidence for the record."""
        return {
            **self._lateness.figures("host_timer"),
            **self._reads.figures("host"),
            **self._resources.figures("host", self.packets_in + self.packets_out),
            "host_packets_in": float(self.packets_in),
            "host_packets_out": float(self.packets_out),
            "host_undecodable": float(self.undecodable),
            "host_write_errors": float(self._tun.write_errors),
        }

    def close(self) -> None:
        self._reads.close()
        self._epoll.close()
        self._timer.close()
