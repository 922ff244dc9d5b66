"""A foreign capture: Linux's own MPTCP with a joined subflow, written by tcpdump in its own namespace."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from testbed.mptcp.reasons import Reason, Verdict
from testbed.trace import connections, ladder, read_capture
from tests.namespaces import Namespace, namespaces, why_no_lab

MISSING = (
    why_no_lab()
    or (None if shutil.which("tcpdump") else "tcpdump is not installed")
    or (None if Path("/proc/sys/net/mptcp/enabled").exists() else "this kernel has no MPTCP")
)
pytestmark = [pytest.mark.lab, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]

TALK = """
import socket, sys
listening, asking = int(sys.argv[1]), int(sys.argv[2])
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, listening)
server.bind(("127.0.0.1", 20080))
server.listen()
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, asking)
client.connect(("127.0.0.1", 20080))
served, _ = server.accept()

def take(end, count):
    while count:
        count -= len(end.recv(count))

client.sendall(bytes(300))
take(served, 300)
for _ in range(20):  # enough that the joined subflow carries some
    served.sendall(bytes(50_000))
    take(client, 50_000)
client.shutdown(socket.SHUT_WR)
assert served.recv(1) == b""
served.close()
assert client.recv(1) == b""
client.close()
"""
LAST = b"the last packet of the capture"
MARK = f"""
import socket
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto({LAST!r}, ("127.0.0.1", 20080))
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with namespaces(1) as (made,):
        made.sysctl("net.mptcp.enabled", "1")
        made.run("ip", "addr", "add", "127.0.0.2/8", "dev", "lo")
        made.run("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2", check=False)
        made.run("ip", "mptcp", "endpoint", "add", "127.0.0.2", "dev", "lo", "subflow", check=False)
        yield made


def capture(namespace: Namespace, path: Path, listening: int, asking: int) -> None:
    dump = namespace.start("tcpdump", "-i", "lo", "-U", "-B", "16384", "-w", str(path), "port", "20080")
    assert dump.stderr is not None
    while "listening on" not in dump.stderr.readline():
        assert dump.poll() is None, "tcpdump did not start"
    namespace.run("python3", "-c", TALK, str(listening), str(asking))
    # tcpdump has written everything once it has written what comes last.
    namespace.run("python3", "-c", MARK)
    deadline = monotonic() + 20
    while LAST not in path.read_bytes():
        assert monotonic() < deadline, "tcpdump never wrote the last packet"
        dump.poll()
    dump.terminate()
    assert dump.wait(timeout=10) == 0


def test_an_mptcp_connection_with_a_join(namespace: Namespace, tmp_path: Path) -> None:
    path = tmp_path / "linux.pcap"
    capture(namespace, path, socket.IPPROTO_MPTCP, socket.IPPROTO_MPTCP)
    (found,) = connections(read_capture(path).packets)
    text = ladder(found)
    assert (found.profile, found.verdict, found.reason) == ("v1", Verdict.MPTCP, Reason.NONE), text
    assert found.bytes == (300, 1_000_000), text
    assert found.closed_by == "data_fin", text
    assert found.subflows[0].established
    tokens, idsns = witness(path)
    assert set(found.tokens) == tokens
    assert set(found.idsns) == idsns


def witness(path: Path) -> tuple[set[int], set[int]]:
    """Tokens and IDSNs as tshark derives them."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    fields = ["-e", "mptcp.expected_token", "-e", "mptcp.expected_idsn"]
    command = ["tshark", "-r", str(path), "-Y", "mptcp.expected_token", "-T", "fields", *fields]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    pairs = [line.split("\t") for line in lines]
    return {int(pair[0].split(",")[0], 0) for pair in pairs}, {
        int(pair[1].split(",")[0], 0) for pair in pairs
    }


def test_linux_falls_back_with_a_plain_listener(namespace: Namespace, tmp_path: Path) -> None:
    path = tmp_path / "linux.pcap"
    capture(namespace, path, socket.IPPROTO_TCP, socket.IPPROTO_MPTCP)
    (found,) = connections(read_capture(path).packets)
    assert (found.profile, found.verdict) == ("v1", Verdict.FALLBACK), ladder(found)
    assert found.reason is Reason.NO_CAPABLE_IN_SYNACK
    assert (found.bytes, found.closed_by) == ((300, 1_000_000), "fin")


def test_a_plain_client_of_an_mptcp_listener(namespace: Namespace, tmp_path: Path) -> None:
    path = tmp_path / "linux.pcap"
    capture(namespace, path, socket.IPPROTO_MPTCP, socket.IPPROTO_TCP)
    (found,) = connections(read_capture(path).packets)
    assert (found.profile, found.verdict, found.closed_by) == ("tcp", Verdict.TCP, "fin"), ladder(found)
