"""The wire process between two namespaces, with the kernel at both ends."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.drive.tun import open_tap
from testbed.link import LinkParams
from tests.namespaces import Namespace, expect_line, namespaces, why_no_lab

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


class Wire:
    def __init__(self, directory: Path, a: Namespace, b: Namespace, **spec: Any) -> None:
        self.out = directory / "out.json"
        fds = []
        for namespace, address in ((a, "10.9.0.1/24"), (b, "10.9.0.2/24")):
            name = f"t{uuid.uuid4().hex[:10]}"
            fds.append(open_tap(name))
            subprocess.run(["ip", "link", "set", name, "netns", namespace.name], check=True)
            namespace.sysctl(f"net.ipv6.conf.{name}.disable_ipv6", "1")
            namespace.run("ip", "link", "set", name, "name", "eth0", "txqueuelen", "5000")
            namespace.run("ip", "addr", "add", address, "dev", "eth0")
            namespace.run("ip", "link", "set", "eth0", "up")
        link = {"name": "a-b", "a_fd": fds[0], "b_fd": fds[1], **spec}
        for side in ("forward", "backward"):
            link[side] = dataclasses.asdict(link.get(side, LinkParams()))
        path = directory / "spec.json"
        path.write_text(json.dumps({"seed": 3, "links": [link]}))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "testbed.drive.wires", str(path), str(self.out)],
            pass_fds=fds,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for fd in fds:
            os.close(fd)
        expect_line(self.process, "ready")

    def end(self) -> dict[str, Any]:
        _, errors = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, errors
        report: dict[str, Any] = json.loads(self.out.read_text())
        return report


@contextmanager
def wire(directory: Path, **spec: Any) -> Iterator[tuple[Namespace, Namespace, Wire]]:
    with namespaces(2) as (a, b):
        running = Wire(directory, a, b, **spec)
        try:
            yield a, b, running
        finally:
            if running.process.poll() is None:
                running.process.kill()
                running.process.communicate()


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
        [sys.executable, "-m", "testbed.drive.wires", str(path), str(tmp_path / "out.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
