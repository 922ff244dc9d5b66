"""TCP options <-> values. MPTCP's own (kind 30) are in mptcp_options.

Decides how an option block is cut into options and put together again. Parsing never reads past the
block and never raises: what does not fit its RFC's layout becomes a `Malformed` that says why.
Read first: RFC 9293 §3.1, RFC 7323 §2-3, RFC 2018 §2-3, RFC 7413 §4.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from testbed.mptcp.wire import mptcp_options as mp
from testbed.mptcp.wire.malformed import Malformed

MAX_OPTION_BYTES = 40

END_OF_LIST = 0
NO_OPERATION = 1
MSS = 2
WINDOW_SCALE = 3
SACK_PERMITTED = 4
SACK = 5
TIMESTAMPS = 8
MPTCP = 30
FAST_OPEN = 34
_TIMESTAMPS = struct.Struct("!BBII")


@dataclass(frozen=True, slots=True)
class MaximumSegmentSize:
    value: int

    def encode(self) -> bytes:
        return struct.pack("!BBH", MSS, 4, self.value)


@dataclass(frozen=True, slots=True)
class WindowScale:
    shift: int

    def encode(self) -> bytes:
        return bytes((WINDOW_SCALE, 3, self.shift))


@dataclass(frozen=True, slots=True)
class SackPermitted:
    def encode(self) -> bytes:
        return bytes((SACK_PERMITTED, 2))


@dataclass(frozen=True, slots=True)
class Sack:
    """Blocks of (left edge, right edge), absolute sequence numbers (RFC 2018 §3)."""

    blocks: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        body = b"".join(struct.pack("!II", left, right) for left, right in self.blocks)
        return bytes((SACK, 2 + len(body))) + body


@dataclass(slots=True, unsafe_hash=True)
class Timestamps:
    """Nobody changes one; not frozen, as a DSS is not: every segment has one."""

    value: int
    echo: int

    def encode(self) -> bytes:
        return _TIMESTAMPS.pack(TIMESTAMPS, 10, self.value, self.echo)


@dataclass(frozen=True, slots=True)
class FastOpen:
    """A Fast Open cookie of 4 to 16 bytes, or none: a request for one (RFC 7413 §4.1.1)."""

    cookie: bytes = b""

    def encode(self) -> bytes:
        return bytes((FAST_OPEN, 2 + len(self.cookie))) + self.cookie


@dataclass(frozen=True, slots=True)
class UnknownOption:
    kind: int
    body: bytes

    def encode(self) -> bytes:
        return bytes((self.kind, 2 + len(self.body))) + self.body


Option = (
    MaximumSegmentSize
    | WindowScale
    | SackPermitted
    | Sack
    | Timestamps
    | FastOpen
    | UnknownOption
    | Malformed
    | mp.MptcpOption
)


def encoded_length(options: tuple[Option, ...]) -> int:
    """Bytes that `options` take in the header, padding to a multiple of four included."""
    return (sum(len(option.encode()) for option in options) + 3) & ~3


def encode_options(options: tuple[Option, ...]) -> bytes:
    """The option block, padded with NOPs to a multiple of four bytes.

    Raises ValueError when it exceeds 40 bytes: whoever chose the options chose wrongly.
    """
    raw = b"".join([option.encode() for option in options])
    if len(raw) > MAX_OPTION_BYTES:
        raise ValueError(f"{len(raw)} bytes of options, {MAX_OPTION_BYTES} fit: {options}")
    return raw + b"\x01" * (-len(raw) % 4)


def parse_options(block: bytes) -> tuple[Option, ...]:
    """Every option of the block, in order, NOPs left out. Stops at End of Option List."""
    found: list[Option] = []
    at, end = 0, len(block)
    while at < end:
        kind = block[at]
        if kind == END_OF_LIST:
            break
        if kind == NO_OPERATION:
            at += 1
            continue
        if at + 1 >= end:
            found.append(Malformed(kind, bytes(block[at:]), "no room for the length byte"))
            break
        length = block[at + 1]
        if length < 2:
            # RFC 9293 §3.1 (MUST-7): an illegal length must not crash; nothing after it can be trusted.
            found.append(Malformed(kind, bytes(block[at:]), f"length {length} is under 2"))
            break
        if at + length > end:
            found.append(Malformed(kind, bytes(block[at:]), f"length {length} runs past the header"))
            break
        found.append(_parse_one(kind, bytes(block[at : at + length])))
        at += length
    return tuple(found)


def _parse_one(kind: int, raw: bytes) -> Option:
    length = len(raw)
    if kind == MPTCP:
        return mp.parse_mptcp(raw)
    if kind == TIMESTAMPS and length == 10:
        return Timestamps(*_TIMESTAMPS.unpack(raw)[2:])
    if kind == MSS and length == 4:
        return MaximumSegmentSize(raw[2] << 8 | raw[3])
    if kind == WINDOW_SCALE and length == 3:
        return WindowScale(raw[2])
    if kind == SACK_PERMITTED and length == 2:
        return SackPermitted()
    if kind == SACK and length >= 10 and length % 8 == 2:
        edges = struct.unpack_from(f"!{(length - 2) // 4}I", raw, 2)
        return Sack(tuple(zip(edges[::2], edges[1::2], strict=True)))
    if kind == FAST_OPEN and (length == 2 or (6 <= length <= 18 and length % 2 == 0)):
        return FastOpen(raw[2:])
    if kind in _KNOWN_KINDS:
        return Malformed(kind, raw, f"length {length} is not one of kind {kind}")
    return UnknownOption(kind, raw[2:])


_KNOWN_KINDS = frozenset({MSS, WINDOW_SCALE, SACK_PERMITTED, SACK, TIMESTAMPS, FAST_OPEN})
