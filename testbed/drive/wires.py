"""`python -m testbed.drive.wires SPEC.json OUT.json`: all wires of a lab, in one process, in real time.

Decides when frames are read, held and written; what becomes of each is decided in frames.py, by the link
model that the simulator runs as well. Each link is a pair of TAP descriptors,
inherited. Knows nothing of hosts and routes.
Read first: frames.py, testbed/link/__init__.py; timer.py for how it waits.
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
from testbed.drive.fidelity import LatenessMeter, ReadMeter, ResourceMeter
from testbed.drive.frames import ETHERNET_HEADER, Frame, FrameLink
from testbed.drive.report import write_report
from testbed.drive.stop import Stop
from testbed.drive.timer import WIRES, Timer, ask_for_exact_timers, ask_for_precedence, has_precedence
from testbed.errors import TestbedError, UserError
from testbed.link import LinkParams, Packet, Way, params_from_plain
from testbed.link.link import Watch

_READ_SIZE = 1 << 16
_BATCH = 32  # frames read from one TAP before the others and the due deliveries get their turn


@dataclass(slots=True)
class _Wire:
    """Both directions of a link, and the TAP that each is written to. `armed`: the deadline on the heap."""

    link: FrameLink
    sinks: dict[Way, int]
    armed: int | None = None
    write_errors: int = 0


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
        self._wires: list[_Wire] = []
        self._ends: dict[int, tuple[_Wire, Way]] = {}  # by the TAP that is read
        self._heap: list[tuple[int, int, bytes, _Wire, Way]] = []  # no bytes: a deadline of the link
        self._number = 0
        self._longest_turn = 0
        self._files = contextlib.ExitStack()
        self.captures: list[str] = []
        self._lateness = LatenessMeter()
        self._reads = ReadMeter()
        self._wall = time.time_ns() - time.monotonic_ns()
        watches = self._open_captures(links)
        for spec in links:
            link = FrameLink(spec.name, spec.forward, spec.backward, seed, watches.get(spec.name))
            wire = _Wire(link, {"forward": spec.b_fd, "backward": spec.a_fd})
            self._wires.append(wire)
            self._ends[spec.a_fd] = wire, "forward"
            self._ends[spec.b_fd] = wire, "backward"
        for fd in self._ends:
            os.set_blocking(fd, False)
        self._start(time.monotonic_ns())
        self._resources = ResourceMeter()

    def _open_captures(self, links: tuple[LinkSpec, ...]) -> dict[str, Watch]:
        """By link: what writes down the packets that enter it."""
        watches: dict[str, Watch] = {}
        for path in dict.fromkeys(link.capture for link in links if link.capture):
            members = [link for link in links if link.capture == path]
            file = self._files.enter_context(io.BufferedWriter(io.FileIO(path, "w"), 1 << 20))
            writer = CaptureWriter(file, [Interface(link.name, ETHERNET) for link in members])
            self.captures.append(path)
            for interface, link in enumerate(members):
                watches[link.name] = self._watch(writer, interface)
        return watches

    def _watch(self, writer: CaptureWriter, interface: int) -> Watch:
        def watch(now: int, _: Way, packet: Packet, cause: str | None) -> None:
            assert isinstance(packet, Frame)
            writer.packet(now + self._wall, packet.data, dropped=cause, interface=interface)

        return watch

    def run(self, end: int | None = None) -> None:
        """`end`: a descriptor whose end of file (or hang-up) ends the run. "origin NANOSECONDS" on it says
        when the run began, on the monotonic clock: schedules count from there."""
        epoll = select.epoll()
        timer = Timer()
        clock = time.monotonic_ns
        epoll.register(timer.fileno(), select.EPOLLIN)
        epoll.register(self._stop.fileno(), select.EPOLLIN)
        for fd in self._ends:
            epoll.register(fd, select.EPOLLIN)
        if end is not None:
            with contextlib.suppress(PermissionError):  # a file or /dev/null: only a signal ends us
                epoll.register(end, select.EPOLLIN | select.EPOLLHUP)
        heap = self._heap
        self._reads.woke()  # what was waited before concerns no frame
        try:
            while not self._stop.requested:
                timer.arm(heap[0][0] if heap else None)
                ready = epoll.poll()
                turn = clock()
                self._reads.woke()
                if heap and heap[0][0] <= turn:
                    self._deliver()  # first: what is due is late already, what has come is not
                for fd, _ in ready:
                    if fd in self._ends:
                        if (count := self._read(fd)) < 0:
                            epoll.unregister(fd)  # the device is gone; the other wires go on
                        self._reads.read(count)
                        if heap and heap[0][0] <= clock():
                            self._deliver()
                    elif fd == end:
                        self._heed(os.read(fd, 4096))
                self._deliver()
                self._longest_turn = max(self._longest_turn, clock() - turn)
            for fd in self._ends:
                while self._read(fd) == _BATCH:
                    pass  # what was sent before the end belongs into the record
        finally:
            epoll.close()
            timer.close()
            self._files.close()

    def _heed(self, words: bytes) -> None:
        if not words:
            self._stop.request()
        for line in words.split(b"\n"):
            if line.startswith(b"origin "):
                self._start(int(line.split()[1]))

    def _start(self, origin: int) -> None:
        for wire in self._wires:
            wire.link.start(origin)

    def _read(self, source: int) -> int:
        """How many frames there were, up to a batch; -1 when the device is gone."""
        wire, way = self._ends[source]
        for count in range(_BATCH):
            try:
                data = os.read(source, _READ_SIZE)
            except BlockingIOError:
                return count
            except OSError:
                return -1
            if len(data) >= ETHERNET_HEADER:
                self._queue(wire, wire.link.offer(time.monotonic_ns(), way, data))
        return _BATCH

    def _queue(self, wire: _Wire, deliveries: list[tuple[int, Way, bytes]]) -> None:
        for due, way, data in deliveries:
            self._number += 1
            heappush(self._heap, (due, self._number, data, wire, way))
        deadline = wire.link.deadline()
        if deadline is not None and (wire.armed is None or deadline < wire.armed):
            wire.armed = deadline
            self._number += 1
            heappush(self._heap, (deadline, self._number, b"", wire, "forward"))

    def _deliver(self) -> None:
        heap = self._heap
        now = time.monotonic_ns()
        while heap and heap[0][0] <= now:
            due, _, data, wire, way = heappop(heap)
            if data:
                self._lateness.add(now - due)
                try:
                    os.write(wire.sinks[way], data)
                except OSError:
                    wire.write_errors += 1
            elif due == wire.armed:
                wire.armed = None
                self._queue(wire, wire.link.timeout(now))
            now = time.monotonic_ns()

    def report(self) -> dict[str, Any]:
        """The content of OUT.json: what each direction did, and how late it was."""
        links = {name: report for wire in self._wires for name, report in wire.link.report().items()}
        packets = sum(wire.link.packets for wire in self._wires)
        fidelity = {
            **self._lateness.figures("wire"),
            **self._reads.figures("wire"),
            **self._resources.figures("wire", packets),
            "wire_longest_turn_us": self._longest_turn / 1000,
            "wire_realtime": float(has_precedence()),
            "wire_write_errors": float(sum(wire.write_errors for wire in self._wires)),
        }
        return {"links": links, "fidelity": fidelity, "captures": self.captures, "invalid": None}


def read_spec(path: Path) -> tuple[tuple[LinkSpec, ...], int]:
    """Links and seed of a specification file; UserError when it is none."""
    try:
        spec = json.loads(path.read_text())
        links = tuple(
            LinkSpec(
                name=link["name"],
                a_fd=link["a_fd"],
                b_fd=link["b_fd"],
                forward=params_from_plain(link["forward"]),
                backward=params_from_plain(link["backward"]),
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
    ask_for_precedence(WIRES)
    ask_for_exact_timers()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    wires.run(end=sys.stdin.fileno())
    write_report(Path(arguments[1]), wires.report())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
