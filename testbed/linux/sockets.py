"""What Linux tells of an MPTCP socket: MPTCP_INFO, and of each subflow its addresses and tcp_info.

Decides which fields are read and what they are called. Uses the standard library alone, so that a program
that loads nothing else starts fast. Knows nothing of workloads and verdicts.
Read first: the kernel's linux/mptcp.h and linux/tcp.h (struct tcp_info).
"""

from __future__ import annotations

import ctypes
import socket
import struct
from dataclasses import dataclass

IPPROTO_MPTCP = 262
SOL_MPTCP = 284
MSG_FASTOPEN = 0x20000000
_MPTCP_INFO, _MPTCP_TCPINFO, _MPTCP_SUBFLOW_ADDRS = 1, 2, 3
_FALLBACK = 1  # mptcpi_flags
_INFO_LENGTH, _TCP_INFO_LENGTH = 128, 232
_MOST_SUBFLOWS = 16
_STORAGE = 128  # sizeof(struct sockaddr_storage)
_HANDSHAKE = (2, 3)  # tcpi_state: SYN_SENT, SYN_RECV
_NO_PORT = b"\0\0"  # of a peer that never answered
_SYN_DATA = 32  # tcpi_options: the SYN's data was taken

_libc = ctypes.CDLL(None, use_errno=True)

Place = tuple[str, int]  # address as text, port


@dataclass(frozen=True)
class Info:
    """A connection. `extra`: subflows besides the first; `most` of them are allowed."""

    extra: int
    most: int
    fallback: bool
    token: int
    checksum: bool
    bytes_acked: int
    retransmits: int


@dataclass(frozen=True)
class Flow:
    """A subflow, or a connection without MPTCP. Bytes are payload, `sent` with retransmissions; `acked`
    counts SYN and FIN as well. `fast_open_failure`: tcpi_fastopen_client_fail."""

    local: Place
    remote: Place
    state: int
    srtt_us: int
    cwnd: int
    retransmits: int
    acked: int
    received: int
    sent: int
    syn_data: bool
    fast_open_failure: int


def info(sock: socket.socket) -> Info | None:
    """None where the connection has no MPTCP (any more)."""
    try:
        raw = sock.getsockopt(SOL_MPTCP, _MPTCP_INFO, _INFO_LENGTH).ljust(_INFO_LENGTH, b"\0")
    except OSError:
        return None
    flags, token = struct.unpack_from("=II", raw, 8)
    return Info(
        extra=raw[0],
        most=raw[3],
        fallback=bool(flags & _FALLBACK),
        token=token,
        checksum=bool(raw[42]),
        bytes_acked=struct.unpack_from("=Q", raw, 72)[0],
        retransmits=struct.unpack_from("=I", raw, 44)[0],
    )


def subflows(sock: socket.socket) -> list[Flow]:
    """Those that are established now; none where the connection has no MPTCP."""
    addresses = _array(sock, _MPTCP_SUBFLOW_ADDRS, 2 * _STORAGE)
    figures = _array(sock, _MPTCP_TCPINFO, _TCP_INFO_LENGTH)
    return [
        _flow(_place(pair[:_STORAGE]), _place(pair[_STORAGE:]), raw)
        for pair, raw in zip(addresses, figures, strict=False)
        if (raw[0] not in _HANDSHAKE or raw[5] & _SYN_DATA) and pair[_STORAGE + 2 : _STORAGE + 4] != _NO_PORT
    ]


def plain(sock: socket.socket, local: Place, remote: Place) -> Flow | None:
    """A connection without MPTCP; None where the kernel says no more of it."""
    try:
        return _flow(local, remote, sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_LENGTH))
    except OSError:
        return None


def mapped(text: str) -> str:
    """An IPv4 address as a socket for both families wants it."""
    return text if ":" in text else f"::ffff:{text}"


def unmapped(text: str) -> str:
    return text.removeprefix("::ffff:")


def _array(sock: socket.socket, option: int, size: int) -> list[bytes]:
    """One element for each subflow: struct mptcp_subflow_data in front, then the elements."""
    buffer = ctypes.create_string_buffer(struct.pack("=IIII", 16, 0, 0, size), 16 + _MOST_SUBFLOWS * size)
    length = ctypes.c_uint32(len(buffer))
    if _libc.getsockopt(sock.fileno(), SOL_MPTCP, option, buffer, ctypes.byref(length)) != 0:
        return []
    _, count, kernel, _ = struct.unpack_from("=IIII", buffer.raw)
    step = min(size, kernel)
    return [buffer.raw[16 + one * step : 16 + (one + 1) * step] for one in range(count)]


def _place(raw: bytes) -> Place:
    family = struct.unpack_from("=H", raw)[0]
    text = socket.inet_ntop(family, raw[4:8] if family == socket.AF_INET else raw[8:24])
    return unmapped(text), struct.unpack_from("!H", raw, 2)[0]


def _flow(local: Place, remote: Place, raw: bytes) -> Flow:
    raw = raw.ljust(_TCP_INFO_LENGTH, b"\0")  # an older kernel has fewer fields
    mss = struct.unpack_from("=I", raw, 16)[0]
    srtt, _, _, cwnd = struct.unpack_from("=4I", raw, 68)
    acked, received = struct.unpack_from("=QQ", raw, 120)
    return Flow(
        local,
        remote,
        state=raw[0],
        srtt_us=srtt,
        cwnd=cwnd * mss,
        retransmits=struct.unpack_from("=I", raw, 100)[0],
        acked=acked,
        received=received,
        sent=struct.unpack_from("=Q", raw, 200)[0],
        syn_data=bool(raw[5] & _SYN_DATA),
        fast_open_failure=raw[7] >> 1 & 3,
    )
