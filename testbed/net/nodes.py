"""The first process of each node: it makes the node's namespaces, and does there what the lab asks for.

Decides that a node is a forked child which holds a network and a mount namespace for as long as the lab
lives, and how work in them is asked for and answered: a word each way on a socket, the answers as JSON. All
nodes work side by side. Knows nothing of what the work is.
Read first: network_namespaces(7); launch.py for how everything ends.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from testbed.errors import MachineError, RunFailed
from testbed.net.namespaces import CLONE_NEWNET, CLONE_NEWNS, mount, unshare

Work = Callable[[], Any]


class Nodes:
    """`pids`: node -> its first process. `works`: node -> word -> what to do there when it is asked for;
    "begin" is done at once, when the namespaces are there."""

    def __init__(self, works: Mapping[str, Mapping[str, Work]]) -> None:
        self.pids: dict[str, int] = {}
        self._ends: dict[str, socket.socket] = {}
        gc.freeze()  # what is there is shared with the children, and no collection of theirs shall copy it
        for name, work in works.items():
            near, far = socket.socketpair()
            self._ends[name] = near
            pid = os.fork()
            if pid == 0:
                _live(far, self._ends.values(), work)
            far.close()
            self.pids[name] = pid
        self._answers()

    def do(self, word: str) -> dict[str, Any]:
        """What each node answers; MachineError with what went wrong."""
        for end in self._ends.values():
            with contextlib.suppress(BrokenPipeError):  # its answer will say so
                end.sendall(f"{word}\n".encode())
        return self._answers()

    def _answers(self) -> dict[str, Any]:
        texts = {name: _line(end) for name, end in self._ends.items()}
        results = {}
        for name, text in texts.items():
            if not text:
                raise RunFailed(f"{name}: the first process of this node has ended; was it killed?")
            answer = json.loads(text)
            if "machine" in answer:
                raise MachineError(f"setting up the lab: {answer['machine']}")
            if "bug" in answer:
                raise RuntimeError(f"{name}: {answer['bug']}")
            results[name] = answer["result"]
        return results


def _live(lab: socket.socket, others: Iterable[socket.socket], works: Mapping[str, Work]) -> None:
    """In the child, until the lab is gone; never returns."""
    try:
        gc.disable()
        for end in others:
            end.close()
        os.setsid()  # Ctrl-C at the prompt is for the command that runs there
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(nothing, stream)
        lab.sendall(_answer(lambda: _separate(works["begin"])))
        while word := _line(lab):
            lab.sendall(_answer(works[word.strip()]))
    except (KeyboardInterrupt, OSError):
        pass
    finally:
        os._exit(0)


def _separate(begin: Work) -> Any:
    unshare(CLONE_NEWNET | CLONE_NEWNS)
    mount("sysfs", "/sys", "sysfs")  # each shows the devices of the network that it was mounted in
    return begin()


def _answer(work: Work) -> bytes:
    try:
        answer: dict[str, Any] = {"result": work()}
    except (MachineError, OSError) as error:
        answer = {"machine": str(error)}
    except Exception:
        answer = {"bug": traceback.format_exc()}
    return json.dumps(answer).encode() + b"\n"


def _line(end: socket.socket) -> str:
    """Empty where the other side is gone."""
    text = b""
    with contextlib.suppress(ConnectionResetError):
        while not text.endswith(b"\n"):
            piece = end.recv(1 << 16)
            if not piece:
                return ""
            text += piece
    return text.decode()
