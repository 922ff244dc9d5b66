"""`python linux_peer.py client|server SPEC`: Linux's own MPTCP sockets, as a client or as an echo.

Decides how the Linux end of a cell behaves: it sends a known stream, compares what comes back, holds still
half-way where it is asked to, and says what the kernel told it of the connection. JSON lines on standard
output: `ready`, `midway` (a line on standard input lets it go on), `result`. Run as a file, with no
more of the package than linux/sockets.py: it starts ten times faster so. Knows nothing of cells and of what
is expected.
"""

from __future__ import annotations

import json
import random
import select
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

if not __package__:
    sys.path.append(str(Path(__file__).parents[2]))  # behind the standard library

from testbed.linux import sockets
from testbed.linux.sockets import IPPROTO_MPTCP, MSG_FASTOPEN, mapped

PERIOD = 65_521  # a prime: no power-of-two slip goes unseen
CHUNK = 1 << 18
SMALL_WINDOW = 1 << 16
BLOCK = random.Random("stream of the oracle").randbytes(PERIOD)
STREAM = memoryview(BLOCK * (CHUNK // PERIOD + 2))


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def stream(at: int, length: int) -> memoryview:
    """The bytes from `at` on, CHUNK at most."""
    return STREAM[at % PERIOD :][: min(length, CHUNK)]


def info(sock: socket.socket) -> dict[str, Any]:
    """What a result says of the connection."""
    now = sockets.info(sock)
    if now is None:
        return {"verdict": "fallback"}
    return {
        "verdict": "fallback" if now.fallback else "mptcp",
        "extra": now.extra,
        "most": now.most,
        "token": now.token,
        "checksum": now.checksum,
    }


def subflows(sock: socket.socket) -> list[dict[str, Any]]:
    """Addresses of each subflow that is established now, and the bytes that it carried."""
    return [
        {"local": flow.local[0], "remote": flow.remote[0], "sent": flow.acked, "received": flow.received}
        for flow in sockets.subflows(sock)
    ]


class Exchange:
    """Bytes both ways over one connection. `size` None: an echo. `pause`: hold still after that many."""

    def __init__(self, sock: socket.socket, spec: dict[str, Any], size: int | None) -> None:
        self.sock, self.spec, self.size = sock, spec, size
        self.held: list[memoryview] = []  # an echo's
        self.sent = self.received = self.block_end = 0
        self.intact, self.error = True, ""
        self.pause: int = spec.get("pause", 0)
        self.peer_ended = False
        self.most = 0
        self.last: dict[str, Any] = {}
        self.flows: list[dict[str, Any]] = []
        sock.setblocking(False)

    def run(self) -> dict[str, Any]:
        began = time.monotonic()
        try:
            self._move()
        except OSError as error:
            self.error = f"{type(error).__name__}: {error.strerror or error}"
        except KeyboardInterrupt:
            self.error = "interrupted"
        return {
            **self.last,
            "subflows": self.most,
            "flows": self.flows,
            "sent": self.sent,
            "received": self.received,
            "intact": self.intact and not self.error,
            "error": self.error,
            "seconds": time.monotonic() - began,
        }

    def look(self) -> None:
        """What the kernel says now; the subflows are remembered at their most."""
        now = info(self.sock)
        self.last.update(now)
        flows = subflows(self.sock)
        count = max(len(flows), 1)
        if count >= self.most:
            self.most, self.flows = count, flows

    def _move(self) -> None:
        patience = self.spec.get("patience", 20.0)
        shut = False
        while not (self.peer_ended and (self.size is not None or not self.held)):
            reading = [] if self.peer_ended else [self.sock]
            writing = [self.sock] if self._more() else []
            ready, able, _ = select.select(reading, writing, [], patience)
            if not ready and not able:
                raise TimeoutError(f"no progress for {patience:g} s")
            if ready:
                self._read()
            if able:
                self._write()
            if self.size is not None and self.sent == self.size and not shut:
                self.sock.shutdown(socket.SHUT_WR)
                shut = True
            if self.pause and self.received >= self.pause:
                self._hold()
        if self.size is not None and self.received != self.size:
            raise EOFError(f"the peer ended after {self.received} of {self.size} bytes")

    def _read(self) -> None:
        data = self.sock.recv(CHUNK)
        first = self.received == 0
        if self.size is not None and data != stream(self.received, len(data)):
            self.intact = False
        self.received += len(data)
        if data:
            self.look()
            if first and self.size is not None:
                self._wait_for_subflows()
        self.peer_ended = not data
        if self.size is None and data:
            self.held.append(memoryview(data))

    def _more(self) -> bool:
        if self.size is None:
            return bool(self.held)
        if self.received == 0:  # one piece first, and its echo: by then both ends have the whole handshake
            return self.sent == 0
        return self.sent < self._limit()

    def _limit(self) -> int:
        """A client sends so far now: the next `block` when all before has come back."""
        assert self.size is not None
        if self.received == self.sent:
            self.block_end = self.sent + (self.spec.get("block") or self.size)
        return min(self.size, self.pause or self.size, self.block_end)

    def _write(self) -> None:
        if self.size is None:
            count = self.sock.send(self.held[0])
            self.held[0] = self.held[0][count:]
            if not self.held[0]:
                del self.held[0]
        else:
            most = 1000 if self.received == 0 else self._limit() - self.sent
            count = self.sock.send(stream(self.sent, most))
        self.sent += count

    def _wait_for_subflows(self) -> None:
        """Until the path manager has opened as many as the cell is to have."""
        deadline = time.monotonic() + self.spec.get("join_patience", 10.0)
        while self.most < self.spec.get("subflows", 1) and time.monotonic() < deadline:
            select.select([], [], [], 0.002)
            self.look()

    def _hold(self) -> None:
        self.look()
        self.pause = 0
        say("midway", received=self.received)
        word = sys.stdin.readline().strip()
        if word == "abort":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
            raise ConnectionAbortedError(0, "aborted as asked")


def client(spec: dict[str, Any]) -> None:
    """With `fast_open` two connections, of which the first fetches the cookie."""
    if spec.get("fast_open"):
        _connection({**spec, "size": 1000, "pause": 0})
    say("result", **_connection(spec))


def _connection(spec: dict[str, Any]) -> dict[str, Any]:
    sock = socket.socket(_family(spec), socket.SOCK_STREAM, IPPROTO_MPTCP)
    sock.settimeout(spec.get("patience", 20.0))
    sock.bind((_mapped(spec, spec["bind"]), 0))
    target = (_mapped(spec, spec["address"]), spec["port"])
    early = 0
    if spec.get("fast_open"):
        sock.setblocking(True)  # else without a cookie it would not take the data at all
        early = sock.sendto(stream(0, 1000), MSG_FASTOPEN, target)
    else:
        sock.connect(target)
    exchange = Exchange(sock, spec, spec["size"])
    exchange.sent = early
    result = exchange.run()
    sock.close()
    return result


def server(spec: dict[str, Any]) -> None:
    """Connections one after the other, up to the one that brings all the bytes: `fast_open` needs two."""
    listener = socket.socket(_family(spec), socket.SOCK_STREAM, IPPROTO_MPTCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if spec.get("fast_open"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    if spec.get("pause"):  # a small window, so that the client cannot be done before the half
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
    listener.bind(("", spec["port"]))  # Linux answers MP_JOIN only where something listens
    listener.listen()
    listener.settimeout(spec.get("patience", 20.0))
    say("ready")
    result: dict[str, Any] = {"received": 0}
    while result["received"] < (spec["size"] if spec.get("fast_open") else 1):
        sock, _ = listener.accept()
        result = Exchange(sock, spec, None).run()
        sock.close()
    say("result", **result)


def _family(spec: dict[str, Any]) -> int:
    """`both`: an IPv6 socket that speaks IPv4 as well; only such a one may have subflows of both."""
    return socket.AF_INET6 if ":" in spec["address"] or spec.get("both") else socket.AF_INET


def _mapped(spec: dict[str, Any], address: str) -> str:
    return mapped(address) if spec.get("both") else address


if __name__ == "__main__":
    {"client": client, "server": server}[sys.argv[1]](json.loads(sys.argv[2]))
