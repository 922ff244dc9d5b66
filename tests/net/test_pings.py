"""`pingall` at the prompt of a lab: 0 % lost where nothing loses packets, and pairs without a route named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.net.pings import ping_all
from testbed.plan import load_topology, plan_from
from tests.net.needs import lab_only

ROOT = Path(__file__).parents[2]
PLAN = plan_from(load_topology("two_path"))
ANSWER = """PING 10.1.1.1 (10.1.1.1) from 10.0.1.1 : 56(84) bytes of data.
64 bytes from 10.1.1.1: icmp_seq=1 ttl=63 time=20.5 ms

1 packets transmitted, 1 received, 0% packet loss, time 0ms"""
SILENCE = "1 packets transmitted, 0 received, 100% packet loss, time 0ms"


class Node:
    def __init__(self, answer: str) -> None:
        self.answer, self.commands = answer, list[str]()

    def cmd(self, command: str) -> str:
        self.commands.append(command)
        return self.answer


def net(**answers: str) -> dict[str, Node]:
    return {node.name: Node(answers.get(node.name, ANSWER)) for node in PLAN.nodes}


def test_pairs_without_a_route_are_named_and_not_counted() -> None:
    said: list[str] = []
    nodes = net()
    assert ping_all(nodes, PLAN, "", said.append) == 0.0
    text = "".join(said)
    assert "r1 -> client server - " in text
    assert "*** Results: 0% dropped (10/10 received)" in text
    assert "*** No route, not pinged (-): r1 > r2, r2 > r1" in text
    assert "ping -c1 -W 5 -I 10.1.2.1 10.0.2.254" in nodes["server"].commands


def test_what_is_lost_is_counted_and_times_are_shown() -> None:
    said: list[str] = []
    assert ping_all(net(server=SILENCE), PLAN, "2", said.append, times=True) == pytest.approx(30.0)
    text = "".join(said)
    assert "server -> X X X" in text
    assert "client -> server (20.5 ms)" in text
    assert "30% dropped (7/10 received)" in text


def test_without_ping_the_package_is_named_once() -> None:
    said: list[str] = []
    assert ping_all(net(client="bash: ping: command not found"), PLAN, "", said.append) is None
    text = "".join(said)
    assert text.count("sudo apt-get install iputils-ping") == 1
    assert "Results" not in text


def test_setup_installs_it() -> None:
    assert "[ping]=iputils-ping" in (ROOT / "scripts" / "setup.sh").read_text()


@pytest.mark.lab
@lab_only
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ping") is None, reason="ping is not installed: make setup")
@pytest.mark.parametrize("name", sorted(file.stem for file in (ROOT / "topologies").glob("*.py")))
def test_nothing_is_lost_in_any_topology(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "testbed.cli", "topo", "shell", name],
        input="pingall 9\nexit\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stderr  # Mininet's prompt answers there
    assert "*** Results: 0% dropped" in said
    assert " X" not in said.split("testing ping reachability")[1]


@pytest.mark.lab
@lab_only
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_folder_of_the_path_that_may_not_be_read_does_no_harm(place: str, tmp_path: Path) -> None:
    """Root may read everything, so it gives up the capabilities for that."""
    dark = tmp_path / "dark"
    dark.mkdir(mode=0o000)
    folders = [os.environ["PATH"], str(dark / "bin")]
    path = os.pathsep.join(folders if place == "last" else folders[::-1])
    caps = "-dac_override,-dac_read_search"
    words = ["run", "fallback", "--out", str(tmp_path / "out"), "--set", "vary={}", "--set", "connections=2"]
    words += ["--set", "figures=[]", "--set", "fidelity.calibrate=false"]
    reader = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", sys.executable]
    refused = subprocess.run([*reader, "-c", f"open('{dark}/bin/mnexec')"], capture_output=True, text=True)
    if "PermissionError" not in refused.stderr:
        pytest.skip("this user's right to read everything cannot be given up here")
    done = subprocess.run(
        [*reader, "-m", "testbed.cli", *words],
        env={**os.environ, "PATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
