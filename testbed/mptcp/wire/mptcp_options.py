"""MPTCP options (TCP option kind 30) <-> values, in the layouts of RFC 6824, of
draft-paasch-mptcp-syncookies-02 and of RFC 8684.

Decides which bytes an option is. It needs no context: the variants differ in length, in MP_CAPABLE's
version nibble, and in ADD_ADDR's low nibble (an IP version in RFC 6824, the echo flag in RFC 8684).
Whether an option is *allowed* where it stands is not decided here.
Read first: RFC 8684 §3.1-§3.6, RFC 6824 §3.1-§3.6.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from testbed.mptcp.wire.malformed import Malformed

KIND = 30
_DSS_ACK_8 = struct.Struct("!BBBBQ")
_DSS_8 = struct.Struct("!BBBBQQIH")

MP_CAPABLE = 0x0
MP_JOIN = 0x1
DSS = 0x2
ADD_ADDR = 0x3
REMOVE_ADDR = 0x4
MP_PRIO = 0x5
MP_FAIL = 0x6
MP_FASTCLOSE = 0x7
MP_TCPRST = 0x8
MP_EXPERIMENTAL = 0xF

SUBTYPE_NAMES = {
    MP_CAPABLE: "MP_CAPABLE",
    MP_JOIN: "MP_JOIN",
    DSS: "DSS",
    ADD_ADDR: "ADD_ADDR",
    REMOVE_ADDR: "REMOVE_ADDR",
    MP_PRIO: "MP_PRIO",
    MP_FAIL: "MP_FAIL",
    MP_FASTCLOSE: "MP_FASTCLOSE",
    MP_TCPRST: "MP_TCPRST",
    MP_EXPERIMENTAL: "MP_EXPERIMENTAL",
}

# MP_CAPABLE flags (RFC 8684 §3.1).
FLAG_CHECKSUM = 0x80  # A
FLAG_EXTENSIBILITY = 0x40  # B
FLAG_NO_JOIN_HERE = 0x20  # C, RFC 8684 only
FLAG_HMAC = 0x01  # H: HMAC-SHA1 in version 0, HMAC-SHA256 in version 1


@dataclass(frozen=True, slots=True)
class MpCapable:
    """4 bytes: no key. 12: sender's key. 20: both keys. 22 / 24: with a data length / and a checksum."""

    version: int
    flags: int = FLAG_HMAC
    sender_key: int | None = None
    receiver_key: int | None = None
    data_length: int | None = None
    checksum: int | None = None

    def encode(self) -> bytes:
        head = (MP_CAPABLE << 4) | self.version
        if self.sender_key is None:
            return bytes((KIND, 4, head, self.flags))
        if self.receiver_key is None:
            return struct.pack("!BBBBQ", KIND, 12, head, self.flags, self.sender_key)
        keys = (self.sender_key, self.receiver_key)
        if self.data_length is None:
            return struct.pack("!BBBBQQ", KIND, 20, head, self.flags, *keys)
        if self.checksum is None:
            return struct.pack("!BBBBQQH", KIND, 22, head, self.flags, *keys, self.data_length)
        return struct.pack("!BBBBQQHH", KIND, 24, head, self.flags, *keys, self.data_length, self.checksum)


@dataclass(frozen=True, slots=True)
class MpJoinSyn:
    backup: bool
    address_id: int
    token: int
    nonce: int

    def encode(self) -> bytes:
        head = (MP_JOIN << 4) | self.backup
        return struct.pack("!BBBBII", KIND, 12, head, self.address_id, self.token, self.nonce)


@dataclass(frozen=True, slots=True)
class MpJoinSynAck:
    """`hmac` is the leftmost 64 bits of HMAC-B (8 bytes)."""

    backup: bool
    address_id: int
    hmac: bytes
    nonce: int

    def encode(self) -> bytes:
        head = (MP_JOIN << 4) | self.backup
        return struct.pack("!BBBB8sI", KIND, 16, head, self.address_id, self.hmac, self.nonce)


@dataclass(frozen=True, slots=True)
class MpJoinAck:
    """`hmac` is 160 bits of HMAC-A (20 bytes)."""

    hmac: bytes

    def encode(self) -> bytes:
        return struct.pack("!BBBB20s", KIND, 24, MP_JOIN << 4, 0, self.hmac)


@dataclass(slots=True, unsafe_hash=True)
class Dss:
    """Data Sequence Signal (RFC 8684 §3.3). `data_ack` and `dsn` hold the number as carried: 4 or 8
    bytes, told apart by `data_ack_8` and `dsn_8`. `dsn is None` means no mapping; `length` 0 is the
    infinite mapping. Nobody changes one; it is not frozen since every segment has one, and a frozen
    one takes three times as long to make."""

    data_ack: int | None = None
    data_ack_8: bool = False
    dsn: int | None = None
    dsn_8: bool = False
    ssn: int = 0
    length: int = 0
    checksum: int | None = None
    data_fin: bool = False

    def encode(self) -> bytes:
        ack, dsn, checksum = self.data_ack, self.dsn, self.checksum
        flags = 0x10 if self.data_fin else 0
        if ack is not None and self.data_ack_8:  # the two common forms
            if dsn is None:
                return _DSS_ACK_8.pack(KIND, 12, DSS << 4, flags | 0x03, ack)
            if self.dsn_8 and checksum is None:
                return _DSS_8.pack(KIND, 26, DSS << 4, flags | 0x0F, ack, dsn, self.ssn, self.length)
        body = b""
        if ack is not None:
            flags |= 0x03 if self.data_ack_8 else 0x01
            body = struct.pack("!Q", ack) if self.data_ack_8 else struct.pack("!I", ack & 0xFFFF_FFFF)
        if dsn is not None:
            flags |= 0x0C if self.dsn_8 else 0x04
            body += (
                struct.pack("!QIH", dsn, self.ssn, self.length)
                if self.dsn_8
                else struct.pack("!IIH", dsn & 0xFFFF_FFFF, self.ssn, self.length)
            )
            if checksum is not None:
                body += struct.pack("!H", checksum)
        return bytes((KIND, 4 + len(body), DSS << 4, flags)) + body


@dataclass(frozen=True, slots=True)
class AddAddr:
    """`version` 0: RFC 6824's form (no HMAC, no echo). 1: RFC 8684's. `address` is 4 or 16 bytes."""

    version: int
    address_id: int
    address: bytes
    port: int | None = None
    echo: bool = False
    hmac: bytes | None = None

    def encode(self) -> bytes:
        low = (4 if len(self.address) == 4 else 6) if self.version == 0 else int(self.echo)
        body = bytes(((ADD_ADDR << 4) | low, self.address_id)) + self.address
        if self.port is not None:
            body += struct.pack("!H", self.port)
        if self.hmac is not None:
            body += self.hmac
        return bytes((KIND, 2 + len(body))) + body


@dataclass(frozen=True, slots=True)
class RemoveAddr:
    address_ids: tuple[int, ...]

    def encode(self) -> bytes:
        return bytes((KIND, 3 + len(self.address_ids), REMOVE_ADDR << 4, *self.address_ids))


@dataclass(frozen=True, slots=True)
class MpPrio:
    """`address_id` exists in RFC 6824's 4-byte form only."""

    backup: bool
    address_id: int | None = None

    def encode(self) -> bytes:
        head = (MP_PRIO << 4) | self.backup
        if self.address_id is None:
            return bytes((KIND, 3, head))
        return bytes((KIND, 4, head, self.address_id))


@dataclass(frozen=True, slots=True)
class MpFail:
    dsn: int

    def encode(self) -> bytes:
        return struct.pack("!BBBBQ", KIND, 12, MP_FAIL << 4, 0, self.dsn)


@dataclass(frozen=True, slots=True)
class MpFastclose:
    receiver_key: int

    def encode(self) -> bytes:
        return struct.pack("!BBBBQ", KIND, 12, MP_FASTCLOSE << 4, 0, self.receiver_key)


@dataclass(frozen=True, slots=True)
class MpTcpRst:
    """Why a subflow was reset (RFC 8684 §3.6). `transient` is the T flag."""

    reason: int
    transient: bool = False

    def encode(self) -> bytes:
        return bytes((KIND, 4, (MP_TCPRST << 4) | self.transient, self.reason))


@dataclass(frozen=True, slots=True)
class UnknownSubtype:
    subtype: int
    raw: bytes

    def encode(self) -> bytes:
        return self.raw


MptcpOption = (
    MpCapable
    | MpJoinSyn
    | MpJoinSynAck
    | MpJoinAck
    | Dss
    | AddAddr
    | RemoveAddr
    | MpPrio
    | MpFail
    | MpFastclose
    | MpTcpRst
    | UnknownSubtype
)


def parse_mptcp(raw: bytes) -> MptcpOption | Malformed:
    """One whole option, kind and length byte included. Never raises."""
    if len(raw) < 3:
        return Malformed(KIND, raw, "an MPTCP option has at least 3 bytes")
    subtype = raw[2] >> 4
    parse = _PARSERS.get(subtype)
    if parse is None:
        return UnknownSubtype(subtype, raw)
    value = parse(raw)
    if value is None:
        return Malformed(KIND, raw, f"length {len(raw)} is not one of {SUBTYPE_NAMES[subtype]}")
    return value


def _capable(raw: bytes) -> MpCapable | None:
    length = len(raw)
    if length not in (4, 12, 20, 22, 24):
        return None
    version, flags = raw[2] & 0x0F, raw[3]
    if length == 4:
        return MpCapable(version, flags)
    if length == 12:
        return MpCapable(version, flags, struct.unpack_from("!Q", raw, 4)[0])
    sender_key, receiver_key = struct.unpack_from("!QQ", raw, 4)
    if length == 20:
        return MpCapable(version, flags, sender_key, receiver_key)
    data_length = raw[20] << 8 | raw[21]
    checksum = raw[22] << 8 | raw[23] if length == 24 else None
    return MpCapable(version, flags, sender_key, receiver_key, data_length, checksum)


def _join(raw: bytes) -> MpJoinSyn | MpJoinSynAck | MpJoinAck | None:
    length = len(raw)
    backup = bool(raw[2] & 1)
    if length == 12:
        return MpJoinSyn(backup, raw[3], *struct.unpack_from("!II", raw, 4))
    if length == 16:
        return MpJoinSynAck(backup, raw[3], *struct.unpack_from("!8sI", raw, 4))
    if length == 24:
        return MpJoinAck(raw[4:24])
    return None


def _dss(raw: bytes) -> Dss | None:
    length = len(raw)
    if length < 4:
        return None
    flags = raw[3]
    form = flags & 0x0F
    if form == 0x0F and length == 26:  # the two common forms
        _, _, _, _, ack, number, ssn, data_length = _DSS_8.unpack(raw)
        return Dss(ack, True, number, True, ssn, data_length, None, bool(flags & 0x10))
    if form == 0x03 and length == 12:
        return Dss(_DSS_ACK_8.unpack(raw)[4], True, data_fin=bool(flags & 0x10))
    ack_bytes = (8 if flags & 0x02 else 4) if flags & 0x01 else 0
    dsn_bytes = (8 if flags & 0x08 else 4) if flags & 0x04 else 0
    bare = 4 + ack_bytes + (dsn_bytes + 6 if dsn_bytes else 0)
    with_checksum = bool(dsn_bytes) and length == bare + 2
    if length != bare and not with_checksum:
        return None
    at = 4
    data_ack = dsn = checksum = None
    ssn = data_length = 0
    if ack_bytes:
        data_ack = int.from_bytes(raw[at : at + ack_bytes], "big")
        at += ack_bytes
    if dsn_bytes:
        dsn = int.from_bytes(raw[at : at + dsn_bytes], "big")
        ssn, data_length = struct.unpack_from("!IH", raw, at + dsn_bytes)
        at += dsn_bytes + 6
        if with_checksum:
            checksum = raw[at] << 8 | raw[at + 1]
    data_fin = bool(flags & 0x10)
    return Dss(data_ack, ack_bytes == 8, dsn, dsn_bytes == 8, ssn, data_length, checksum, data_fin)


_ADD_ADDR_V1 = {
    # (echo, length): (address bytes, has port)
    (False, 16): (4, False),
    (False, 18): (4, True),
    (False, 28): (16, False),
    (False, 30): (16, True),
    (True, 8): (4, False),
    (True, 10): (4, True),
    (True, 20): (16, False),
    (True, 22): (16, True),
}
_ADD_ADDR_V0 = {(4, 8): False, (4, 10): True, (6, 20): False, (6, 22): True}


def _add_addr(raw: bytes) -> AddAddr | None:
    low, length = raw[2] & 0x0F, len(raw)
    if low in (4, 6):
        has_port = _ADD_ADDR_V0.get((low, length))
        if has_port is None:
            return None
        size = 4 if low == 4 else 16
        version, echo = 0, False
    else:
        version, echo = 1, bool(low & 1)
        layout = _ADD_ADDR_V1.get((echo, length))
        if layout is None:
            return None
        size, has_port = layout
    at = 4 + size
    port = raw[at] << 8 | raw[at + 1] if has_port else None
    hmac = raw[-8:] if version == 1 and not echo else None
    return AddAddr(version, raw[3], raw[4:at], port, echo, hmac)


def _remove_addr(raw: bytes) -> RemoveAddr | None:
    return RemoveAddr(tuple(raw[3:])) if len(raw) > 3 else None


def _prio(raw: bytes) -> MpPrio | None:
    if len(raw) not in (3, 4):
        return None
    return MpPrio(bool(raw[2] & 1), raw[3] if len(raw) == 4 else None)


def _fail(raw: bytes) -> MpFail | None:
    return MpFail(struct.unpack_from("!Q", raw, 4)[0]) if len(raw) == 12 else None


def _fastclose(raw: bytes) -> MpFastclose | None:
    return MpFastclose(struct.unpack_from("!Q", raw, 4)[0]) if len(raw) == 12 else None


def _tcprst(raw: bytes) -> MpTcpRst | None:
    return MpTcpRst(raw[3], bool(raw[2] & 1)) if len(raw) == 4 else None


_PARSERS: dict[int, Callable[[bytes], MptcpOption | None]] = {
    MP_CAPABLE: _capable,
    MP_JOIN: _join,
    DSS: _dss,
    ADD_ADDR: _add_addr,
    REMOVE_ADDR: _remove_addr,
    MP_PRIO: _prio,
    MP_FAIL: _fail,
    MP_FASTCLOSE: _fastclose,
    MP_TCPRST: _tcprst,
}
