"""Programs of a lab: started, heard to be ready, watched, ended, and their reports read.

Decides the manners that all programs share: `ready` on standard output, end of file on standard input asks
to end, an exit status of errors.py with the message on standard error, a JSON report written last. Knows
nothing of what a program does.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from testbed.errors import RunFailed
from testbed.net.job import error_of, tail

READY_WITHIN = 30.0  # seconds; starting takes well under one
ENDED_WITHIN = 20.0

Starter = Callable[..., "subprocess.Popen[bytes]"]


class Program:
    """`python -m MODULE SPEC OUT` with SPEC already written as NAME.json in the folder."""

    def __init__(
        self, name: str, module: str, folder: Path, start: Starter = subprocess.Popen, **options: Any
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.out = folder / f"{name}.out.json"
        command = [sys.executable, "-m", module, str(folder / f"{name}.json"), str(self.out)]
        with self.log.open("wb") as log:
            self.process = start(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, **options
            )
        self.pidfd = os.pidfd_open(self.process.pid)

    def wait_ready(self) -> None:
        """Until it says so; its own error where it ends before."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + READY_WITHIN
        heard = b""
        while b"ready\n" not in heard:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise RunFailed(f"{self.name}: not ready after {READY_WITHIN:.0f} s; see {self.log}")
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                raise self.failure(self.process.wait())
            heard += piece

    def end(self) -> None:
        """Asks it to end and waits; raises what it failed with."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            status = self.process.wait(ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RunFailed(f"{self.name}: did not end within {ENDED_WITHIN:.0f} s; see {self.log}") from None
        if status != 0:
            raise self.failure(status)

    def failure(self, status: int) -> Exception:
        text = tail(self.log) or f"ended with status {status} and no word"
        return error_of(status, f"{self.name}: {text}")

    def report(self) -> dict[str, Any]:
        try:
            report: dict[str, Any] = json.loads(self.out.read_text())
        except (OSError, ValueError) as error:
            raise RunFailed(f"{self.name}: no report ({error}); see {self.log}") from None
        return report


def wait_for(awaited: Sequence[Program], others: Sequence[Program], timeout: float) -> list[Program]:
    """Until all awaited have ended in good order; those still running after `timeout` seconds are returned.

    Any of `others` that ends meanwhile is an error at once.
    """
    poller = select.poll()
    by_fd = {program.pidfd: program for program in (*awaited, *others)}
    for descriptor in by_fd:
        poller.register(descriptor, select.POLLIN)
    running = list(awaited)
    deadline = time.monotonic() + timeout
    while running:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        for descriptor, _ in poller.poll(left * 1000):
            program = by_fd[descriptor]
            poller.unregister(descriptor)
            status = program.process.wait()
            if program not in running or status != 0:
                raise program.failure(status)
            running.remove(program)
    return running
