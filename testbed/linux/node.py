"""What a network namespace tells Linux of MPTCP before a run, and what Linux counts meanwhile.

Decides what holds unless a run says otherwise, the shell script that sets it, and which of the kernel's
counters are read. The counters are read from outside: /proc/PID/net is the network of that process.
Knows nothing of experiments and cells. Read first: the kernel's Documentation/networking/mptcp-sysctl.rst;
ip-mptcp(8).
"""

from __future__ import annotations

import errno
import re
import shlex
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.errors import MachineError
from testbed.interpreter import child_environment
from testbed.linux.sockets import IPPROTO_MPTCP

_PREFIX = "MPTcpExt"
_TCP = {"ListenOverflows", "SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed"}
_TCP |= {"TCPFastOpenActive", "TCPFastOpenActiveFail", "TCPFastOpenCookieReqd"}
_TCP |= {"TCPFastOpenPassive", "TCPFastOpenPassiveFail"}

# What holds unless a cell says otherwise: Linux's own defaults, but for the two memories of failures.
SYSCTLS: Mapping[str, int] = {
    "net.mptcp.enabled": 1,
    "net.mptcp.checksum_enabled": 0,
    "net.mptcp.allow_join_initial_addr_port": 1,
    "net.mptcp.stale_loss_cnt": 4,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.tcp_fastopen": 1,
}
# Not on every kernel with MPTCP. After a SYN without an answer Linux would stop asking for a while.
OPTIONAL: Mapping[str, int] = {
    "net.mptcp.blackhole_timeout": 0,
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec": 0,
}


# Fast Open's cookies are there. Only root in the first user namespace may.
FORGET_PEERS = "ip tcp_metrics flush"


def check() -> None:
    """MachineError where the kernel has no MPTCP."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            return  # switched off here; a lab has switches of its own
        raise MachineError(
            f"this kernel has no MPTCP to compare with ({error.strerror}): it takes Linux 5.16 or newer with "
            "CONFIG_MPTCP=y and CONFIG_MPTCP_IPV6=y"
        ) from None


def script(sysctls: Mapping[str, object], endpoints: Sequence[str], limits: str) -> str:
    """For `sh -ec`: everything as it was never touched, then the run's own."""
    lines = [f"sysctl -qw {name}={shlex.quote(str(value))}" for name, value in {**SYSCTLS, **sysctls}.items()]
    lines += [f"sysctl -qew {name}={value}" for name, value in OPTIONAL.items()]
    lines += ["ip mptcp endpoint flush", f"ip mptcp limits set {limits}"]
    lines += [f"ip mptcp endpoint add {shlex.join(words.split())}" for words in endpoints]
    return "\n".join(lines)


def apply(sysctls: Mapping[str, object], endpoints: Sequence[str], limits: str) -> None:
    """Here, in the network namespace of this process; MachineError in the words of whoever refused."""
    done = subprocess.run(
        ["sh", "-ec", script(sysctls, endpoints, limits)],
        capture_output=True,
        text=True,
        check=False,
        env=child_environment(),
    )
    if done.returncode != 0:
        raise MachineError(f"setting up Linux's MPTCP: {done.stderr.strip() or 'it was refused'}")


def counters(pid: int | str = "self") -> dict[str, int]:
    """Name -> count, MPTCP's without their prefix as nstat prints it, zeros too."""
    found: dict[str, int] = {}
    lines = Path(f"/proc/{pid}/net/netstat").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group = names.split(":")[0]
        for name, value in zip(names.split()[1:], values.split()[1:], strict=True):
            if group == _PREFIX or (group == "TcpExt" and name in _TCP):
                found[name] = int(value)
    return found


def segments() -> dict[str, int]:
    """TCP's own count of this namespace: InSegs, OutSegs, RetransSegs and more."""
    names, values = (
        line.split()[1:]
        for line in Path("/proc/self/net/snmp").read_text().splitlines()
        if line[:4] == "Tcp:"
    )
    return {name: int(value) for name, value in zip(names, values, strict=True)}


def since(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """What was counted in between, without zeros."""
    return {
        name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)
    }


def bytes_in(pid: int) -> int:
    """What the interfaces of a process's network have received so far, the loopback aside."""
    text = Path(f"/proc/{pid}/net/dev").read_text()
    return sum(int(count) for name, count in re.findall(r"^\s*(\S+):\s*(\d+)", text, re.M) if name != "lo")
