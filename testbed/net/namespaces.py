"""Private namespaces, by the system calls themselves: unshare, enter, mount.

Decides how a process gets namespaces of its own, as root or through a user namespace, and says which of the
two it was. Python 3.11 has no os.unshare and os.setns, hence ctypes. Knows nothing of labs and Mininet.
Read first: namespaces(7), user_namespaces(7), pid_namespaces(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import MachineError

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _call("unshare", ctypes.c_int(flags))


def enter(pid: int, *kinds: str) -> None:
    """Joins namespaces of a process: 'net', 'mnt'. The caller has one thread."""
    descriptors = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
    for descriptor in descriptors:  # opened before the first is joined: /proc may look different afterwards
        _call("setns", ctypes.c_int(descriptor), ctypes.c_int(0))
        os.close(descriptor)


@contextmanager
def in_network(pid: int) -> Iterator[None]:
    """For a while in the network namespace of a process; what is opened meanwhile belongs there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(pid, "net")
        yield
    finally:
        _call("setns", ctypes.c_int(home), ctypes.c_int(CLONE_NEWNET))
        os.close(home)


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    _call(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )


def separate() -> str:
    """Gives this process network and mount namespaces of its own, and its children a pid namespace.

    'root' where the machine's root may do so, otherwise 'user': in a user namespace whose root this user is.
    MachineError where neither is allowed.
    """
    wanted = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            unshare(wanted)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise MachineError(
                    f"no namespaces here: {error}; run it on a Linux kernel that has them"
                ) from None
        else:
            return "root"
    try:
        unshare(CLONE_NEWUSER | wanted)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise MachineError(
            f"a lab needs root or a user namespace, and this user may have none ({error}). "
            f"Run it with sudo, or allow user namespaces: {_mend()}"
        ) from None
    return "user"


def furnish(keep: str | None = None) -> None:
    """The first process of a new pid namespace gives it a /proc, /sys and /run of its own.

    `keep`: a directory that stays reachable even if it lies below /run.
    """
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    held = os.open(keep, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if keep else -1
    harmless = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    mount("proc", "/proc", "proc", harmless)
    mount("sysfs", "/sys", "sysfs", harmless)
    mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=0755")
    if keep and held >= 0:
        if Path(keep).resolve().is_relative_to("/run"):
            Path(keep).mkdir(parents=True)
            mount(f"/proc/self/fd/{held}", keep, None, _MS_BIND)
        os.close(held)


def _mend() -> str:
    """The command that opens user namespaces on this distribution."""
    for name, value in (
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),  # Ubuntu
        ("kernel.unprivileged_userns_clone", "1"),  # Debian
        ("user.max_user_namespaces", "10000"),
    ):
        file = Path("/proc/sys") / name.replace(".", "/")
        closed = "1" if value == "0" else "0"
        if file.exists() and file.read_text().strip() == closed:
            return f"sudo sysctl -w {name}={value}"
    return "sudo sysctl -w user.max_user_namespaces=10000"
