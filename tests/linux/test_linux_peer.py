"""Linux's own MPTCP as the peer of our v1 stack, both ways, with the kernel's counters as the witness.

Here is what depends on one segment or one choice of ours; plain transfers and everything with addresses and
paths are test_interop.py's. Linux's behaviour in each case was observed on 6.18. The namespaces are joined by
a veth pair; segments are dropped by nftables in front of the server, so that nothing of ours decides what is
lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.namespaces import Namespace, join, namespaces, why_no_lab
from tests.programs import LinuxEcho, Server, client, linux_client, mib, why_no_mptcp

REASON = why_no_lab() or why_no_mptcp()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

A, B = "10.9.0.1", "10.9.0.2"
SIZE = 1_000_000
THIRD_ACK = "tcp flags & (syn|ack|psh|fin|rst) == ack numgen inc mod 4294967295 == 0 drop"


@pytest.fixture
def pair() -> Iterator[tuple[Namespace, Namespace]]:
    """The client's and the server's namespace."""
    with namespaces(2) as (a, b):
        join(a, b, f"{A}/24", f"{B}/24")
        yield a, b


def drop(namespace: Namespace, rule: str) -> None:
    """Drops what comes in and matches."""
    namespace.run("nft", "add table ip t; add chain ip t c { type filter hook prerouting priority -300; }")
    namespace.run("nft", f"add rule ip t c tcp dport 20080 {rule}")


def assert_whole(ours: dict[str, Any], linux: dict[str, Any], verdict: str) -> None:
    assert ours["verdict"] == verdict, ours
    assert ours["intact"], ours
    assert linux["fallback"] == (verdict != "mptcp"), linux
    assert ours["bytes_received"] == ours["bytes_sent"] == linux["received"]
    assert ours["closed_by"] == ("data_fin" if verdict == "mptcp" else "fin"), ours


@pytest.mark.parametrize("cookies", ["1", "2"])
def test_the_first_data_is_the_third_ack(pair: tuple[Namespace, Namespace], cookies: str) -> None:
    a, b = pair
    b.sysctl("net.ipv4.tcp_syncookies", cookies)
    server = LinuxEcho(b, B)
    ours = client(a, B, send=SIZE, receive=SIZE, third_ack="piggyback")
    assert_whole(ours, server.result(), "mptcp")
    witness = mib(b)
    assert witness["MPCapableSYNRX"] == witness["MPCapableACKRX"] == 1
    assert not {name for name in witness if "Fallback" in name or "Err" in name or "Infinite" in name}


@pytest.mark.parametrize("who", ["client", "server"])
def test_checksums_asked_by_either_side(pair: tuple[Namespace, Namespace], who: str) -> None:
    a, b = pair
    b.sysctl("net.mptcp.checksum_enabled", "1" if who == "server" else "0")
    server = LinuxEcho(b, B)
    ours = client(a, B, send=SIZE, receive=SIZE, checksum=who == "client")
    linux = server.result()
    assert_whole(ours, linux, "mptcp")
    assert linux["checksum"]


@pytest.mark.parametrize("cookies", ["off", "always"])
def test_linux_client_whose_third_ack_is_lost(pair: tuple[Namespace, Namespace], cookies: str) -> None:
    """The key comes again with the first data: RFC 8684 §3.1."""
    a, b = pair
    drop(b, THIRD_ACK)
    server = Server(b, syn_cookies=cookies)
    linux = linux_client(a, B, SIZE)
    assert linux["intact"]
    assert_whole(server.result(), linux, "mptcp")


@pytest.mark.parametrize("cookies", ["1", "2"])
def test_our_third_ack_is_lost(pair: tuple[Namespace, Namespace], cookies: str) -> None:
    a, b = pair
    drop(b, THIRD_ACK)
    b.sysctl("net.ipv4.tcp_syncookies", cookies)
    server = LinuxEcho(b, B)
    ours = client(a, B, send=SIZE, receive=SIZE)
    assert_whole(ours, server.result(), "mptcp")
    assert mib(b)["MPCapableACKRX"] == 1


@pytest.mark.parametrize("listener", ["linux", "ours"])
def test_plain_dss_first_falls_back_alike(pair: tuple[Namespace, Namespace], listener: str) -> None:
    """What a client without the proposal does: with the third ACK lost, no listener learns its key."""
    a, b = pair
    drop(b, THIRD_ACK)
    arguments = {"send": SIZE, "receive": SIZE, "first_data": "dss"}
    if listener == "linux":
        server = LinuxEcho(b, B)
        ours = client(a, B, **arguments)
        assert_whole(ours, server.result(), "fallback")
        assert mib(b)["MPCapableFallbackACK"] == 1
    else:
        served = Server(b, syn_cookies="off")
        ours = client(a, B, **arguments)
        far = served.result()
        assert far["verdict"] == "fallback"
        assert far["counters"]["MPCapableFallbackACK"] == 1
    assert ours["verdict"] == "fallback"
    assert ours["reason"] == "no_data_ack"
    assert ours["intact"]


def test_plain_dss_behind_a_third_ack_that_came_stays(pair: tuple[Namespace, Namespace]) -> None:
    a, b = pair
    server = LinuxEcho(b, B)
    assert_whole(client(a, B, send=SIZE, receive=SIZE, first_data="dss"), server.result(), "mptcp")


def test_a_listener_without_mptcp(pair: tuple[Namespace, Namespace]) -> None:
    a, b = pair
    b.sysctl("net.mptcp.enabled", "0")
    listener = (
        "import socket; s = socket.create_server(('', 20080)); print('ready', flush=True)\n"
        "c, _ = s.accept()\nwhile data := c.recv(65536): c.sendall(data)\nc.close()"
    )
    child = b.start_python(listener)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    ours = client(a, B, send=SIZE, receive=SIZE)
    assert (ours["verdict"], ours["reason"]) == ("fallback", "no_capable_in_synack")
    assert ours["intact"]


def test_a_plain_client_of_linux(pair: tuple[Namespace, Namespace]) -> None:
    """Without MP_CAPABLE in the SYN there is nothing but TCP, whatever the listener offers."""
    a, b = pair
    server = Server(b)
    a.sysctl("net.mptcp.enabled", "1")
    source = f"""
import socket
sock = socket.create_connection(("{B}", 20080))
sock.sendall(b"x" * 1000)
sock.shutdown(socket.SHUT_WR)
got = b""
while data := sock.recv(65536):
    got += data
assert got == b"x" * 1000
"""
    a.python(source)
    ours = server.result()
    assert ours["bytes_received"] == 1000
    assert ours["verdict"] in ("tcp", "fallback")


@pytest.mark.parametrize("lost", ["", THIRD_ACK])
@pytest.mark.parametrize("cookies", ["1", "2"])
def test_our_client_closes_without_a_byte(pair: tuple[Namespace, Namespace], cookies: str, lost: str) -> None:
    """Linux sends no DATA_ACK for the keys alone, so the DATA_FIN follows the third ACK at once. Both ends
    close, also where the third ACK is lost and Linux falls back."""
    a, b = pair
    if lost:
        drop(b, lost)
    b.sysctl("net.ipv4.tcp_syncookies", cookies)
    server = LinuxEcho(b, B)
    ours = client(a, B, send=0, receive=0)
    linux = server.result()
    assert linux["received"] == 0
    assert ours["verdict"] == ("fallback" if lost else "mptcp"), ours
    assert ours["closed_by"] == ("fin" if lost else "data_fin"), ours
    assert ours["seconds"] < (2 if lost else 0.5)
