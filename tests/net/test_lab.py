"""A lab's network: addresses, ways, delay, rate, loss, and the evidence about its own fidelity."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mininet.topo import Topo

from testbed.net import Lab
from testbed.plan import plan_from
from tests.net.needs import lab_only, probe, two_path

pytestmark = [pytest.mark.lab, lab_only]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(two_path()) as lab:
        yield lab


def test_every_address_reaches_every_other_over_its_own_wire(tmp_path: Path) -> None:
    plan = two_path(delay="0ms")
    with Lab(plan, directory=tmp_path) as lab:
        for near in plan.addresses("client"):
            for far in plan.addresses("server"):
                probe(lab, "client", near, far)
                probe(lab, "server", far, near, 2)
    assert lab.outcome is not None
    assert lab.outcome.invalid is None
    # Each address of the client sends by its own link. Of the 12 requests and 12 answers, what came from the
    # server's first address took path 1 down, whichever address it went to.
    counts = {name: link["packets"] for name, link in lab.outcome.links.items()}
    assert counts == {
        "client-r1/forward": 6,
        "client-r1/backward": 6,
        "client-r2/forward": 6,
        "client-r2/backward": 6,
    }


def test_the_round_trip_is_the_plans_delay(lab: Lab) -> None:
    times = probe(lab, "client", "10.0.1.1", "10.1.1.1", 15)
    assert min(times) >= 20.0  # the wire may be late, never early
    assert statistics.median(times) < 30.0


def test_interfaces_are_as_planned_and_quiet(lab: Lab) -> None:
    shown = lab.run("client", ["ip", "-o", "address", "show"]).stdout
    assert "client-eth0    inet 10.0.1.1/24" in shown
    assert "client-eth1    inet 10.0.2.1/24" in shown
    assert "inet6" not in shown
    assert lab.run("r1", ["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "1\n"
    neighbours = lab.run("server", ["ip", "neighbour"]).stdout.splitlines()
    assert len(neighbours) == 2
    assert all("PERMANENT" in line for line in neighbours)


def test_what_names_no_source_takes_the_path_of_its_destination(lab: Lab) -> None:
    for destination, interface in (("10.1.1.1", "client-eth0"), ("10.1.2.1", "client-eth1")):
        assert f"dev {interface} " in lab.run("client", ["ip", "route", "get", destination]).stdout


def test_a_command_keeps_its_status_and_output(lab: Lab) -> None:
    done = lab.run("r2", ["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert lab.run("r2", ["no-such-program"]).returncode == 127


TRANSFER = """
import socket, sys, time
source, destination, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
with socket.create_connection((destination, 5001), source_address=(source, 0)) as stream:
    began = time.monotonic()
    stream.sendall(bytes(size))
    stream.shutdown(socket.SHUT_WR)
    assert stream.recv(1) == b"", "the far end closes when it has everything"
    print(time.monotonic() - began)
"""
SINK = """
import socket
with socket.create_server(("", 5001)) as listener:
    print("ready", flush=True)
    stream, _ = listener.accept()
    while stream.recv(1 << 16):
        pass
    stream.close()
"""


def test_the_rate_is_the_plans(lab: Lab) -> None:
    import subprocess

    sink = lab.popen("server", [sys.executable, "-S", "-c", SINK], stdout=subprocess.PIPE, text=True)
    assert sink.stdout is not None
    with sink:
        assert sink.stdout.readline() == "ready\n"
        size = 1_000_000
        done = lab.run("client", [sys.executable, "-S", "-c", TRANSFER, "10.0.2.1", "10.1.2.1", str(size)])
        assert done.returncode == 0, done.stderr
        seconds = float(done.stdout)
        sink.wait(10)
    rate = size * 8 / seconds / 1e6
    assert 5.0 < rate < 10.0  # of 10 Mbit/s, with slow start at the beginning


def test_loss_and_exact_drops_are_the_link_models(tmp_path: Path) -> None:
    plan = two_path({"paths.1.loss.up": 100, "paths.2.drop.up": "packet:2"}, delay="1ms")
    with Lab(plan, directory=tmp_path) as lab:
        done = lab.run(
            "client",
            [
                sys.executable,
                "-S",
                "-c",
                "import socket as s;"
                "u=s.socket(s.AF_INET,s.SOCK_DGRAM);u.bind(('10.0.1.1',0));"
                "[u.sendto(b'x',('10.1.1.1',9)) for _ in range(5)]",
            ],
        )
        assert done.returncode == 0, done.stderr
        probe(lab, "client", "10.0.2.1", "10.1.2.1")
    assert lab.outcome is not None
    assert lab.outcome.links["client-r1/forward"]["dropped"]["random"] == 5
    assert lab.outcome.links["client-r2/forward"]["dropped"]["exact"] == 0
    assert lab.outcome.links["client-r2/forward"]["packets"] == 1


def test_captures_come_from_the_wires(tmp_path: Path) -> None:
    with Lab(two_path(delay="1ms"), directory=tmp_path, capture=True) as lab:
        probe(lab, "client", "10.0.1.1", "10.1.1.1")
    assert lab.outcome is not None
    assert [Path(name).name for name in lab.outcome.captures] == ["client-r1.pcapng", "client-r2.pcapng"]
    assert all(Path(name).read_bytes()[:4] == b"\x0a\x0d\x0d\x0a" for name in lab.outcome.captures)


def test_a_chain_of_routers_without_any_wire() -> None:
    topo: Any = Topo()
    for name in ("client", "server"):
        topo.addHost(name)
    for name in ("a", "b", "c"):
        topo.addHost(name, role="router")
    for near, far in (("client", "a"), ("a", "b"), ("b", "c"), ("c", "server")):
        topo.addLink(near, far)
    plan = plan_from(topo)
    with Lab(plan) as lab:
        (near,), (far,) = plan.addresses("client"), plan.addresses("server")
        assert len(probe(lab, "client", near, far, 3)) == 3
    assert lab.outcome is not None
    assert not lab.outcome.links
