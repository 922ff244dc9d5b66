"""Fast Open against Linux, both ways: MPTCP and TCP sockets, cookies of either side, refusals.

The cookie comes from a first connection, or by `testbed client` from a handshake that it breaks off. The
namespaces are joined by a veth pair; what Linux counted is in its own `TcpExt` and `MPTcpExt` counters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.namespaces import Namespace, expect_line, join, namespaces, why_no_lab
from tests.programs import Server, client, mib, why_no_mptcp

REASON = why_no_lab() or why_no_mptcp()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

SIZE = 100_000
MPTCP, TCP = 262, 6
V4, V6 = "10.9.0.2", "fd00:9::2"  # the server's

# As many connections as asked for, one after the other: the first asks for a cookie, later ones use it.
_LINUX_CLIENT = """
import json, socket, sys
from testbed.workloads.serving import pattern
address, port, size, protocol, times = sys.argv[1], *map(int, sys.argv[2:])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sent = b"".join(pattern().slice(at, min(65536, size - at)) for at in range(0, size, 65536))
intact = []
for _ in range(times):
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)  # a timeout would make sendto not wait
    at = sock.sendto(sent, socket.MSG_FASTOPEN, (address, port))
    sock.sendall(sent[at:])
    sock.shutdown(socket.SHUT_WR)
    got = bytearray()
    while data := sock.recv(65536):
        got += data
    sock.close()
    intact.append(bytes(got) == sent)
print(json.dumps(intact))
"""
_LINUX_ECHO = """
import json, socket, struct, sys
address, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
server = socket.socket(family, socket.SOCK_STREAM, protocol)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((address, port))
server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
server.listen()
print("ready", flush=True)
sock, _ = server.accept()
sock.settimeout(20)
total, flags = 0, None
while data := sock.recv(65536):
    total += len(data)
    sock.sendall(data)
if protocol == 262:
    raw = sock.getsockopt(284, 1, 256)
    flags = struct.unpack_from("=I", raw, 8)[0]
sock.close()
print(json.dumps({"received": total, "fallback": None if flags is None else bool(flags & 1)}))
"""


@pytest.fixture
def pair() -> Iterator[tuple[Namespace, Namespace]]:
    """The client's and the server's namespace, dual stack, with Fast Open on in both."""
    with namespaces(2) as (a, b):
        join(a, b, "10.9.0.1/24", f"{V4}/24")
        for one, address in ((a, "fd00:9::1"), (b, V6)):
            one.run("ip", "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
            one.sysctl("net.ipv4.tcp_fastopen", "3")
        yield a, b


def tcp_mib(namespace: Namespace) -> dict[str, int]:
    counters = {}
    for line in namespace.run("nstat", "-as", "TcpExtTCPFastOpen*").splitlines()[1:]:
        name, value = line.split()[:2]
        counters[name.removeprefix("TcpExt")] = int(value)
    return {name: value for name, value in counters.items() if value}


def linux_client(namespace: Namespace, address: str, size: int, times: int, protocol: int = MPTCP) -> None:
    words = (address, "20080", str(size), str(protocol), str(times))
    assert json.loads(namespace.python(_LINUX_CLIENT, *words)) == [True] * times


def unfit(namespace: Namespace) -> set[str]:
    """Counters of Linux that an undisturbed connection leaves at 0."""
    return {name for name in mib(namespace) if "Fallback" in name or "Err" in name or "Infinite" in name}


def test_linux_client(pair: tuple[Namespace, Namespace]) -> None:
    """Linux keeps cookies by address: the plain socket uses the one that the MPTCP socket has fetched."""
    a, b = pair
    server = Server(b, once=False, fast_open=True)
    linux_client(a, V4, SIZE, 2)
    linux_client(a, V6, SIZE, 3)
    linux_client(a, V4, SIZE, 1, TCP)
    results = server.stop()
    assert [one["verdict"] for one in results] == ["mptcp"] * 5 + ["tcp"], results
    assert all(one["intact"] and one["bytes_received"] == SIZE for one in results)
    counters = results[-1]["counters"]
    assert counters["TCPFastOpenCookieReqd"] == 2
    assert counters["TCPFastOpenPassive"] == 4
    assert tcp_mib(a)["TCPFastOpenActive"] == 4
    assert not unfit(a)


@pytest.mark.parametrize(
    ("profile", "third_ack", "address"),
    [("v1", "bare", V4), ("v1", "piggyback", V6), ("tcp", "bare", V4)],
    ids=["v1-bare-ipv4", "v1-piggyback-ipv6", "tcp-ipv4"],
)
def test_linux_server(pair: tuple[Namespace, Namespace], profile: str, third_ack: str, address: str) -> None:
    a, b = pair
    process = b.start_python(_LINUX_ECHO, address, "20080", str(MPTCP if profile == "v1" else TCP))
    expect_line(process, "ready")
    ours = client(
        a, address, profile=profile, send=SIZE, receive=SIZE, third_ack=third_ack, fast_open=True, timeout=20
    )
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    linux = json.loads(out.splitlines()[-1])
    assert ours["verdict"] == ("mptcp" if profile == "v1" else "tcp"), ours
    assert ours["intact"]
    assert linux["received"] == SIZE
    assert not linux["fallback"]
    assert ours["counters"]["TCPFastOpenActive"] == 1, ours["counters"]
    witness = tcp_mib(b)
    assert witness["TCPFastOpenCookieReqd"] == witness["TCPFastOpenPassive"] == 1
    assert not unfit(b)


def test_linux_server_that_refuses(pair: tuple[Namespace, Namespace]) -> None:
    """Its half is off when we come: no cookie, and what we send arrives as ordinary, mapped data."""
    a, b = pair
    process = b.start_python(_LINUX_ECHO, V4, "20080", str(MPTCP))
    expect_line(process, "ready")
    b.sysctl("net.ipv4.tcp_fastopen", "1")
    ours = client(a, V4, send=SIZE, receive=SIZE, fast_open=True, timeout=20)
    process.communicate(timeout=30)
    assert ours["verdict"] == "mptcp", ours
    assert ours["intact"]
    assert "TCPFastOpenActive" not in ours["counters"]


def test_linux_client_that_we_refuse(pair: tuple[Namespace, Namespace]) -> None:
    """Linux 6.18 sends the data again without the keys, where RFC 8684 §3.1 has them on the third ACK: that
    ends MPTCP, on its side as well."""
    a, b = pair
    first = Server(b, once=False, fast_open=True)
    linux_client(a, V4, 1_000, 1)
    assert [one["verdict"] for one in first.stop()] == ["mptcp"]
    second = Server(b, once=False, fast_open=True)  # with another secret: the cookie is no good any more
    linux_client(a, V4, 20_000, 1)
    [ours] = second.stop()
    assert ours["counters"]["TCPFastOpenPassiveFail"] == 1
    assert (ours["verdict"], ours["reason"]) == ("fallback", "third_ack_without_capable"), ours
    assert ours["intact"]
    assert ours["bytes_received"] == 20_000
    assert mib(a)["MPCapableDataFallback"] == 1
    assert tcp_mib(a)["TCPFastOpenActiveFail"] == 1


def test_both_ends_ours(pair: tuple[Namespace, Namespace]) -> None:
    a, b = pair
    profiles = ["v1", "v0", "draft", "tcp"]
    server = Server(b, once=False, fast_open=True)
    for profile in profiles:
        ours = client(a, V4, profile=profile, send=SIZE, receive=SIZE, fast_open=True)
        assert ours["verdict"] == ("tcp" if profile == "tcp" else "mptcp"), ours
        assert ours["intact"]
        assert ours["counters"]["TCPFastOpenActive"] == 1
    results = server.stop()
    assert [one["profile"] for one in results] == profiles
    assert results[-1]["counters"]["TCPFastOpenPassive"] == len(profiles)


def test_linux_s_client_takes_an_answer_without_data_ack_for_a_fallback(
    pair: tuple[Namespace, Namespace],
) -> None:
    """Why `fast_open_answer: auto` waits for the key in v1: Linux 6.18 does not know erratum 6609. Nothing
    is lost by it: we fall back as well, even where its DATA_FIN has crossed our answer."""
    a, b = pair
    server = Server(b, once=False, fast_open=True, fast_open_answer="at_once")
    linux_client(a, V4, 1_000, 6)
    verdicts = [(one["verdict"], one["reason"]) for one in server.stop()]
    assert verdicts == [("mptcp", "none")] + [("fallback", "no_data_ack")] * 5
    assert mib(a)["MPCapableDataFallback"] == 5
