"""`python -S probe.py LOCAL,REMOTE ...`: packets through links of a lab, from node to node, on command.

Decides how a packet is timed: it carries when it was sent, the kernel writes down when it came, so that a
late reader changes nothing. A line of JSON on standard input, `{"sends": [[link, at, gap, count, size]]}`
(times in ns from now on), is answered by `sent` when all of it is; `{"end": ns}`, by what has come over each
link until then: `[number, size, sent, came]`. A busy machine may hold up either end for long: so both are to
have sent before either is told to end. A sender that is held up makes up for it at once, and its burst
overflows a short queue, which looks like loss: so a probe asks for real-time priority, below the wires'.
A file by itself, without the package around it, since it starts ten
times faster so. What to send, and what the answers mean, is calibrate.py's.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import sys
import time
from heapq import heapify, heappop, heapreplace

PORT = 9
SO_TIMESTAMPNS = 35
HEAD = struct.Struct("!IQ")
_STAMP = struct.Struct("@qq")
_BUFFER = 4 << 20


def open_socket(local: str, remote: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    link = socket.socket(family, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    for option, forced in ((socket.SO_RCVBUF, 33), (socket.SO_SNDBUF, 32)):  # SO_RCVBUFFORCE, SO_SNDBUFFORCE
        try:
            link.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
        except OSError:
            link.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
    link.setblocking(False)
    link.bind((local, PORT))
    link.connect((remote, PORT))
    return link


class Probe:
    """One end of all links."""

    def __init__(self, links: list[socket.socket]) -> None:
        self._links = links
        self._came: list[list[list[int]]] = [[] for _ in links]
        self._numbers = {link.fileno(): index for index, link in enumerate(links)}
        self._descriptors = [*self._numbers, sys.stdin.fileno()]

    def send(self, sends: list[list[int]]) -> None:
        """All of it, each packet when it is due."""
        self._came = [[] for _ in self._links]
        began = time.time_ns()
        # [due, link, gap, left, size, number]
        plan = [[began + at, link, gap, count, size, 0] for link, at, gap, count, size in sends]
        heapify(plan)
        padding = {size: bytes(size - HEAD.size) for _, _, _, _, size, _ in plan}
        while plan:
            now = time.time_ns()
            batch = 16
            while plan and plan[0][0] <= now and batch:
                due, index, gap, left, size, number = plan[0]
                with contextlib.suppress(
                    BlockingIOError, ConnectionRefusedError
                ):  # lost: the far end will tell
                    self._links[index].send(HEAD.pack(number, time.time_ns()) + padding[size])
                batch -= 1
                if left > 1:
                    heapreplace(plan, [due + gap, index, gap, left - 1, size, number + 1])
                else:
                    heappop(plan)
            self._wait(max(0, plan[0][0] - time.time_ns()) if plan else 0)

    def listen(self, end: int | None = None) -> list[list[list[int]]]:
        """What has come, `end` ns from now on, or when there is something to be read on standard input."""
        if end is None:
            while not self._wait(None):
                pass
            return self._came
        end += time.time_ns()
        while (left := end - time.time_ns()) > 0:
            self._wait(left)
        return self._came

    def _wait(self, nanoseconds: int | None) -> bool:
        """Reads what comes; whether something stands on standard input. poll(2) would round to milliseconds,
        and a loop that never sleeps would not be given priority for long."""
        told = False
        timeout = None if nanoseconds is None else nanoseconds / 1e9
        for descriptor in select.select(self._descriptors, [], [], timeout)[0]:
            if descriptor in self._numbers:
                index = self._numbers[descriptor]
                read(self._links[index], self._came[index])
            else:
                told = True
        return told


def read(link: socket.socket, came: list[list[int]]) -> None:
    for _ in range(64):
        try:
            data, extra, _, _ = link.recvmsg(2048, 64)
        except (BlockingIOError, ConnectionRefusedError):
            return
        number, sent = HEAD.unpack_from(data)
        seconds, nanoseconds = _STAMP.unpack(extra[0][2])
        came.append([number, len(data), sent, seconds * 1_000_000_000 + nanoseconds])


def main(pairs: list[str]) -> None:
    probe = Probe([open_socket(*pair.split(",")) for pair in pairs])
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    print("ready", flush=True)
    while line := sys.stdin.readline():
        asked = json.loads(line)
        if "sends" in asked:
            probe.send(asked["sends"])
            print("sent", flush=True)
            probe.listen()
        else:
            print(json.dumps(probe.listen(asked["end"])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
