"""Either stack at either end of a cell: started in its node, heard, told, and its account read.

Decides the command line of each program and how its results become an End. Linux's end is linux_peer.py,
ours is `testbed server` and `testbed client` as a user runs them. Knows nothing of what is expected.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import RunFailed
from testbed.interpreter import bare_script, module
from testbed.net import Lab
from testbed.oracle.network import address
from testbed.oracle.outcome import End

PATIENCE = 60.0  # seconds that a program waits for its peer, on a machine with much else to do
LAST_WORDS = 10.0
_LINUX_PEER = Path(__file__).with_name("linux_peer.py")


@dataclass(frozen=True, slots=True)
class Settings:
    """One end of a cell. `endpoints` in ip-mptcp's words; the first address of the end is no endpoint."""

    endpoints: tuple[str, ...] = ()
    limits: str = "subflows 3 add_addr_accepted 0"
    fast_open: bool = False
    deny_join_initial: bool = False
    both: bool = False  # a Linux end's socket may have subflows of the other address family
    block: int = 0  # a client sends so many bytes and waits until they have come back, 0: any number


@dataclass(frozen=True, slots=True)
class Task:
    """What both programs of a cell do. `pause`: bytes after which one end holds still, 0: never."""

    family: int
    port: int
    size: int
    subflows: int
    checksum: bool
    cookies: bool
    client: Settings
    server: Settings
    pause: int = 0
    pauses: str = ""  # the side that does

    def settings(self, side: str) -> Settings:
        return self.client if side == "client" else self.server

    @property
    def target(self) -> str:
        return address("server", 1, self.family)


class Peer:
    """A program in its node. Its standard error is kept for the message that a failure needs."""

    def __init__(self, lab: Lab, side: str, stack: str, task: Task) -> None:
        self.lab, self.side, self.stack, self.task = lab, side, stack, task
        self._said = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the peer
        command = COMMANDS[stack](side, task)
        self.process = lab.popen(
            side, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
        )

    def line(self, patience: float = PATIENCE) -> str:
        """The next line of its standard output; '' when there are no more."""
        stdout = self.process.stdout
        assert stdout is not None
        deadline = time.monotonic() + patience
        while b"\n" not in self._said:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stdout], [], [], left)[0]:
                raise RunFailed(
                    f"{self.side} ({self.stack}): said nothing for {patience:g} s; {self.errors()}"
                )
            piece = os.read(stdout.fileno(), 1 << 16)
            if not piece:
                rest, self._said = self._said, b""
                return rest.decode()
            self._said += piece
        text, _, self._said = self._said.partition(b"\n")
        return text.decode()

    def wait_ready(self) -> None:
        """A server's: it listens now."""
        if self.stack == "linux":
            self._expect("ready")
            return
        deadline = time.monotonic() + PATIENCE
        while "serving" not in self.errors():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RunFailed(f"{self.side} ({self.stack}): does not serve; {self.errors()}")
            select.select([], [], [], 0.01)

    def wait_midway(self) -> None:
        self._expect("midway")

    def _expect(self, event: str) -> None:
        text = self.line()
        if not text or json.loads(text)["event"] != event:
            raise RunFailed(f"{self.side} ({self.stack}): expected {event}, got {text or self.errors()}")

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has just ended
            self.process.stdin.write(f"{word}\n".encode())

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def wait_over(self) -> None:
        """Until it has ended; RunFailed if it does not."""
        try:
            self.process.wait(LAST_WORDS)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"{self.side} ({self.stack}): still runs after Ctrl-C; {self.errors()}") from None

    def errors(self) -> str:
        """The end of its standard error."""
        fd = self._errors.fileno()
        text = os.pread(fd, os.fstat(fd).st_size, 0)  # a seek would move the program's own place as well
        return text.decode(errors="replace").strip()[-600:]

    def account(self, patience: float = 2 * PATIENCE, settled: Callable[[], object] = lambda: None) -> End:
        """What it says of its connection, at its end; whoever is silent for so long is interrupted. So is our
        server with its one connection behind it, once the other end has `settled`: it would wait to see."""
        lines = []
        for wait in (patience, LAST_WORDS):
            with contextlib.suppress(RunFailed):
                while text := self.line(wait):
                    lines.append(text)
                    if self._is_over(json.loads(text)):
                        settled()
                        self.interrupt()
                break
            self.interrupt()
        records = [json.loads(text) for text in lines if text.startswith("{")]
        if not records:
            return End(self.stack, error=f"no result; {self.errors()}")
        return READERS[self.stack](records)

    def _is_over(self, record: dict[str, Any]) -> bool:
        """With Fast Open the connection before only fetched a cookie."""
        if self.stack != "ours" or self.side != "server":
            return False
        most = self.task.size if self.task.server.fast_open else 0
        return int(record.get("bytes_received", -1)) >= most

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                stream.close()


def _linux(side: str, task: Task) -> list[str]:
    settings = task.settings(side)
    spec: dict[str, Any] = {
        "address": task.target,
        "port": task.port,
        "size": task.size,
        "subflows": task.subflows,
        "fast_open": settings.fast_open,
        "block": settings.block,
        "both": settings.both,
        "patience": PATIENCE,
    }
    if side == "client":
        spec["bind"] = address("client", 1, task.family)
    if side == task.pauses:
        spec["pause"] = task.pause
    return bare_script(_LINUX_PEER, side, json.dumps(spec))


def _ours(side: str, task: Task) -> list[str]:
    settings = task.settings(side)
    words = ["--json", "--interval", "0", "--bind", address(side, 1, task.family)]
    if side == "client":
        hold = task.pause if task.pauses == side else 0
        words += ["--pace", f"subflows {task.subflows} block {settings.block} hold {hold}"]
        brackets = f"[{task.target}]" if task.family == 6 else task.target
        words = [f"{brackets}:{task.port}", "--send", str(task.size), "--timeout", str(PATIENCE), *words]
    else:
        cookies = "always" if task.cookies else "off"
        once = [] if settings.fast_open else ["--once"]
        words = ["--port", str(task.port), *once, "--syn-cookies", cookies, *words]
    for endpoint in settings.endpoints:
        words += ["--endpoint", endpoint]
    words += ["--limits", settings.limits]
    if task.checksum:
        words.append("--checksum")
    if settings.fast_open:
        words.append("--fast-open")
    if settings.deny_join_initial:
        words.append("--deny-join-initial")
    if task.pause:
        words.append("--control")
    return module("testbed.cli", side, *words)


def _linux_end(records: Sequence[dict[str, Any]]) -> End:
    last = records[-1]
    if last["event"] != "result":
        return End("linux", error=f"ended behind {last['event']}")
    return End(
        "linux",
        verdict=last.get("verdict", ""),
        intact=last["intact"],
        sent=last["sent"],
        received=last["received"],
        subflows=last["subflows"],
        checksum=last.get("checksum"),
        error=last["error"],
        seconds=last["seconds"],
        flows=tuple(last["flows"]),
    )


def _our_end(records: Sequence[dict[str, Any]]) -> End:
    found = [record for record in records if "verdict" in record]
    if not found:
        return End("ours", error="no connection")
    last = found[-1]
    return End(
        "ours",
        verdict=last["verdict"],
        intact=last["intact"],
        sent=last["bytes_sent"],
        received=last["bytes_received"],
        subflows=last["subflows"],
        checksum=last.get("checksum"),
        error="" if last["verdict"] in ("mptcp", "fallback", "tcp") else last["reason"],
        seconds=last["seconds"],
        counters=records[-1]["counters"],
        flows=tuple(
            {
                "local": path["local_address"],
                "remote": path["remote_address"],
                "sent": path["bytes_sent"],
                "received": path["bytes_received"],
            }
            for path in last["paths"]
        ),
    )


COMMANDS: dict[str, Callable[[str, Task], list[str]]] = {"linux": _linux, "ours": _ours}
READERS: dict[str, Callable[[Sequence[dict[str, Any]]], End]] = {"linux": _linux_end, "ours": _our_end}
