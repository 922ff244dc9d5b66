"""`python -m testbed.drive.wires SPEC.json OUT.json`: all wires of a lab, in one process, in real time.

Decides when frames are read, held and written; what happens to a packet is the link model's business
(`testbed.link.Direction`), the same that the simulator runs. Each link is a pair of TAP descriptors,
inherited. Frames without which IP does not work at all (ARP, neighbour discovery, other link-local
multicast) get the wire's delay and nothing else, so that no loss or drop rule meets them and the
random streams depend on the order of real packets only. Knows nothing of hosts and routes.
Read first: testbed/link/__init__.py; timer.py for how it waits.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import select
import sys
import time
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from testbed.capture import ETHERNET, CaptureWriter, Interface
from testbed.drive.fidelity import LatenessMeter, ResourceMeter
from testbed.drive.report import write_report
from testbed.drive.stop import Stop
from testbed.drive.timer import Timer, ask_for_exact_timers, ask_for_precedence
from testbed.errors import TestbedError, UserError
from testbed.link import Direction, LinkParams, stream
from testbed.mptcp.wire import Segment, decode

ETHERNET_HEADER = 14
_IPV4 = b"\x08\x00"
_IPV6 = b"\x86\xdd"
_READ_SIZE = 1 << 16
_BATCH = 32  # frames read from one TAP before the others and the due deliveries get their turn
_ICMPV6 = 58


class Frame:
    """An Ethernet frame as the link model sees a packet: its length, and its segment when asked."""

    __slots__ = ("_segment", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._segment: Segment | bool | None = False  # False: not looked at yet

    @property
    def frame_length(self) -> int:
        return len(self.data)

    def segment(self) -> Segment | None:
        if self._segment is False:
            decoded = decode(self.data[ETHERNET_HEADER:], verify=False)
            self._segment = decoded if isinstance(decoded, Segment) else None
        return self._segment  # type: ignore[return-value]


def is_housekeeping(frame: bytes) -> bool:
    """ARP, neighbour discovery, multicast and whatever else is no unicast IP packet."""
    if frame[0] & 1:
        return True
    kind = frame[12:14]
    if kind == _IPV4:
        return False
    return kind != _IPV6 or (len(frame) > 54 and frame[20] == _ICMPV6 and 133 <= frame[54] <= 137)


class _Way:
    """One direction of one wire: from the TAP that is read to the TAP that is written."""

    def __init__(self, link: str, side: str, source: int, sink: int, params: LinkParams, seed: int) -> None:
        self.label = f"{link}/{side}"
        self.source = source
        self.sink = sink
        self.delay = params.delay
        self.direction = Direction(self.label, params, stream(seed, link, side))
        self.capture: CaptureWriter | None = None
        self.interface = 0
        self.housekeeping = 0
        self.write_errors = 0


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One link as the specification file names it. `capture`: a path that several links may share."""

    name: str
    a_fd: int
    b_fd: int
    forward: LinkParams
    backward: LinkParams
    capture: str | None = None


class Wires:
    """Runs until `stop` is requested or until its watched descriptor reports end of file."""

    def __init__(self, links: tuple[LinkSpec, ...], seed: int, stop: Stop) -> None:
        self._stop = stop
        self._ways: dict[int, _Way] = {}
        self._heap: list[tuple[int, int, bytes, _Way]] = []
        self._number = 0
        self._packets = 0
        self._longest_turn = 0
        self._files = contextlib.ExitStack()
        self.captures: list[str] = []
        self.realtime = False
        self._lateness = LatenessMeter()
        self._wall = time.time_ns() - time.monotonic_ns()
        for link in links:
            for side, (source, sink, params) in {
                "forward": (link.a_fd, link.b_fd, link.forward),
                "backward": (link.b_fd, link.a_fd, link.backward),
            }.items():
                os.set_blocking(source, False)
                self._ways[source] = _Way(link.name, side, source, sink, params, seed)
        self._open_captures(links)
        self._resources = ResourceMeter()

    def _open_captures(self, links: tuple[LinkSpec, ...]) -> None:
        for path in dict.fromkeys(link.capture for link in links if link.capture):
            members = [link for link in links if link.capture == path]
            file = self._files.enter_context(io.BufferedWriter(io.FileIO(path, "w"), 1 << 20))
            writer = CaptureWriter(file, [Interface(link.name, ETHERNET) for link in members])
            self.captures.append(path)
            for interface, link in enumerate(members):
                for fd in (link.a_fd, link.b_fd):
                    self._ways[fd].capture = writer
                    self._ways[fd].interface = interface

    def run(self, end: int | None = None) -> None:
        """`end`: a descriptor whose end of file (or hang-up) ends the run."""
        epoll = select.epoll()
        timer = Timer()
        clock = time.monotonic_ns
        epoll.register(timer.fileno(), select.EPOLLIN)
        epoll.register(self._stop.fileno(), select.EPOLLIN)
        for fd in self._ways:
            epoll.register(fd, select.EPOLLIN)
        if end is not None:
            with contextlib.suppress(PermissionError):  # a file or /dev/null: only a signal ends us
                epoll.register(end, select.EPOLLIN | select.EPOLLHUP)
        heap = self._heap
        try:
            while not self._stop.requested:
                timer.arm(heap[0][0] if heap else None)
                ready = epoll.poll()
                turn = clock()
                for fd, _ in ready:
                    way = self._ways.get(fd)
                    if way is not None:
                        if self._read(way) < 0:
                            epoll.unregister(fd)  # the device is gone; the other wires go on
                        if heap and heap[0][0] <= clock():
                            self._deliver()
                    elif fd == end and not os.read(fd, 4096):
                        self._stop.request()
                self._deliver()
                self._longest_turn = max(self._longest_turn, clock() - turn)
            for way in self._ways.values():
                while self._read(way) == _BATCH:
                    pass  # what was sent before the end belongs into the record
        finally:
            epoll.close()
            timer.close()
            self._files.close()

    def _read(self, way: _Way) -> int:
        """How many frames there were, up to a batch; -1 when the device is gone."""
        for count in range(_BATCH):
            try:
                data = os.read(way.source, _READ_SIZE)
            except BlockingIOError:
                return count
            except OSError:
                return -1
            if len(data) < ETHERNET_HEADER:
                continue
            now = time.monotonic_ns()
            if is_housekeeping(data):
                way.housekeeping += 1
                deliveries = [now + way.delay]
                dropped = None
            else:
                self._packets += 1
                verdict = way.direction.offer(now, Frame(data))
                deliveries = [due for due, _ in verdict]
                dropped = None if deliveries else way.direction.cause
            if way.capture is not None:
                way.capture.packet(now + self._wall, data, dropped=dropped, interface=way.interface)
            for due in deliveries:
                self._number += 1
                heappush(self._heap, (due, self._number, data, way))
        return _BATCH

    def _deliver(self) -> None:
        heap = self._heap
        now = time.monotonic_ns()
        while heap and heap[0][0] <= now:
            due, _, data, way = heappop(heap)
            self._lateness.add(now - due)
            try:
                os.write(way.sink, data)
            except OSError:
                way.write_errors += 1
            now = time.monotonic_ns()

    def report(self) -> dict[str, Any]:
        """The content of OUT.json: what each direction did, and how late it was."""
        links = {}
        for way in self._ways.values():
            links[way.label] = {**way.direction.report(), "housekeeping": way.housekeeping}
        fidelity = {
            **self._lateness.figures("wire"),
            **self._resources.figures("wire", self._packets),
            "wire_longest_turn_us": self._longest_turn / 1000,
            "wire_realtime": float(self.realtime),
            "wire_write_errors": float(sum(way.write_errors for way in self._ways.values())),
        }
        return {"links": links, "fidelity": fidelity, "captures": self.captures, "invalid": None}


def _params(values: dict[str, Any]) -> LinkParams:
    return LinkParams(**{**values, "drops": tuple(values.get("drops", ()))})


def read_spec(path: Path) -> tuple[tuple[LinkSpec, ...], int]:
    """Links and seed of a specification file; UserError when it is none."""
    try:
        spec = json.loads(path.read_text())
        links = tuple(
            LinkSpec(
                name=link["name"],
                a_fd=link["a_fd"],
                b_fd=link["b_fd"],
                forward=_params(link["forward"]),
                backward=_params(link["backward"]),
                capture=link.get("capture"),
            )
            for link in spec["links"]
        )
        return links, int(spec["seed"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: no specification of wires: {error!r}") from None


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m testbed.drive.wires SPEC.json OUT.json", file=sys.stderr)
        return 2
    stop = Stop()
    stop.on_signals()
    try:
        links, seed = read_spec(Path(arguments[0]))
        wires = Wires(links, seed, stop)
    except TestbedError as error:
        print(error, file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"{error.filename or 'a descriptor'}: {error.strerror}", file=sys.stderr)
        return 2
    wires.realtime = ask_for_precedence()
    ask_for_exact_timers()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    wires.run(end=sys.stdin.fileno())
    write_report(Path(arguments[1]), wires.report())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
