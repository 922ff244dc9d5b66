"""`python -S probe.py LOCAL,REMOTE ...`: packets through links of a lab, from node to node, on command.

Decides how a packet is timed: it carries when it was sent, the kernel writes down when it came, so that a
late reader changes nothing. A line of JSON on standard input, `{"sends": [[link, at, gap, count, size], ...],
"end": ns}` (times in ns from now on), is answered by one with what came over each link: `[number, size, sent,
came]`. A file by itself, without the package around it, since it starts ten times faster so. What to send,
and what the answers mean, is calibrate.py's.
"""

from __future__ import annotations

import contextlib
import json
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


def run(links: list[socket.socket], sends: list[list[int]], end: int) -> list[list[list[int]]]:
    """Sends what is due, reads what came, until `end`."""
    began = time.time_ns()
    came: list[list[list[int]]] = [[] for _ in links]
    # [due, link, gap, left, size, number]
    plan = [[began + at, link, gap, count, size, 0] for link, at, gap, count, size in sends]
    heapify(plan)
    padding = {size: bytes(size - HEAD.size) for _, _, _, _, size, _ in plan}
    poller = select.poll()
    for link in links:
        poller.register(link, select.POLLIN)
    numbers = {link.fileno(): index for index, link in enumerate(links)}
    end += began
    while (now := time.time_ns()) < end:
        batch = 16
        while plan and plan[0][0] <= now and batch:
            due, index, gap, left, size, number = plan[0]
            with contextlib.suppress(BlockingIOError, ConnectionRefusedError):  # lost: the far end will tell
                links[index].send(HEAD.pack(number, time.time_ns()) + padding[size])
            batch -= 1
            if left > 1:
                heapreplace(plan, [due + gap, index, gap, left - 1, size, number + 1])
            else:
                heappop(plan)
        wake = min(plan[0][0], end) if plan else end
        wait = max(0, wake - time.time_ns()) // 1_000_000
        for descriptor, _ in poller.poll(wait):
            read(links[numbers[descriptor]], came[numbers[descriptor]])
    return came


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
    links = [open_socket(*pair.split(",")) for pair in pairs]
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(run(links, asked["sends"], asked["end"])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
