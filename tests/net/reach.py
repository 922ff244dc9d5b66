"""Run inside a node: an echo request, three if need be, for each SOURCE DESTINATION pair; prints those that
get no answer, one pair a line.

python reach.py SOURCE DESTINATION [SOURCE DESTINATION ...]
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


def opened(source: str, destination: str) -> socket.socket:
    if ":" in source:
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    else:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw.bind((source, 0))
    raw.connect((destination, 0))
    return raw


def main(words: list[str]) -> None:
    pairs = list(zip(words[::2], words[1::2], strict=True))
    with ExitStack() as sockets:
        waiting = {sockets.enter_context(opened(*pair)): (number, pair) for number, pair in enumerate(pairs)}
        for _ in range(TRIES):
            for raw, (number, pair) in waiting.items():
                version = 6 if ":" in pair[0] else 4
                echo = struct.pack("!BBHHH", REQUEST[version], 0, 0, 4343, number)
                if version == 4:  # the kernel does ICMPv6's, which covers addresses
                    echo = struct.pack("!BBHHH", REQUEST[4], 0, checksum(echo), 4343, number)
                raw.send(echo)
            while waiting and (ready := select.select(list(waiting), [], [], PATIENCE)[0]):
                for raw in ready:
                    number, pair = waiting[raw]
                    answer = raw.recv(2048)
                    version = 6 if ":" in pair[0] else 4
                    body = answer if version == 6 else answer[20:]
                    if body[0] == REPLY[version] and body[4:8] == struct.pack("!HH", 4343, number):
                        del waiting[raw]
        for _, pair in waiting.values():
            print(*pair)


if __name__ == "__main__":
    main(sys.argv[1:])
