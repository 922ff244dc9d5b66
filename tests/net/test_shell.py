"""Mininet's prompt on a running lab, as a user at a terminal has it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.net.needs import PROBE, Watch, family, lab_only

pytestmark = [pytest.mark.lab, lab_only]

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
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
            cwd=place,
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

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        os.write(self._master, b"\x03")

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
        terminal.type("server testbed server --once --timeout 20 > server.log &")
        terminal.until("mininet> ")
        terminal.type("client until testbed client server:20080 --no-check --send 20KB; do :; done")
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


def test_ctrl_c_and_exit_end_the_command_and_not_the_lab(tmp_path: Path) -> None:
    terminal = Terminal([sys.executable, "-c", SHELL], tmp_path)
    try:
        terminal.until("mininet> ")
        # In one process: a child of the shell that has not yet become `sleep` would lose the Ctrl-C.
        terminal.type("client sh -c 'echo begun; exec sleep 60'; echo ended")
        terminal.until("begun\r\r")
        terminal.interrupt()
        assert "ended" not in terminal.until("mininet> ")
        terminal.type(f"client {sys.executable} -S {PROBE} 10.0.1.1 10.1.1.1 1")
        assert float(terminal.until("mininet> ").split("\r\n")[1]) >= 2
        terminal.type("client exit")
        assert "exit alone, without a node, leaves the lab" in terminal.until("mininet> ")
        terminal.type("client (exit 3); echo status $?")
        assert "status 3" in terminal.until("mininet> ")
        terminal.type("r1 exec true")
        assert "the shell of r1 has ended; its next command has a new one" in terminal.until("mininet> ")
        terminal.type("r1 ip -4 -o address show dev r1-eth0; echo status $?")
        answer = terminal.until("mininet> ")
        assert "inet 10." in answer
        assert "status 0" in answer
        terminal.type("r1 exit")
        assert "exit alone, without a node, leaves the lab" in terminal.until("mininet> ")
        terminal.type("exit")
        terminal.until("left in good order")
        assert terminal.process.wait(10) == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


@pytest.mark.parametrize("how", ["Ctrl-\\", "the terminal is closed"])
def test_nothing_is_left_however_the_terminal_goes(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    terminal = Terminal([sys.executable, "-c", SHELL], tmp_path)
    terminal.until("mininet> ")
    assert list(tmp_path.iterdir())
    watch = Watch(family(terminal.process.pid))
    if how == "Ctrl-\\":
        terminal.type("\x1c")
    else:
        terminal.close()
    terminal.process.wait(15)
    watch.wait_gone()
    assert not list(tmp_path.iterdir())


def test_the_prompt_says_that_the_wires_are_gone(tmp_path: Path) -> None:
    terminal = Terminal([sys.executable, "-c", SHELL], tmp_path)
    try:
        terminal.until("mininet> ")
        wires = [pid for pid in family(terminal.process.pid) if b"drive.wires" in _command(pid)]
        for pid in wires:
            os.kill(pid, signal.SIGTERM)
        terminal.type("client sleep 1")
        assert "no packet gets through any more" in terminal.until("mininet> ")
        terminal.type("exit")
        terminal.process.wait(10)
    finally:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


SCRIPT = """\
client cat; echo one
client (testbed server --port x server)
server sleep 60 &
client read line; echo "two $?"
client echo three
exit
"""


def test_a_script_loses_no_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHELL], input=SCRIPT, capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "left in good order" in done.stdout
    wanted = ["one", "two 1", "three"]
    assert [line for line in done.stderr.splitlines() if line in wanted] == wanted
    assert "Invalid value for '--port'" in done.stderr  # `(testbed server` is a command, not an address
