"""Diverting ports of a namespace into a TUN, and undoing it, with the kernel as the peer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.namespaces import Namespace, expect_line, join, namespaces, why_no_lab

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))]

# Answers every SYN to the diverted port with a SYN/ACK, and every payload with an ACK, until stopped.
# ADDRESS@PORT is a door.
RESPONDER = """
import select, sys
from testbed.drive.divert import Divert
from testbed.drive.stop import Stop
from testbed.drive.tun import Tun
from testbed.errors import TestbedError
from testbed.mptcp.wire import ACK, SYN, Segment, decode, encode

stop = Stop()
stop.on_signals()
port = int(sys.argv[1])
addresses = tuple(text for text in sys.argv[3:] if "@" not in text)
doors = tuple((text.split("@")[0], int(text.split("@")[1])) for text in sys.argv[3:] if "@" in text)
try:
    with Tun(offload=sys.argv[2] == "offload") as tun, Divert(tun, (port, port), addresses, doors):
        print("ready", flush=True)
        epoll = select.epoll()
        epoll.register(tun)
        epoll.register(stop)
        longest = 0
        ended = False
        while not ended:
            epoll.poll()
            ended = stop.requested  # what has come by then is still read
            while (read := tun.read()) is not None:
                segment = decode(read[0], verify=read[1])
                if not isinstance(segment, Segment):
                    continue
                longest = max(longest, len(segment.payload))
                answer = None
                if segment.flags & SYN:
                    answer = SYN | ACK, 1000, segment.seq + 1
                elif segment.payload:
                    answer = ACK, 1001, segment.seq + len(segment.payload)
                if answer:
                    flags, seq, ack = answer
                    tun.write(encode(Segment(segment.dst, segment.src, segment.dport, segment.sport,
                                             seq, ack % 2**32, flags, 65535)))
        print(longest, flush=True)
except TestbedError as error:
    print(error, flush=True)
    sys.exit(error.status)
"""
CONNECT = """
import socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
peer.sendall(bytes(30000))
print("connected")
peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
"""
SNAPSHOT = """
import json, pathlib, subprocess
files = {}
for path in sorted(pathlib.Path("/proc/sys/net").rglob("*")):
    if path.is_file() and "neigh" not in path.parts:
        try:
            files[str(path)] = path.read_text()
        except OSError:
            pass
for command in ("ip rule", "ip -6 rule", "ip -4 -d route show table all", "ip -o link show type tun"):
    files[command] = subprocess.run(command.split(), capture_output=True, text=True).stdout
print(json.dumps(files))
"""


def snapshot(namespace: Namespace) -> dict[str, str]:
    values: dict[str, str] = json.loads(namespace.python(SNAPSHOT))
    return {name: value for name, value in values.items() if "random" not in name and "_mem" not in name}


def end(child: subprocess.Popen[str], by: int = signal.SIGTERM) -> str:
    """Ends the responder and returns what it printed last."""
    child.send_signal(by)
    out, errors = child.communicate(timeout=20)
    assert by == signal.SIGKILL or child.returncode == 0, errors
    return out.strip()


@pytest.mark.parametrize("offload", ["offload", "plain"])
def test_a_diverted_port_is_ours_and_everything_is_undone(offload: str) -> None:
    with namespaces(2) as (a, b):
        join(a, b, "10.9.0.1/24", "10.9.0.2/24")
        b.sysctl("net.ipv4.conf.all.rp_filter", "1")
        b.sysctl("net.ipv4.ip_local_reserved_ports", "4000-4001")
        before = snapshot(b)
        child = b.start_python(RESPONDER, "20080", offload, "10.9.0.2")
        expect_line(child, "ready")
        reserved = b.run("sysctl", "-n", "net.ipv4.ip_local_reserved_ports")
        assert reserved.strip() == "4000-4001,20080"
        assert "connected" in a.python(CONNECT, "10.9.0.2", "20080")
        # Another port is still the kernel's: refused at once.
        with pytest.raises(AssertionError, match="Connection refused"):
            a.python(CONNECT, "10.9.0.2", "20081")
        longest = int(end(child))
        # Without an MSS option in the SYN/ACK a segment has 536 bytes (RFC 9293 §3.7.1).
        assert longest > 536 if offload == "offload" else 0 < longest <= 536
        assert snapshot(b) == before


def test_a_door_is_one_port_of_one_address() -> None:
    with namespaces(2) as (a, b):
        join(a, b, "10.9.0.1/24", "10.9.0.2/24")
        b.run("ip", "addr", "add", "10.9.0.3/24", "dev", "eth0")
        before = snapshot(b)
        child = b.start_python(RESPONDER, "20080", "offload", "10.9.0.2", "10.9.0.3@20999", "10.9.0.2@20080")
        expect_line(child, "ready")
        assert "connected" in a.python(CONNECT, "10.9.0.3", "20999")
        for address, port in (("10.9.0.3", "20080"), ("10.9.0.2", "20999")):
            with pytest.raises(AssertionError, match="Connection refused"):
                a.python(CONNECT, address, port)
        other = b.start_python(RESPONDER, "20999", "offload", "10.9.0.3")
        out, _ = other.communicate(timeout=20)
        assert "port 20999 of 10.9.0.3 is in use by another testbed stack" in out
        end(child)
        assert snapshot(b) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_undone_by_any_signal_that_asks(number: int) -> None:
    with namespaces(1) as (a,):
        a.run("ip", "addr", "add", "10.9.0.1/24", "dev", "lo")
        before = snapshot(a)
        child = a.start_python(RESPONDER, "20080", "offload", "10.9.0.1")
        expect_line(child, "ready")
        assert snapshot(a) != before
        end(child, number)
        assert snapshot(a) == before


def test_what_a_killed_stack_left_is_undone_by_the_next() -> None:
    with namespaces(2) as (a, b):
        join(a, b, "10.9.0.1/24", "10.9.0.2/24")
        before = snapshot(b)
        child = b.start_python(RESPONDER, "20080", "offload", "10.9.0.2")
        expect_line(child, "ready")
        end(child, signal.SIGKILL)
        assert snapshot(b) != before
        child = b.start_python(RESPONDER, "20090", "offload", "10.9.0.2")
        expect_line(child, "ready")
        assert "connected" in a.python(CONNECT, "10.9.0.2", "20090")
        end(child)
        assert snapshot(b) == before


def test_a_namespace_may_get_the_number_of_one_that_died_with_its_stack() -> None:
    """What is written down then names our own device."""
    plant = """
from testbed.drive.state import User, namespace_state
with namespace_state() as state:
    state.users = [User("mptcp0", index, (20080, 20080), ("10.9.0.1",)) for index in range(1, 9)]
"""
    with namespaces(1) as (a,):
        a.run("ip", "addr", "add", "10.9.0.1/24", "dev", "lo")
        a.python(plant)
        child = a.start_python(RESPONDER, "20080", "offload", "10.9.0.1")
        expect_line(child, "ready")
        end(child)


def test_two_stacks_share_a_namespace_and_reach_each_other() -> None:
    """The last to leave restores; a kernel client on the same host reaches both."""
    with namespaces(1) as (a,):
        a.run("ip", "addr", "add", "10.9.0.1/24", "dev", "lo")
        before = snapshot(a)
        first = a.start_python(RESPONDER, "20080", "offload", "10.9.0.1", "127.0.0.1")
        expect_line(first, "ready")
        second = a.start_python(RESPONDER, "20081", "offload", "10.9.0.1")
        expect_line(second, "ready")
        for address, port in (("10.9.0.1", "20080"), ("127.0.0.1", "20080"), ("10.9.0.1", "20081")):
            assert "connected" in a.python(CONNECT, address, port)
        end(first)
        assert "connected" in a.python(CONNECT, "10.9.0.1", "20081")
        assert a.run("sysctl", "-n", "net.ipv4.ip_local_reserved_ports").strip() == "20081"
        end(second)
        assert snapshot(a) == before


def refused(namespace: Namespace, *arguments: str) -> str:
    child = namespace.start(sys.executable, "-c", RESPONDER, *arguments)
    out, errors = child.communicate(timeout=20)
    assert child.returncode == 2, out + errors
    assert "Traceback" not in errors
    return out


def test_refusals_name_the_port_and_leave_nothing() -> None:
    with namespaces(1) as (a,):
        a.run("ip", "addr", "add", "10.9.0.1/24", "dev", "lo")
        listener = (
            "import socket; s = socket.create_server(('', 20080)); print('ready', flush=True); s.accept()"
        )
        expect_line(a.start_python(listener), "ready")
        before = snapshot(a)
        assert "port 20080 is in use by python" in refused(a, "20080", "offload", "10.9.0.1")
        assert "10.9.0.7 is no address of this host" in refused(a, "20081", "offload", "10.9.0.7")
        assert snapshot(a) == before
        child = a.start_python(RESPONDER, "20082", "offload", "10.9.0.1")
        expect_line(child, "ready")
        assert "in use by another testbed stack" in refused(a, "20082", "offload", "10.9.0.1")
        end(child)
        assert snapshot(a) == before


def test_ipv6() -> None:
    with namespaces(2) as (a, b):
        join(a, b, "fd00:9::1/64", "fd00:9::2/64")
        before = snapshot(b)
        child = b.start_python(RESPONDER, "20080", "offload", "fd00:9::2")
        expect_line(child, "ready")
        assert "connected" in a.python(CONNECT, "fd00:9::2", "20080")
        end(child)
        assert snapshot(b) == before
