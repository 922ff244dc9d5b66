"""Which TCP ports of this network namespace the kernel itself uses, and a free range for a client.

Decides nothing about diverting; reads /proc/net/tcp and tcp6 only.
Read first: the kernel's Documentation/networking/proc_net_tcp.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from testbed.errors import UserError

_LISTEN = 0x0A
CLIENT_RANGES = tuple((low, low + 499) for low in range(61_000, 65_000, 500))


def _sockets() -> Iterator[tuple[int, int, int]]:
    """(local port, state, inode) of every TCP socket of the kernel."""
    for name in ("tcp", "tcp6"):
        path = Path("/proc/self/net") / name
        if path.exists():
            for line in path.read_text().splitlines()[1:]:
                words = line.split()
                yield int(words[1].rpartition(":")[2], 16), int(words[3], 16), int(words[9])


def listeners() -> set[int]:
    """Ports on which the kernel listens."""
    return {port for port, state, _ in _sockets() if state == _LISTEN}


def used_ports() -> set[int]:
    """Local ports of the kernel's sockets in any state."""
    return {port for port, _, _ in _sockets()}


def describe_listener(port: int) -> str:
    """The process that listens on `port`, as far as we may see it."""
    inodes = {inode for other, state, inode in _sockets() if other == port and state == _LISTEN}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in wanted for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return "a socket of the kernel"


def free_client_range(taken: list[tuple[int, int]]) -> tuple[int, int]:
    """Ports for one client's connections: above the kernel's own choice, unused, not in `taken`."""
    used = used_ports()
    for low, high in CLIENT_RANGES:
        if any(low <= port <= high for port in used):
            continue
        if all(high < other[0] or other[1] < low for other in taken):
            return low, high
    raise UserError(
        f"all port ranges for clients ({CLIENT_RANGES[0][0]}-{CLIENT_RANGES[-1][1]}) are in use: end a client"
    )
