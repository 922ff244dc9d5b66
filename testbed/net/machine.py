"""Can this machine run a lab, as this user, and in which way?

Decides what a lab needs and the command that mends each lack. It tries, rather than reads settings: the
namespaces are really made (and gone again) and /dev/net/tun is really opened. Knows nothing of plans.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from typing import Literal

from testbed.errors import MachineError
from testbed.interpreter import child_environment, module, search_path
from testbed.portable import need_linux

TUN = "/dev/net/tun"
Way = Literal["root", "user"]


@lru_cache(maxsize=1)
def check() -> Way:
    """'root' or 'user' (a user namespace); MachineError where neither can be had."""
    need_linux("a lab")
    if not shutil.which("bash", path=search_path()):
        raise MachineError("a lab needs bash: apt-get install bash")
    _check_tun()
    return namespaces()


def namespaces() -> Way:
    """Which namespaces this user may have; tried in a process of its own."""
    need_linux("a lab")
    tried = _try("check")
    way = tried.stdout.strip()
    if way == "root":
        return "root"
    if way == "user":
        return "user"
    raise MachineError(
        tried.stderr.strip().splitlines()[-1] if tried.stderr.strip() else "no namespaces are to be had here"
    )


def has_netem() -> bool:
    """Whether this kernel could shape links itself; tried in namespaces of its own."""
    return _try("netem").returncode == 0


def _try(mode: str) -> subprocess.CompletedProcess[str]:
    inside, outside = os.pipe()
    try:
        return subprocess.run(
            module("testbed.net.launch", str(inside), "/", mode),
            env=child_environment(),
            pass_fds=[inside],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    finally:
        os.close(inside)
        os.close(outside)


def has_mnexec() -> bool:
    """Without Mininet's own mnexec (apt-get install mininet) a slower stand-in is used."""
    return shutil.which("mnexec", path=search_path()) is not None


def _check_tun() -> None:
    device = TUN
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        raise MachineError(
            f"{device} is missing: sudo modprobe tun, or mkdir -p /dev/net && mknod {device} c 10 200"
        ) from None
    except OSError as error:
        raise MachineError(
            f"{device} cannot be opened ({error.strerror}): sudo chmod 0666 {device}, or run as root"
        ) from None
