"""TUN and TAP devices: whole IP packets, or whole Ethernet frames, as bytes.

Decides device flags and what the virtio header before each packet of a TUN means, in both directions.
Read: up to 64 KB, perhaps merged of many packets, perhaps with a TCP checksum that is still partial,
because the kernel left both to "the hardware", which is us. Written: segments whose checksum the kernel
finishes, and frames that it cuts into packets, as late as it can; without the header, or where the kernel
refused to cut, complete single packets. Knows nothing of connections.
Read first: the kernel's Documentation/networking/tuntap.rst; linux/virtio_net.h; mptcp/wire/offload.py.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from functools import lru_cache
from types import TracebackType

from testbed.errors import MachineError
from testbed.mptcp.wire import Segment, encode, partial_header, parts
from testbed.mptcp.wire.offload import CHECKSUM_OFFSET

_DEVICE = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
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
DATA_VALID = 2
GSO_NONE, GSO_TCPV4, GSO_TCPV6 = 0, 1, 4
GSO_MAX_SIZE = 65_500  # with its Ethernet header a frame must stay below 64 KB, or it is cut at once
_PLAIN = bytes(VNET_HEADER.size)
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


def _grants(fd: int, features: int) -> bool:
    try:
        fcntl.ioctl(fd, TUNSETOFFLOAD, features)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def open_tap(name: str, *, lasting: bool = False) -> int:
    """A plain TAP (no virtio header) in the current namespace: a non-blocking descriptor.

    The interface lives as long as the descriptor and may be moved to another namespace; a `lasting` one lives
    as long as its namespace. To take one down alone costs the kernel 20 ms, a namespace with all that is in
    it hardly more.
    """
    fd = _open(name, IFF_TAP | IFF_NO_PI)[0]
    if lasting:
        fcntl.ioctl(fd, TUNSETPERSIST, 1)
    return fd


@lru_cache(maxsize=1024)
def _vnet_header(ipv6: bool, header_length: int, gso_size: int) -> bytes:
    """`gso_size` 0: one packet, whose checksum is to be finished."""
    kind = GSO_NONE if not gso_size else GSO_TCPV6 if ipv6 else GSO_TCPV4
    start = 40 if ipv6 else 20
    return VNET_HEADER.pack(NEEDS_CSUM, kind, header_length, gso_size, start, CHECKSUM_OFFSET)


class Tun:
    """One TUN device in the current namespace, gone when closed. `%d` in `name` is numbered by the kernel.

    `gso_max_size` is the longest frame (bytes of IP) that may be written for the kernel to cut, 0 when it
    cuts none. `offload` is whether there is a virtio header: without it everything still works, in packets
    of one MSS both ways.
    """

    def __init__(self, name: str = "mptcp%d", *, offload: bool = True) -> None:
        self.offload = offload
        self.gso_max_size = 0
        flags = IFF_TUN | IFF_NO_PI
        try:
            self._fd, self.name = _open(name, flags | (IFF_VNET_HDR if offload else 0))
        except OSError as error:
            if not offload or error.errno != errno.EINVAL:
                raise
            self.offload = False
            self._fd, self.name = _open(name, flags)
        if self.offload and _grants(self._fd, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6):
            self.gso_max_size = GSO_MAX_SIZE
        self.read_errors = 0
        self.write_errors = 0

    def fileno(self) -> int:
        return self._fd

    def read(self) -> tuple[bytes | memoryview, bool] | None:
        """The next IP packet and whether its checksums need to be verified; None if there is none now."""
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
        return memoryview(data)[VNET_HEADER.size :], not (data and data[0] & (NEEDS_CSUM | DATA_VALID))

    def send(self, segment: Segment) -> None:
        """Hands a segment to the kernel, which finishes its checksum and cuts it if it is large."""
        payload, cut = segment.payload, segment.cut
        if not 0 < cut < len(payload):
            cut = 0
        if not self.offload or (cut and len(payload) > self.gso_max_size):
            for part in parts(segment):
                self.write(encode(part))
            return
        header = partial_header(segment)
        vnet = _vnet_header(len(segment.src) == 16, len(header), cut)
        try:
            os.writev(self._fd, (vnet, header, payload))
        except OSError:
            self.write_errors += 1

    def write(self, packet: bytes) -> None:
        """Hands one complete IP packet to the kernel; one that it refuses is lost, and counted."""
        try:
            os.write(self._fd, _PLAIN + packet if self.offload else packet)
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
