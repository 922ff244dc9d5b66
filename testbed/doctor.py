"""What this machine lacks for a lab or for the tests, and the command that mends each lack.

Decides what is looked for and which lacks forbid a lab. Tries things rather than reading settings: whether a
lab can be had is testbed/net's own answer.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import MachineError
from testbed.interpreter import search_path
from testbed.portable import lack_of_linux

SEARCH = search_path()

# program -> (Debian package, what it is for, whether a lab needs it)
PROGRAMS = {
    "bash": ("bash", "Mininet's node shells", True),
    "ip": ("iproute2", "Mininet's links", True),
    "ifconfig": ("net-tools", "Mininet's addresses", True),
    "mnexec": ("mininet", "Mininet's node shells; without it a slower stand-in is used", False),
    "ping": ("iputils-ping", "pingall at the prompt of testbed topo shell", False),
    "tshark": ("tshark", "the tests: an independent decoder", False),
    "tcpdump": ("tcpdump", "captures by hand", False),
    "nft": ("nftables", "the tests with Linux as the peer: exact drops", False),
    "ethtool": ("ethtool", "offload settings by hand", False),
}


@dataclass(frozen=True, slots=True)
class Check:
    """`needed`: without it there is no lab. The simulator needs none of these."""

    name: str
    found: bool
    needed: bool
    detail: str
    mend: str = ""


def examine() -> list[Check]:
    """Everything that a lab needs or uses; on other systems than Linux only what keeps labs away."""
    if lack := lack_of_linux():
        return [_python(), Check("Linux", False, True, f"labs need Linux; {lack.why}", lack.remedy)]
    return [_python(), *_namespaces(), *_programs(), *_kernel()]


def lab_way() -> str:
    """'root', 'user' (a user namespace), or 'sim' where no lab can be had."""
    from testbed.net import check

    try:
        return check()
    except MachineError:
        return "sim"


def _python() -> Check:
    version = platform.python_version()
    return Check("Python", sys.version_info >= (3, 11), True, f"{version}; 3.11 or newer is needed")


def _namespaces() -> Iterator[Check]:
    from testbed.net import check, namespaces

    try:
        way = namespaces()
        yield Check("namespaces", True, True, "as root" if way == "root" else "in a user namespace")
    except MachineError as error:
        yield Check(
            "namespaces", False, True, str(error), "sudo, or sysctl kernel.unprivileged_userns_clone=1"
        )
        return
    try:
        check()
        yield Check("/dev/net/tun", True, True, "can be opened")
    except MachineError as error:
        detail, _, mend = str(error).partition(": ")
        yield Check("/dev/net/tun", False, True, detail, mend)


def _programs() -> Iterator[Check]:
    for program, (package, purpose, needed) in PROGRAMS.items():
        path = shutil.which(program, path=SEARCH)
        mend = f"sudo apt-get install {package}"
        yield Check(program, path is not None, needed, f"{path or 'not found'}: {purpose}", mend)


def _kernel() -> Iterator[Check]:
    enabled = Path("/proc/sys/net/mptcp/enabled")
    yield Check(
        "kernel MPTCP",
        enabled.exists(),
        False,
        f"{platform.system()} {platform.release()}: Linux as the peer, in tests",
        "boot a kernel with CONFIG_MPTCP (any distribution's since 5.10)",
    )
