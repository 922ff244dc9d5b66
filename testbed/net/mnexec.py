"""A stand-in for Mininet's `mnexec`, for machines without it: the options that Mininet uses.

    -c close descriptors   -d detach from the terminal   -p print the pid
    -n own network and mount namespace   -a PID join those of a process   -h help

Decides nothing of its own; Debian's C program of the package `mininet` is used where present, since it
starts in a millisecond. Runs as a file under any Python 3, without the package around it.
"""

from __future__ import annotations

import ctypes
import getopt
import os
import sys

_NEWNS, _NEWNET = 0x00020000, 0x40000000
_REC_PRIVATE = 0x4000 | 0x40000


def _check(result: int, what: str) -> None:
    if result != 0:
        sys.exit(f"mnexec: {what}: {os.strerror(ctypes.get_errno())}")


def main(arguments: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    options, command = getopt.getopt(arguments, "+cdpna:g:r:h")
    for option, value in options:
        if option == "-h":
            sys.exit(__doc__)
        elif option == "-c":
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        elif option == "-d":
            if os.getpgrp() == os.getpid() and os.fork():
                os._exit(0)
            os.setsid()
        elif option == "-p":
            print(f"\001{os.getpid()}", flush=True)
        elif option == "-n":
            _check(libc.unshare(_NEWNET | _NEWNS), "unshare")
            _check(libc.mount(b"none", b"/", None, _REC_PRIVATE, None), "mount /")
            _check(libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None), "mount /sys")
        elif option == "-a":
            here = os.getcwd()  # noqa: PTH109
            spaces = [os.open(f"/proc/{int(value)}/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt")]
            for descriptor in spaces:
                _check(libc.setns(descriptor, 0), "setns")
                os.close(descriptor)
            os.chdir(here)
        else:
            sys.exit(f"mnexec: {option} is not supported by the stand-in; apt-get install mininet")
    if command:
        os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
