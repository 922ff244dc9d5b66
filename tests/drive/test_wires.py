"""The wire process between two namespaces, with the kernel at both ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.link import LinkParams
from tests.namespaces import Namespace, expect_line, why_no_lab
from tests.wiring import wire

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))]
MILLISECOND = 1_000_000

SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 5000))
print("ready", flush=True)
peer, _ = server.accept()
data = b""
while chunk := peer.recv(65536):
    data += chunk
peer.sendall(len(data).to_bytes(4, "big"))
peer.close()
"""
CLIENT = """
import socket, sys, time
began = time.monotonic()
peer = socket.create_connection((sys.argv[1], 5000))
peer.sendall(bytes(int(sys.argv[2])))
peer.shutdown(socket.SHUT_WR)
print(int.from_bytes(peer.recv(4), "big"), time.monotonic() - began)
"""

ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 5000))
print("ready", flush=True)
while True:
    server.sendto(*server.recvfrom(2048))
"""
ASK = """
import socket, sys, time
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(float(sys.argv[2]))
for n in range(int(sys.argv[1])):
    began = time.monotonic()
    client.sendto(b"question", ("10.9.0.2", 5000))
    try:
        client.recv(2048)
        print(1000 * (time.monotonic() - began))
    except TimeoutError:
        pass
"""


def transfer(a: Namespace, b: Namespace, size: int) -> float:
    server = b.start_python(SERVER, "10.9.0.2")
    expect_line(server, "ready")
    got, seconds = a.python(CLIENT, "10.9.0.2", str(size)).split()
    assert int(got) == size
    return float(seconds)


def test_delay_and_capture(tmp_path: Path) -> None:
    capture = tmp_path / "wire.pcapng"
    delay = LinkParams(delay=20 * MILLISECOND)
    with wire(tmp_path, forward=delay, backward=delay, capture=str(capture)) as (a, b, running):
        expect_line(b.start_python(ECHO), "ready")
        times = sorted(map(float, a.python(ASK, "5", "5").split()))
        assert len(times) == 5
        assert 40 <= times[0] <= times[2] < 60
        assert times[4] >= 80  # the first waits for ARP too
        report = running.end()
    forward = report["links"]["a-b/forward"]
    assert forward["packets"] == forward["delivered"] == 5
    assert forward["housekeeping"] >= 1
    assert report["fidelity"]["wire_lateness_max_us"] > 0
    assert report["captures"] == [str(capture)]
    shown = subprocess.run(["tshark", "-r", str(capture)], capture_output=True, text=True, check=True).stdout
    assert shown.count("UDP") == 10
    assert "ARP" in shown


def test_rate_holds_a_transfer_back(tmp_path: Path) -> None:
    slow = LinkParams(rate=10_000_000, delay=2 * MILLISECOND, queue=200)
    with wire(tmp_path, forward=slow, backward=slow) as (a, b, running):
        seconds = transfer(a, b, 2_000_000)
        report = running.end()
    frames = report["links"]["a-b/forward"]["bytes"]
    assert frames * 8 / seconds <= 10_000_000 * 1.01  # never faster than the rate
    assert 2_000_000 * 8 / seconds >= 0.85 * 10_000_000
    assert report["links"]["a-b/forward"]["dropped"]["queue"] == 0


def test_exact_drop_is_reported_and_marked(tmp_path: Path) -> None:
    capture = tmp_path / "wire.pcapng"
    spec = {"forward": LinkParams(drops=("syn", "data:2")), "capture": str(capture)}
    with wire(tmp_path, **spec) as (a, b, running):
        assert transfer(a, b, 20_000) >= 1.0  # the kernel's SYN timer
        report = running.end()
    forward = report["links"]["a-b/forward"]
    assert forward["dropped"] == {"exact": 2, "random": 0, "queue": 0}
    assert [match["word"] for match in forward["exact"]] == ["syn", "data"]
    assert forward["exact"][0]["destination"] == "10.9.0.2:5000"
    assert forward["unmatched"] == []
    fields = ["-T", "fields", "-e", "frame.comment", "-Y", "frame.comment"]
    shown = subprocess.run(
        ["tshark", "-r", str(capture), *fields], capture_output=True, text=True, check=True
    ).stdout
    assert shown.split("\n")[:2] == ["dropped: exact: syn", "dropped: exact: data:2"]


def test_all_lost_but_arp(tmp_path: Path) -> None:
    with wire(tmp_path, forward=LinkParams(loss=1.0)) as (a, _, running):
        assert a.python(ASK, "3", "0.2") == ""
        assert "REACHABLE" in a.run("ip", "neigh", "show", "10.9.0.2")
        report = running.end()
    assert report["links"]["a-b/forward"]["dropped"]["random"] == 3
    assert report["links"]["a-b/backward"]["packets"] == 0


def test_a_bad_specification_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{"seed": 1, "links": [{"name": "x"}]}')
    done = subprocess.run(
        [sys.executable, "-P", "-m", "testbed.drive.wires", str(path), str(tmp_path / "out.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
