"""`python -m testbed.bench.linux TASK`: one end of a transfer over an MPTCP socket of Linux.

Decides how the kernel's path manager is told of the other paths: the receiver announces its addresses, the
sender accepts them. Congestion control is Linux's own default, CUBIC, whatever this machine has chosen: one
that paces by timers measures these on a path of microseconds. Read first: ip-mptcp(8).
"""

from __future__ import annotations

import contextlib
import socket
import subprocess

from testbed.bench.end import CHUNK, Meter, Report, Task, ready, run
from testbed.interpreter import child_environment
from testbed.linux.sockets import IPPROTO_MPTCP, info


def available() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError:
        return False
    return True


def transfer(task: Task) -> Report:
    _tell_the_path_manager(task)
    return _receive(task) if task.role == "receiver" else _send(task)


def _tell_the_path_manager(task: Task) -> None:
    others = str(len(task.addresses) - 1)
    commands = [["flush"], ["limits", "set", "subflow", others, "add_addr_accepted", others]]
    if task.role == "receiver":
        commands += [["add", address, "signal"] for address in task.addresses[1:]]
    for words in commands:
        area = [] if words[0] == "limits" else ["endpoint"]
        subprocess.run(["ip", "mptcp", *area, *words], check=True, env=child_environment())


def _socket(task: Task) -> socket.socket:
    family = socket.AF_INET6 if ":" in task.addresses[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    return sock


def _send(task: Task) -> Report:
    with _socket(task) as sock:
        chunk = bytes(CHUNK)
        sock.connect((task.peers[0], task.port))
        meter = Meter()
        left = task.size
        while left > 0:
            sock.sendall(chunk if left >= CHUNK else chunk[:left])
            left -= CHUNK
        subflows, multipath = _state(sock)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(CHUNK):
            pass
        seconds, cpu = meter.read()
    return Report(task.size, seconds, cpu, subflows, multipath)


def _receive(task: Task) -> Report:
    with _socket(task) as server:  # open to the end: joins come to it
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("", task.port))
        server.listen()
        ready()
        sock, _ = server.accept()
        with sock:
            meter = Meter()
            buffer = bytearray(CHUNK)
            got, subflows, multipath = 0, 1, False
            while count := sock.recv_into(buffer):
                got += count
                if not multipath:
                    subflows, multipath = _state(sock)
            seconds, cpu = meter.read()
    return Report(got, seconds, cpu, subflows, multipath)


def _state(sock: socket.socket) -> tuple[int, bool]:
    """How many subflows there are, and whether it is still Multipath TCP."""
    now = info(sock)
    return (1, False) if now is None else (now.extra + 1, not now.fallback)


if __name__ == "__main__":
    run(transfer)
