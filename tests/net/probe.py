"""Run inside a node: echo requests from one address to another, round-trip times in ms, one a line.

python probe.py SOURCE DESTINATION COUNT
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def main(source: str, destination: str, count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.bind((source, 0))
        raw.connect((destination, 0))
        for number in range(count):
            body = struct.pack("!BBHHH", 8, 0, 0, 4242, number)
            sent = time.monotonic()
            raw.send(struct.pack("!BBHHH", 8, 0, checksum(body), 4242, number))
            while select.select([raw], [], [], 5)[0]:
                answer = raw.recv(2048)[20:]
                if answer[0] == 0 and struct.unpack("!HH", answer[4:8]) == (4242, number):
                    print((time.monotonic() - sent) * 1000, flush=True)
                    break
            else:
                sys.exit(f"no answer from {destination}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
