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
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from testbed import interpreter
from testbed.errors import RunFailed
from testbed.net.job import error_of, tail

READY_WITHIN = 30.0  # seconds; starting takes well under one
ENDED_WITHIN = 20.0

Starter = Callable[..., "subprocess.Popen[bytes]"]


class Program:
    """`python -P -m MODULE SPEC OUT ...` with SPEC already written as NAME.json in the folder."""

    def __init__(
        self,
        name: str,
        module: str,
        folder: Path,
        *arguments: str,
        start: Starter = subprocess.Popen,
        **options: Any,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.out = folder / f"{name}.out.json"
        self.out.unlink(missing_ok=True)
        command = interpreter.module(module, str(folder / f"{name}.json"), str(self.out), *arguments)
        with self.log.open("wb") as log:
            self.process = start(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, **options
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        self.pidfd = os.pidfd_open(self.process.pid)
        self._heard = b""

    def fileno(self) -> int:
        """Readable when the program has said something, or has ended."""
        return self._stdout.fileno()

    def said(self, word: str) -> bool:
        """Whether the program has said the word, after reading what there is; raises if it ended before."""
        piece = os.read(self.fileno(), 4096)
        self._heard += piece
        if word.encode() + b"\n" in self._heard:
            return True
        if not piece:
            raise self.failure(self.process.wait())
        return False

    def wait_ready(self) -> None:
        """Until it says so; its own error where it ends before."""
        deadline = time.monotonic() + READY_WITHIN
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self], [], [], left)[0] and self.said("ready"):
                return
        raise RunFailed(f"{self.name}: not ready after {READY_WITHIN:.0f} s; see {self.log}")

    def tell(self, words: str) -> None:
        """A line on its standard input."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.write(words.encode() + b"\n")
            self._stdin.flush()

    def ask_to_end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def end(self) -> None:
        """Asks it to end and waits; raises what it failed with."""
        self.ask_to_end()
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


def wait_done(awaited: Sequence[Program], others: Sequence[Program], timeout: float) -> list[Program]:
    """Until all awaited have said `done`; those that have not after `timeout` seconds are returned.

    Any program that ends meanwhile is an error at once.
    """
    poller = select.poll()
    talking = {program.fileno(): program for program in awaited}
    ending = {program.pidfd: program for program in others}
    for descriptor in (*talking, *ending):
        poller.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + timeout
    while talking and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(left * 1000):
            if descriptor in ending:
                program = ending[descriptor]
                raise program.failure(program.process.wait())
            if talking[descriptor].said("done"):
                poller.unregister(descriptor)
                del talking[descriptor]
    return list(talking.values())
