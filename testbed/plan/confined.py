"""A user's code in a child process: bounded in time and memory, and unable to end or change this one.

Decides the limits, and that the child hands back one JSON value and nothing else. The child is forked, so
that it has what is imported here and starts at once. It has a session of its own, so Ctrl-C reaches the
parent, which kills the child. What the child prints goes to the parent's standard error, since standard
output is for results. On a system without fork or setrlimit the function runs here, without limits.
Read first: fork(2), setrlimit(2). Knows nothing of topologies.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from testbed.terminal import plain

MOST_SECONDS = 10.0
MOST_MEMORY = 1 << 30  # bytes beyond what this process has
MOST_PRINTED = 1 << 16  # bytes; further ones are dropped
MOST_ANSWER = 1 << 26  # bytes of JSON
_GRACE = 1.0  # seconds for the child to say where it stood when its time was over


class TookTooLong(BaseException):
    """The time is over. No `except Exception` of the user's code catches it."""


class Ended(Exception):
    """The child ended without an answer; the text says how."""


def confined(work: Callable[[], Any]) -> Any:
    """What `work` returns, a JSON value. `Ended` where it gives no answer. `work` catches its own errors."""
    if not _can_confine():
        return work()
    answer_out, answer_in = os.pipe()
    printed_out, printed_in = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: the child uses none
        pid = os.fork()
    if pid == 0:
        _live(work, answer_in, printed_in)
    os.close(answer_in)
    os.close(printed_in)
    try:
        answer, printed = _hear(answer_out, printed_out)
        if answer is not None and not answer.endswith(b"\n"):
            _wait_ended(pid)  # so that its own end is seen, and not ours
    finally:
        for kill in (os.killpg, os.kill):  # the group has the child's own children
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(answer_out)
        os.close(printed_out)
    if printed:
        print(plain(printed.decode(errors="replace")).rstrip("\n"), file=sys.stderr, flush=True)
    if answer is None:
        raise Ended(f"gives no answer within {MOST_SECONDS:g} s; is there an endless loop?")
    if not answer.endswith(b"\n"):
        raise Ended(_how(status))
    return json.loads(answer)


def _can_confine() -> bool:
    """Whether this system has what a bounded child takes. Windows has not."""
    try:
        importlib.import_module("resource")
    except ImportError:
        return False
    return all(hasattr(os, name) for name in ("fork", "killpg", "setsid", "waitid"))


def _hear(answer_out: int, printed_out: int) -> tuple[bytes | None, bytes]:
    """The answer, None where there is none in time, and what was printed meanwhile."""
    deadline = time.monotonic() + MOST_SECONDS + _GRACE
    answer, printed = bytearray(), bytearray()
    open_ends = [answer_out, printed_out]
    ended = False
    while not ended:
        left = deadline - time.monotonic()
        if left <= 0 or len(answer) > MOST_ANSWER:
            return None, bytes(printed)
        for end in select.select(open_ends, [], [], left)[0]:
            piece = os.read(end, 1 << 16)
            if not piece:
                open_ends.remove(end)
            if end == printed_out:
                printed += piece[: MOST_PRINTED - len(printed)]
            else:
                answer += piece
                ended = not piece or piece.endswith(b"\n")
    while printed_out in open_ends and select.select([printed_out], [], [], 0)[0]:
        piece = os.read(printed_out, 1 << 16)
        if not piece or len(printed) >= MOST_PRINTED:
            break
        printed += piece[: MOST_PRINTED - len(printed)]
    return bytes(answer), bytes(printed)


def _wait_ended(pid: int) -> None:
    """Until the child has ended, or a second is over. It stays to be waited for."""
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.005)


def _live(work: Callable[[], Any], answer_in: int, printed_in: int) -> NoReturn:
    """In the child, to its end; never returns into the parent's code."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, stream in enumerate((nothing, printed_in, printed_in)):
            os.dup2(stream, number)
        sys.stdin = os.fdopen(0, "r", closefd=False)
        sys.stdout = os.fdopen(1, "w", buffering=1, errors="replace", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="replace", closefd=False)
        _limit_memory()
        signal.signal(signal.SIGALRM, _time_is_over)
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
        text = json.dumps(work())
        signal.setitimer(signal.ITIMER_REAL, 0)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with os.fdopen(answer_in, "wb") as answer:
            answer.write(text.encode() + b"\n")
    finally:
        os._exit(0)


def _time_is_over(number: int, frame: object) -> NoReturn:
    raise TookTooLong(f"not done after {MOST_SECONDS:g} s; is there an endless loop?")


def _limit_memory() -> None:
    import resource  # here, since Windows has none

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        if number != signal.SIGKILL:
            return f"ends Python by the signal {name}; did it recurse too deep?"
        return f"ends Python by the signal {name}"
    return "ends Python without an answer; expected no os._exit"
