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
V4 = ("10.9.0.1", "10.9.0.2", 24)
V6 = ("fd00:9::1", "fd00:9::2", 64)

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


@pytest.fixture(params=[V4, V6], ids=["ipv4", "ipv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Namespace, Namespace, str]]:
    """The client's and the server's namespace, with Fast Open on in both, and the server's address."""
    near, far, bits = request.param
    with namespaces(2) as (a, b):
        join(a, b, f"{near}/{bits}", f"{far}/{bits}")
        for one in (a, b):
            one.sysctl("net.ipv4.tcp_fastopen", "3")
        yield a, b, far


def tcp_mib(namespace: Namespace) -> dict[str, int]:
    counters = {}
    for line in namespace.run("nstat", "-as", "TcpExtTCPFastOpen*").splitlines()[1:]:
        name, value = line.split()[:2]
        counters[name.removeprefix("TcpExt")] = int(value)
    return {name: value for name, value in counters.items() if value}


@pytest.mark.parametrize("protocol", [MPTCP, TCP], ids=["mptcp", "tcp"])
def test_linux_client(pair: tuple[Namespace, Namespace, str], protocol: int) -> None:
    a, b, far = pair
    verdict = "mptcp" if protocol == MPTCP else "tcp"
    server = Server(b, once=False, fast_open=True)
    intact = json.loads(a.python(_LINUX_CLIENT, far, "20080", str(SIZE), str(protocol), "3", timeout=60))
    assert intact == [True] * 3
    results = server.stop()
    assert [one["verdict"] for one in results] == [verdict] * 3, results
    assert all(one["intact"] and one["bytes_received"] == SIZE for one in results)
    counters = results[-1]["counters"]
    assert counters["TCPFastOpenCookieReqd"] == 1
    assert counters["TCPFastOpenPassive"] == 2
    assert tcp_mib(a)["TCPFastOpenActive"] == 2
    assert not {name for name in mib(a) if "Fallback" in name or "Err" in name or "Infinite" in name}


@pytest.mark.parametrize("third_ack", ["bare", "piggyback"])
@pytest.mark.parametrize("profile", ["v1", "tcp"])
def test_linux_server(pair: tuple[Namespace, Namespace, str], profile: str, third_ack: str) -> None:
    a, b, far = pair
    protocol = MPTCP if profile == "v1" else TCP
    process = b.start_python(_LINUX_ECHO, far, "20080", str(protocol))
    expect_line(process, "ready")
    ours = client(
        a, far, profile=profile, send=SIZE, receive=SIZE, third_ack=third_ack, fast_open=True, timeout=20
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
    assert not {name for name in mib(b) if "Fallback" in name or "Err" in name or "Infinite" in name}


def test_linux_server_that_refuses(pair: tuple[Namespace, Namespace, str]) -> None:
    """Its key changes between cookie and use: the data goes again as ordinary data, mapped."""
    a, b, far = pair
    b.sysctl("net.ipv4.tcp_fastopen_key", "00000001-00000002-00000003-00000004")
    process = b.start_python(_LINUX_ECHO, far, "20080", str(MPTCP))
    expect_line(process, "ready")
    b.sysctl("net.ipv4.tcp_fastopen", "1")  # the server's half is off: it hands out none and takes none
    ours = client(a, far, send=SIZE, receive=SIZE, fast_open=True, timeout=20)
    process.communicate(timeout=30)
    assert ours["verdict"] == "mptcp", ours
    assert ours["intact"]
    assert "TCPFastOpenActive" not in ours["counters"]


def test_linux_client_that_we_refuse(pair: tuple[Namespace, Namespace, str]) -> None:
    """Linux 6.18 sends the data again without the keys, where RFC 8684 §3.1 has them on the third ACK: that
    ends MPTCP, on its side as well."""
    a, b, far = pair
    first = Server(b, fast_open=True)
    assert json.loads(a.python(_LINUX_CLIENT, far, "20080", "1000", str(MPTCP), "1", timeout=30)) == [True]
    assert first.result()["verdict"] == "mptcp"
    second = Server(b, fast_open=True)  # with another secret: the cookie is no good any more
    size = 20_000
    assert json.loads(a.python(_LINUX_CLIENT, far, "20080", str(size), str(MPTCP), "1", timeout=30)) == [True]
    ours = second.result()
    assert ours["counters"]["TCPFastOpenPassiveFail"] == 1
    assert (ours["verdict"], ours["reason"]) == ("fallback", "third_ack_without_capable"), ours
    assert ours["intact"]
    assert ours["bytes_received"] == size
    assert mib(a)["MPCapableDataFallback"] == 1
    assert tcp_mib(a)["TCPFastOpenActiveFail"] == 1


def test_both_ends_ours(pair: tuple[Namespace, Namespace, str]) -> None:
    a, b, far = pair
    for profile in ("v1", "v0", "draft", "tcp"):
        server = Server(b, fast_open=True)
        ours = client(a, far, profile=profile, send=SIZE, receive=SIZE, fast_open=True)
        assert ours["verdict"] == ("tcp" if profile == "tcp" else "mptcp"), ours
        assert ours["intact"]
        assert ours["counters"]["TCPFastOpenActive"] == 1
        assert server.result()["counters"]["TCPFastOpenPassive"] == 1


def test_linux_s_client_takes_an_answer_without_data_ack_for_a_fallback(
    pair: tuple[Namespace, Namespace, str],
) -> None:
    """Why `fast_open_answer: auto` waits for the key in v1: Linux 6.18 does not know erratum 6609."""
    a, b, far = pair
    server = Server(b, once=False, fast_open=True, fast_open_answer="at_once")
    a.python(_LINUX_CLIENT, far, "20080", "1000", str(MPTCP), "1", timeout=60)
    a.python(_LINUX_CLIENT, far, "20080", "1000", str(MPTCP), "1", timeout=60)
    assert len(server.stop()) == 2
    assert mib(a)["MPCapableDataFallback"] == 1
