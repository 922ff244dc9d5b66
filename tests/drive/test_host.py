"""The host process of a lab: two of them over real wires, begun and ended as the lab does it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from testbed.link import LinkParams
from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, SynCookies
from testbed.workloads import HostSpec, Workload
from tests.namespaces import Namespace, expect_line, why_no_lab
from tests.wiring import A, B, wire

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))]
MILLISECOND = 1_000_000
COUNT = 30


def start(namespace: Namespace, directory: Path, spec: HostSpec, *flags: str) -> subprocess.Popen[str]:
    path = directory / f"{spec.name}.json"
    path.write_bytes(TypeAdapter(HostSpec).dump_json(spec))
    out = str(directory / f"{spec.name}.out.json")
    child = namespace.start(sys.executable, "-P", "-m", "testbed.drive.host", str(path), out, *flags)
    expect_line(child, "ready")
    return child


def finish(child: subprocess.Popen[str], directory: Path, name: str) -> dict[str, Any]:
    """Ends its input and waits; its report."""
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors
    report: dict[str, Any] = json.loads((directory / f"{name}.out.json").read_text())
    return report


def run(directory: Path, profile: Profile, up: LinkParams, response: int = 3000) -> tuple[Any, Any, Any]:
    """Reports of client, server and wire after COUNT connections."""
    workload = Workload(request=300, response=response, arrivals=100.0)
    config = ServerConfig((profile,), SynCookies.ALWAYS)
    client = HostSpec(
        "client", "client", (A,), (B,), client=ClientConfig(profile), workload=workload, connections=COUNT
    )
    server = HostSpec("server", "server", (B,), (A,), server=config, workload=workload)
    down = LinkParams(delay=up.delay)
    with wire(directory, forward=up, backward=down) as (a, b, running):
        serving = start(b, directory, server)
        asking = start(a, directory, client, "--stay")
        expect_line(asking, "done")
        report = finish(serving, directory, "server")
        return finish(asking, directory, "client"), report, running.end()


@pytest.mark.parametrize(("profile", "verdict"), [("v0", "fallback"), ("draft", "mptcp"), ("v1", "mptcp")])
def test_lost_third_acks(tmp_path: Path, profile: str, verdict: str) -> None:
    """A stateless server that loses every third ACK: v0 falls back, the others do not."""
    up = LinkParams(delay=5 * MILLISECOND, drops=("third_ack",))
    client, server, wires = run(tmp_path, Profile(profile), up)
    assert len(client["rows"]) == len(server["rows"]) == COUNT
    for row in (*client["rows"], *server["rows"]):
        assert row["verdict"] == verdict, row
        assert row["intact"], row
    assert {row["reason"] for row in server["rows"]} == {
        "cookie_without_key" if verdict == "fallback" else "none"
    }
    assert len(wires["links"]["a-b/forward"]["exact"]) == COUNT
    assert server["counters"]["SyncookiesRecv"] == COUNT
    for report in (client, server):
        assert report["invalid"] is None
        assert report["fidelity"]["host_tun_drops"] == 0
    assert client["fidelity"]["host_timer_lateness_max_us"] > 0  # of arrivals, if of nothing else
    # A handshake and one more round trip.
    times = sorted(row["done_ns"] - row["opened_ns"] for row in client["rows"])
    assert times[0] >= 20 * MILLISECOND


def test_losses_are_repaired(tmp_path: Path) -> None:
    up = LinkParams(delay=2 * MILLISECOND, loss=0.1)
    client, server, wires = run(tmp_path, Profile.V1, up, response=30_000)
    assert all(row["intact"] and row["verdict"] == "mptcp" for row in (*client["rows"], *server["rows"]))
    assert wires["links"]["a-b/forward"]["dropped"]["random"] > 0


def test_the_same_input_meets_the_same_losses(tmp_path: Path) -> None:
    """What is lost depends on the seed and the order of packets only, not on their timing."""
    found = []
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        up = LinkParams(delay=MILLISECOND, loss=0.3)
        with wire(directory, forward=up) as (a, _, running):
            source = (
                "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                f"for n in range(200): s.sendto(b'x' * n, ('{B}', 9))"
            )
            a.run("ip", "neigh", "replace", B, "lladdr", "02:00:00:00:00:01", "dev", "eth0")
            a.python(source)
            report = running.end()["links"]["a-b/forward"]
        assert report["packets"] == 200
        found.append(report["dropped"]["random"])
    assert found[0] == found[1] > 30


def test_a_bad_specification_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{"name": "client"}')
    done = subprocess.run(
        [sys.executable, "-P", "-m", "testbed.drive.host", str(path), str(tmp_path / "out.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
