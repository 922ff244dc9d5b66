"""`python -m testbed.net.launch LIFE_FD DIRECTORY MODE [temporary]`: a lab's namespaces and first process.

Decides a lab's life: three processes stand above everything in it. This one makes the namespaces and waits
outside. Its child is process 1 inside; it collects orphans and watches LIFE_FD, a socket whose other end only
the runner holds: end of file, however the runner went, ends process 1 and with it, by the kernel's hand,
everything in the lab. Its child in turn is the lab (lab.py). MODE is `run`, `shell`, or a
question: `check` (which namespaces are to be had), `netem` (has the kernel that as well). A temporary
DIRECTORY is removed here, and not before the runner has let go of LIFE_FD, or is gone: until then it is told
the exit status in one byte, and may read. Knows nothing of networks.
Read first: pid_namespaces(7), on what happens when process 1 ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from testbed.errors import MachineError, TestbedError
from testbed.net.namespaces import furnish, separate
from testbed.terminal import plain

ENDED_WITH_RUNNER = 143


def _guard(life: int, program: Callable[[], int]) -> int:
    """Process 1: runs the program, and ends with it or with the runner, whichever goes first."""
    wake, poke = os.pipe()
    for end in (wake, poke):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (wake, poke, life):
            os.close(descriptor)
        _leave(program)
    poller = select.poll()
    poller.register(life, select.POLLIN)
    poller.register(wake, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == life and not os.read(life, 1):
                return ENDED_WITH_RUNNER
            if descriptor == wake:
                os.read(wake, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == 0:
                break
            if pid == child:
                return _exit_status(status)


def _leave(program: Callable[[], int]) -> None:
    """Runs a forked child to its end; it never returns into the parent's code."""
    status = 1
    try:
        status = program()
    except TestbedError as error:
        print(plain(str(error)), file=sys.stderr)
        status = error.status
    except KeyboardInterrupt:
        status = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _exit_status(status: int) -> int:
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _try_netem() -> int:
    """0 where the kernel delays packets of this namespace's own loopback; else what it said, and 1."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as kernel:
        try:
            kernel.tc("add", "netem", index=1, handle="1:", delay=1000)
        except NetlinkError as error:
            print(error)
            return 1
    return 0


def launch(life: int, directory: str, mode: str, kind: str = "") -> int:
    def program() -> int:
        for number in (signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        if mode == "check":
            print(way)
            return 0
        if mode == "netem":
            return _try_netem()
        from testbed.net.lab import main  # with Mininet behind it, and only in the lab itself

        if mode == "shell":
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return main(directory, mode)

    def first() -> int:
        try:
            furnish(keep=directory)
        except OSError as error:
            raise MachineError(
                f"a lab needs a /proc, /sys and /run of its own: {error}; start a container --privileged"
            ) from None
        return _guard(life, program)

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # the runner decides; a lab ends by its socket
    above = os.open(Path(directory).parent, os.O_PATH | os.O_CLOEXEC)  # a lab has a /run of its own
    way = separate()
    child = os.fork()
    if child == 0:
        _leave(first)
    status = _exit_status(os.waitpid(child, 0)[1])
    if kind == "temporary":
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 1)  # nobody has more to say there
        with contextlib.suppress(OSError):  # the runner is gone
            os.write(life, bytes([status]))
            os.read(life, 1)
        shutil.rmtree(directory, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(Path(directory).name, dir_fd=above)
    return status


if __name__ == "__main__":
    try:
        sys.exit(launch(int(sys.argv[1]), *sys.argv[2:]))
    except TestbedError as problem:
        print(plain(str(problem)), file=sys.stderr)
        sys.exit(problem.status)
