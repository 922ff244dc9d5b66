"""Mininet's prompt on a running lab, as a user at a terminal has it; and plain Mininet with our topology."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed.net import Lab
from tests.net.needs import PROBE, Watch, family, lab_only, two_path

pytestmark = [pytest.mark.lab, lab_only]

ROOT = Path(__file__).resolve().parents[2]
SHELL = """
from testbed.net import shell
from testbed.plan import load_topology, plan_from
shell(plan_from(load_topology("two_path", delay="1ms")))
print("left in good order")
"""


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command: list[str], place: Path) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=place
        )
        os.close(slave)

    def until(self, word: str, within: float = 30.0) -> str:
        text = ""
        deadline = time.monotonic() + within
        while word not in text:
            left = deadline - time.monotonic()
            assert left > 0, f"no {word!r} in {text!r}"
            if select.select([self._master], [], [], left)[0]:
                text += os.read(self._master, 4096).decode(errors="replace")
        return text

    def type(self, line: str) -> None:
        os.write(self._master, line.encode() + b"\n")

    def close(self) -> None:
        os.close(self._master)


def test_the_prompt_knows_the_nodes_and_the_testbed_command(tmp_path: Path) -> None:
    terminal = Terminal([sys.executable, "-c", SHELL], tmp_path)
    try:
        terminal.until("mininet> ")
        terminal.type("nodes")
        assert "client r1 r2 server" in terminal.until("mininet> ")
        terminal.type("net")
        assert "client-eth1:r2-eth0" in terminal.until("mininet> ")
        terminal.type("server ip -4 -o address show dev server-eth1")
        assert "10.1.2.1/24" in terminal.until("mininet> ")
        terminal.type(f"client {sys.executable} -S {PROBE} 10.0.1.1 server 1")
        assert float(terminal.until("mininet> ").split("\r\n")[1]) >= 2
        terminal.type("server testbed server --once > server.log &")
        terminal.until("mininet> ")
        terminal.type("client until testbed client 10.1.1.1:20080 --send 20KB; do :; done")
        assert "mptcp" in terminal.until("mininet> ").split("\r\n", 1)[1]
        terminal.type("sevrer ls")
        assert "Unknown command: sevrer ls; there are the nodes client" in terminal.until("mininet> ")
        watch = Watch(family(terminal.process.pid))
        terminal.type("exit")
        terminal.until("left in good order")
        watch.wait_gone()
        assert terminal.process.wait(10) == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


def test_plain_mininet_runs_the_topology_file() -> None:
    with Lab(two_path()) as lab:  # a safe place: what mn does to a machine, it does to this lab
        mn = [str(Path(sys.executable).with_name("mn")), "--custom", str(ROOT / "topologies" / "two_path.py")]
        done = lab.run(
            "r1", [*mn, "--topo", "two_path,bw=5", "--controller", "none", "--test", "none"], timeout=120
        )
    assert done.returncode == 0, done.stderr
    assert "client r1 r2 server" in done.stdout + done.stderr
    assert "(client, r1) (client, r2) (r1, server) (r2, server)" in done.stdout + done.stderr
