"""TUN and TAP devices: whole IP packets, or whole Ethernet frames, as bytes.

Decides device flags and what the virtio header before each packet of a TUN means: packets read may
be up to 64 KB and may carry a TCP checksum that is still partial, because the kernel left both
segmentation and checksum to "the hardware", which is us. Packets written are plain: complete
checksum, no larger than the MTU. Knows nothing of TCP.
Read first: the kernel's Documentation/networking/tuntap.rst; linux/virtio_net.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from types import TracebackType

from testbed.errors import MachineError

_DEVICE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
IFF_TUN = 0x0001
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
TUN_F_CSUM = 1
TUN_F_TSO4 = 2
TUN_F_TSO6 = 4
VNET_HEADER = struct.Struct("=BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
NEEDS_CSUM = 1
_NO_OFFLOAD = bytes(VNET_HEADER.size)
_LARGEST = 65536 + VNET_HEADER.size
_GONE = (errno.EIO, errno.EBADFD)  # device down, device deleted


def _open(name: str, flags: int) -> tuple[int, str]:
    try:
        fd = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        mend = "mkdir -p /dev/net && mknod /dev/net/tun c 10 200" if error.errno == errno.ENOENT else None
        raise MachineError(
            f"cannot open {_DEVICE}: {error.strerror}; "
            + (f"make it with: {mend}" if mend else "run as root, or: chmod 0666 /dev/net/tun")
        ) from None
    try:
        answer = fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError as error:
        os.close(fd)
        if error.errno == errno.EPERM:
            raise MachineError(
                "not allowed to create a TUN or TAP device in this network namespace (it takes "
                "CAP_NET_ADMIN): run as root"
            ) from None
        raise
    return fd, answer[:16].rstrip(b"\0").decode()


def open_tap(name: str) -> int:
    """A plain TAP (no virtio header) in the current namespace: a non-blocking descriptor.

    The interface lives as long as the descriptor and may be moved to another namespace.
    """
    return _open(name, IFF_TAP | IFF_NO_PI)[0]


class Tun:
    """One TUN device in the current namespace, gone when closed. `%d` in `name` is numbered by the kernel.

    `offload` is what the kernel granted: without the virtio header everything still works, in frames
    of one MSS.
    """

    def __init__(self, name: str = "mptcp%d", *, offload: bool = True) -> None:
        self.offload = offload
        flags = IFF_TUN | IFF_NO_PI
        try:
            self._fd, self.name = _open(name, flags | (IFF_VNET_HDR if offload else 0))
            if offload:
                fcntl.ioctl(self._fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
        except OSError as error:
            if not offload or error.errno != errno.EINVAL:
                raise
            self.offload = False
            self._fd, self.name = _open(name, flags)
        self.read_errors = 0
        self.write_errors = 0

    def fileno(self) -> int:
        return self._fd

    def read(self) -> tuple[bytes, bool] | None:
        """The next IP packet and whether its TCP checksum can be verified; None if there is none now."""
        try:
            data = os.read(self._fd, _LARGEST)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self.read_errors += 1
            return None
        if not self.offload:
            return data, True
        return data[VNET_HEADER.size :], not data[0] & NEEDS_CSUM

    def write(self, packet: bytes) -> None:
        """Hands one complete IP packet to the kernel; one that it refuses is lost, and counted."""
        try:
            os.write(self._fd, _NO_OFFLOAD + packet if self.offload else packet)
        except OSError:
            self.write_errors += 1

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Tun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
