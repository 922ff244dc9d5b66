"""Packets -> a pcapng file: nanosecond time stamps, and a comment on every packet that the wire dropped.

Decides how the simulator and the wires of a lab leave their evidence behind, so that `testbed trace`,
tshark and Wireshark read both alike. Knows bytes and times; not what is in a packet, nor who sent it.
A packet is written at the moment at which it was offered to the link; one that the link then drops
carries the comment `dropped: CAUSE`, and was thus sent but never received.

Read first: draft-ietf-opsawg-pcapng §4.1 (section header), §4.2 (interface), §4.3 (enhanced packet).
Written with `struct`, not with the library that reads captures: a wire writes while traffic runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ETHERNET = 1  # link types, as registered with tcpdump.org
RAW_IP = 101

DROPPED = "dropped: "  # the comment's first word; `testbed/trace` looks for it

_SECTION = 0x0A0D0D0A
_INTERFACE = 1
_ENHANCED_PACKET = 6
_BYTE_ORDER = 0x1A2B3C4D
_OPT_END, _OPT_COMMENT = 0, 1
_SHB_USERAPPL = 4
_IF_NAME, _IF_TSRESOL = 2, 9
_NANOSECONDS = 9  # 10**-9


@dataclass(frozen=True, slots=True)
class Interface:
    """Where packets were seen; for a link of a plan its name, such as `client-r1`."""

    name: str
    link_type: int = RAW_IP


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """`time` in ns; `data` as the interface's link type has it; `dropped` is the cause, if it was."""

    time: int
    data: bytes
    dropped: str | None = None
    interface: int = 0


class CaptureWriter:
    """Writes to a binary stream that the caller opened, flushes and closes. A cut-off file stays readable
    up to its last whole packet."""

    def __init__(self, stream: BinaryIO, interfaces: Sequence[Interface] = (Interface("wire"),)) -> None:
        self._write = stream.write
        self._count = len(interfaces)
        head = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)
        self._write(_block(_SECTION, head + _option(_SHB_USERAPPL, b"testbed") + _END))
        for interface in interfaces:
            options = _option(_IF_NAME, interface.name.encode()) + _option(
                _IF_TSRESOL, bytes((_NANOSECONDS,))
            )
            self._write(_block(_INTERFACE, struct.pack("<HHI", interface.link_type, 0, 0) + options + _END))

    def packet(self, time: int, data: bytes, dropped: str | None = None, interface: int = 0) -> None:
        """One packet, whole. ValueError for an interface that was not declared."""
        if not 0 <= interface < self._count:
            raise ValueError(f"interface {interface} of {self._count}")
        size = len(data)
        head = struct.pack("<IIIII", interface, time >> 32 & 0xFFFF_FFFF, time & 0xFFFF_FFFF, size, size)
        body = head + data + b"\0" * (-size % 4)
        if dropped is not None:
            body += _option(_OPT_COMMENT, (DROPPED + dropped).encode()) + _END
        self._write(_block(_ENHANCED_PACKET, body))


def write_pcapng(
    path: Path | str,
    packets: Iterable[CapturedPacket],
    interfaces: Sequence[Interface] = (Interface("wire"),),
) -> None:
    """A whole capture at once, in the order given."""
    with Path(path).open("wb") as stream:
        writer = CaptureWriter(stream, interfaces)
        for packet in packets:
            writer.packet(packet.time, packet.data, packet.dropped, packet.interface)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


_END = struct.pack("<HH", _OPT_END, 0)
