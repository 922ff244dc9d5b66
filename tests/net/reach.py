"""Run inside a node: an echo request, three if need be, from each SOURCE to its DESTINATION. Prints
those that get no answer, one a line, and those whose requests leave by another interface than INTERFACE.

python reach.py SOURCE DESTINATION INTERFACE [SOURCE DESTINATION INTERFACE ...]
"""

from __future__ import annotations

import select
import socket
import struct
import sys
from contextlib import ExitStack

from tests.net.probe import checksum

TRIES, PATIENCE = 3, 2.0  # seconds for all answers of one try
REQUEST = {4: 8, 6: 128}
REPLY = {4: 0, 6: 129}
MARK = (4343).to_bytes(2)
PACKET_OUTGOING = 4


def opened(source: str, destination: str) -> socket.socket:
    if ":" in source:
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    else:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw.bind((source, 0))
    raw.connect((destination, 0))
    return raw


def left_by(watch: socket.socket) -> dict[int, set[str]]:
    """Of each echo request that this node has sent: the interfaces."""
    found: dict[int, set[str]] = {}
    while True:
        try:
            packet, (interface, _, direction, *_) = watch.recvfrom(128)
        except BlockingIOError:
            return found
        body = packet[40:] if packet[0] >> 4 == 6 else packet[20:]
        if direction == PACKET_OUTGOING and body[0] in REQUEST.values() and body[4:6] == MARK:
            found.setdefault(int.from_bytes(body[6:8]), set()).add(interface)


def main(words: list[str]) -> None:
    pairs = list(zip(words[::3], words[1::3], strict=True))
    with ExitStack() as sockets:
        watch = sockets.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)))
        watch.setblocking(False)
        waiting = {sockets.enter_context(opened(*pair)): (number, pair) for number, pair in enumerate(pairs)}
        for _ in range(TRIES):
            for raw, (number, pair) in waiting.items():
                version = 6 if ":" in pair[0] else 4
                tail = MARK + number.to_bytes(2)
                echo = struct.pack("!BBH", REQUEST[version], 0, 0) + tail
                if version == 4:  # the kernel does ICMPv6's, which covers addresses
                    echo = struct.pack("!BBH", REQUEST[4], 0, checksum(echo)) + tail
                raw.send(echo)
            while waiting and (ready := select.select(list(waiting), [], [], PATIENCE)[0]):
                for raw in ready:
                    number, pair = waiting[raw]
                    answer = raw.recv(2048)
                    version = 6 if ":" in pair[0] else 4
                    body = answer if version == 6 else answer[20:]
                    if body[0] == REPLY[version] and body[4:8] == MARK + number.to_bytes(2):
                        del waiting[raw]
        for _, pair in waiting.values():
            print(*pair)
        left = left_by(watch)
        for number, (pair, interface) in enumerate(zip(pairs, words[2::3], strict=True)):
            if left.get(number) != {interface}:
                print(*pair, "left by", left.get(number), "and not by", interface)


if __name__ == "__main__":
    main(sys.argv[1:])
