"""One host of a lab on Linux's own MPTCP: the same job, applications and report as host.py, by sockets.

Decides the order: settings of this network namespace, the base line of its counters, then one loop over the
sockets and one timer. Needs no TUN and diverts nothing. Read first: host.py, which hands over to this;
testbed/linux/endpoint.py.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from testbed.drive.fidelity import LatenessMeter, ReadMeter, ResourceMeter
from testbed.drive.memory import settle
from testbed.drive.stop import Stop
from testbed.drive.timer import HOSTS, Timer, ask_for_exact_timers, ask_for_precedence, has_precedence
from testbed.link import stream
from testbed.linux import node
from testbed.linux.endpoint import KernelEndpoint
from testbed.linux.settings import settings_of
from testbed.mptcp.endpoint import Endpoint
from testbed.workloads.host import CLIENTS, SERVERS, Hosted
from testbed.workloads.spec import HostSpec


class KernelLoop:
    """As loop.py's, for a host on sockets. Ends early when a signal asks for it."""

    def __init__(self, host: Hosted, endpoint: KernelEndpoint, stop: Stop, origin: int | None) -> None:
        self._host, self._endpoint, self._stop = host, endpoint, stop
        self._origin = time.monotonic_ns() if origin is None else origin
        self._timer = Timer()
        self._poller = endpoint.poller
        self._input = sys.stdin.fileno()
        self.input_ended = False
        self._own = (self._timer.fileno(), stop.fileno())
        for fd in self._own:
            self._poller.register(fd, select.EPOLLIN)
        with suppress(PermissionError):  # a file, or /dev/null
            self._poller.register(self._input, select.EPOLLIN)
        self.lateness = LatenessMeter()
        self.reads = ReadMeter()

    def now(self) -> int:
        return time.monotonic_ns() - self._origin

    def start(self) -> None:
        self._host.start(self.now())
        self._host.poll_transmit(self.now())
        self.reads.woke()  # what was waited before concerns no frame

    def run(self, until: Callable[[], bool], deadline: int | None = None) -> None:
        while not until() and not self._stop.requested:
            if deadline is not None and self.now() >= deadline:
                return
            self._turn(deadline)

    def _turn(self, deadline: int | None) -> None:
        host = self._host
        due = host.poll_timeout()
        wake = min((at for at in (due, deadline) if at is not None), default=None)
        self._timer.arm(None if wake is None else wake + self._origin)
        ready = self._poller.poll()
        self.reads.woke()
        now = self.now()
        if due is not None and now >= due:
            self.lateness.add(now - due)
            host.handle_timeout(now)
        for fd, mask in ready:
            if fd == self._input:
                if not os.read(fd, 4096):
                    self._poller.unregister(fd)
                    self.input_ended = True
                continue
            self.reads.read(fd not in self._own)
            host.act(self.now(), lambda at, _, fd=fd, mask=mask: self._endpoint.handle_ready(at, fd, mask))  # type: ignore[misc]
        host.poll_transmit(self.now())


def run(spec: HostSpec, stop: Stop, *, stay: bool, origin: int | None, leave_within: int) -> dict[str, Any]:
    """Runs the host in the current namespace; what OUT.json is to hold."""
    settings = settings_of(spec)
    node.apply(settings.sysctls, settings.endpoints, settings.limits)
    before, segments = node.counters(), node.segments()
    client = spec.role == "client"
    texts = (*spec.addresses, *spec.remote)
    endpoint = KernelEndpoint(
        lambda: node.since(before, node.counters()),
        both_families=any(":" in text for text in texts) and not all(":" in text for text in texts),
    )
    rng = stream(spec.seed, spec.name, "application")
    kind = spec.workload.type
    # The applications ask for no more than what a KernelEndpoint has.
    host = Hosted(cast(Endpoint, endpoint), CLIENTS[kind](spec, rng) if client else SERVERS[kind](spec))
    resources = ResourceMeter()
    loop = KernelLoop(host, endpoint, stop, origin)
    ask_for_exact_timers()
    settle()
    ask_for_precedence(HOSTS)
    if not client:
        loop.start()  # or the first SYN would find nobody
    print("ready", flush=True)
    began = loop.now()
    if client:
        loop.start()
    loop.run(lambda: host.done or loop.input_ended)
    elapsed = loop.now() - began
    if client and host.done and stay:
        print("done", flush=True)
        loop.run(lambda: loop.input_ended)
    elif not client:
        loop.run(lambda: host.open_connections == 0, loop.now() + leave_within)
    moved = node.since(segments, node.segments())
    heard, sent = moved.get("InSegs", 0), moved.get("OutSegs", 0)
    return {
        "rows": host.rows(),
        "counters": {**host.counters(), "RetransSegs": moved.get("RetransSegs", 0)},
        "fidelity": {
            **loop.lateness.figures("host_timer"),
            **loop.reads.figures("host"),
            **resources.figures("host", heard + sent),
            "host_realtime": float(has_precedence()),
            "host_packets_in": float(heard),
            "host_packets_out": float(sent),
        },
        "elapsed_ns": elapsed,
        "invalid": None,
    }
