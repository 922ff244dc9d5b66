"""Our server and client as processes in a namespace, and Linux's own on MPTCP sockets."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from typing import Any

from tests.namespaces import Namespace, expect_line

_SERVER = """
import json, sys
from pydantic import TypeAdapter
from testbed.drive import ServerArguments, run_server
from testbed.errors import TestbedError
try:
    end = run_server(
        TypeAdapter(ServerArguments).validate_json(sys.argv[1]),
        on_ready=lambda addresses: print("ready", flush=True),
        on_connection=lambda result: print(json.dumps(result), flush=True),
    )
    print(json.dumps(end))
except TestbedError as error:
    sys.exit(str(error))
"""
_CLIENT = """
import json, sys
from pydantic import TypeAdapter
from testbed.drive import ClientArguments, run_client
from testbed.errors import TestbedError
try:
    print(json.dumps(run_client(TypeAdapter(ClientArguments).validate_json(sys.argv[1]))))
except TestbedError as error:
    sys.exit(str(error))
"""

# Both ends: getsockopt(SOL_MPTCP, MPTCP_INFO) begins with six bytes and, at 8, the flags (bit 0: fallback).
_INFO = """
import json, selectors, socket, struct, sys
def info(sock):
    try:
        raw = sock.getsockopt(284, 1, 256)
    except OSError as error:
        return {"fallback": True, "error": str(error)}
    flags, token = struct.unpack_from("=II", raw, 8)
    return {"fallback": bool(flags & 1), "token": token, "checksum": bool(raw[42])}
def exchange(sock, out, echo):
    sock.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
    got, at, finished, seen = bytearray(), 0, False, {}
    while True:
        for _, mask in selector.select(60):
            if mask & selectors.EVENT_READ:
                data = sock.recv(65536)
                if not data:
                    return bytes(got), seen
                got += data
                seen = info(sock)
                if echo:
                    out += data
        if at < len(out):
            try:
                at += sock.send(out[at:at + 65536])
            except BlockingIOError:
                pass
        if at == len(out) and not echo and not finished:
            sock.shutdown(socket.SHUT_WR)
            finished = True
        want = selectors.EVENT_READ | (selectors.EVENT_WRITE if at < len(out) else 0)
        selector.modify(sock, want)
"""
_LINUX_CLIENT = (
    _INFO
    + """
from testbed.workloads.serving import pattern
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sock = socket.socket(family, socket.SOCK_STREAM, 262)
sock.settimeout(20)
sock.connect((sys.argv[1], int(sys.argv[2])))
size = int(sys.argv[3])
sent = b"".join(pattern().slice(at, min(65536, size - at)) for at in range(0, size, 65536))
got, seen = exchange(sock, bytearray(sent), False)
print(json.dumps({**seen, "intact": got == sent, "received": len(got)}))
"""
)
_LINUX_ECHO = (
    _INFO
    + """
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.socket(family, socket.SOCK_STREAM, 262)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen()
print("ready", flush=True)
sock, _ = server.accept()
sock.setblocking(False)
held, total, ended, seen = bytearray(), 0, False, {}
selector = selectors.DefaultSelector()
selector.register(sock, selectors.EVENT_READ)
while held or not ended:
    for _, mask in selector.select(60):
        if mask & selectors.EVENT_READ:
            data = sock.recv(65536)
            ended = not data
            held += data
            total += len(data)
            if data:
                seen = info(sock)
    if held:
        try:
            del held[:sock.send(held[:65536])]
        except BlockingIOError:
            pass
    read = 0 if ended else selectors.EVENT_READ
    wanted = read | (selectors.EVENT_WRITE if held else 0)
    if wanted:
        selector.modify(sock, wanted)
seen = seen or info(sock)
sock.close()
print(json.dumps({**seen, "received": total}), flush=True)
"""
)


class Server:
    """`testbed server --once` with these arguments, ready."""

    def __init__(self, namespace: Namespace, **arguments: Any) -> None:
        self.process = namespace.start_python(_SERVER, json.dumps({"once": True, **arguments}))
        expect_line(self.process, "ready")

    def result(self) -> dict[str, Any]:
        """Of its one connection."""
        return _last(self.process)[0]

    def stop(self) -> list[dict[str, Any]]:
        """Ends it as Ctrl-C does; the results of all connections."""
        self.process.send_signal(signal.SIGINT)
        return _last(self.process)[:-1]


class LinuxEcho:
    """An MPTCP socket of Linux that returns what it gets from one connection."""

    def __init__(self, namespace: Namespace, address: str, port: int = 20080) -> None:
        self.process = namespace.start_python(_LINUX_ECHO, address, str(port))
        expect_line(self.process, "ready")

    def result(self) -> dict[str, Any]:
        return _last(self.process)[-1]


def _last(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, out + errors
    return [json.loads(line) for line in out.splitlines()]


def client(namespace: Namespace, address: str, **arguments: Any) -> dict[str, Any]:
    """Runs `testbed client`; its result."""
    result: dict[str, Any] = json.loads(
        namespace.python(_CLIENT, json.dumps({"address": address, **arguments}), timeout=90)
    )
    return result


def start_client(namespace: Namespace, address: str, **arguments: Any) -> subprocess.Popen[str]:
    return namespace.start_python(_CLIENT, json.dumps({"address": address, **arguments}))


def linux_client(namespace: Namespace, address: str, size: int, port: int = 20080) -> dict[str, Any]:
    """Sends `size` bytes of the pattern over an MPTCP socket, reads all of the echo, compares."""
    text = namespace.python(_LINUX_CLIENT, address, str(port), str(size), timeout=90)
    result: dict[str, Any] = json.loads(text)
    return result


def mib(namespace: Namespace) -> dict[str, int]:
    """Linux's MPTCP counters of this namespace, as nstat prints them, those above 0."""
    counters = {}
    for line in namespace.run("nstat", "-as", "MPTcpExt*").splitlines()[1:]:
        name, value = line.split()[:2]
        counters[name.removeprefix("MPTcpExt")] = int(value)
    return {name: value for name, value in counters.items() if value}


def why_no_mptcp() -> str | None:
    """Why Linux cannot be the peer here; None if it can."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close()
    except OSError as error:
        return f"this kernel has no MPTCP: {error.strerror}"
    return None
