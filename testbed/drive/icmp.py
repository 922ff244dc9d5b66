"""Raw sockets for the ICMP messages that concern the stack: a packet was too big for a link on its path.

The rules of divert.py hand TCP alone to the TUN, so ICMP stays with the kernel, which knows no such
connection; these sockets get a copy. Decides which types pass; what they mean is mptcp/wire/icmp.py's.
Without the right to open raw sockets there are none, and a path with a smaller MTU stays unknown.
Read first: raw(7) on ICMP_FILTER; RFC 3542 §3.2 on ICMP6_FILTER.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from types import TracebackType

from testbed.mptcp.wire import TooBig, Undecodable, too_big_ipv4, too_big_ipv6
from testbed.mptcp.wire.icmp import DESTINATION_UNREACHABLE, PACKET_TOO_BIG

_SOL_RAW, _ICMP_FILTER = 255, 1
_ICMP6_FILTER = 1
_BATCH = 16
_LARGEST = 2048  # a message quotes less than 1280 bytes

Parse = Callable[[bytes], TooBig | Undecodable]


def _all_but(kind: int, words: int) -> bytes:
    """A filter that blocks every type but one: a bit for each, in 32-bit words."""
    blocked = [0xFFFF_FFFF] * words
    blocked[kind >> 5] &= ~(1 << (kind & 31))
    return struct.pack(f"={words}I", *blocked)


_FAMILIES: tuple[tuple[int, int, tuple[int, int, bytes], Parse], ...] = (
    (
        socket.AF_INET,
        socket.IPPROTO_ICMP,
        (_SOL_RAW, _ICMP_FILTER, _all_but(DESTINATION_UNREACHABLE, 1)),
        too_big_ipv4,
    ),
    (
        socket.AF_INET6,
        socket.IPPROTO_ICMPV6,
        (socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _all_but(PACKET_TOO_BIG, 8)),
        too_big_ipv6,
    ),
)


class Icmp:
    """The sockets of the current namespace. `filenos` to wait on; `read` after any of them woke."""

    def __init__(self) -> None:
        self._sockets: dict[socket.socket, Parse] = {}
        for family, protocol, option, parse in _FAMILIES:
            try:
                raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
            except OSError:
                continue  # not allowed, or a kernel without this family
            raw.setsockopt(*option)
            self._sockets[raw] = parse

    @property
    def filenos(self) -> tuple[int, ...]:
        return tuple(raw.fileno() for raw in self._sockets)

    def read(self) -> Iterator[TooBig]:
        """What has come, at most a batch of each family."""
        for raw, parse in self._sockets.items():
            for _ in range(_BATCH):
                try:
                    found = parse(raw.recv(_LARGEST))
                except OSError:
                    break
                if isinstance(found, TooBig):
                    yield found

    def close(self) -> None:
        for raw in self._sockets:
            raw.close()

    def __enter__(self) -> Icmp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
