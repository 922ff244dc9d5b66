"""`python -m testbed.net.enter PID COMMAND...`: runs a command in the namespaces of a process of a lab.

Decides the order in which they are joined: the user namespace first, where it is another, since it gives
the right to join the rest. The command's end is this program's end and the other way round. Knows nothing
of labs. Read first: setns(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from testbed.net.namespaces import enter

_PR_SET_PDEATHSIG = 1


def main(pid: int, command: list[str]) -> int:
    here = Path.cwd()
    kinds = ["pid", "net", "mnt"]
    if Path(f"/proc/{pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink():
        kinds.insert(0, "user")
    enter(pid, *kinds)
    if here.is_dir():
        os.chdir(here)
    child = os.fork()  # only a child is in the pid namespace
    if child == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
            os._exit(127)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: os.kill(child, got))
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
