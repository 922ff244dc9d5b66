"""Connections made by hand with our codec: every number in them follows from the RFCs, none from an endpoint.

`talk(profile)` is a whole connection over one subflow: handshake, a request, a response, DATA_FINs, FINs.
`join(profile)` adds a second subflow with data, ADD_ADDR and its echo. Each segment comes with its
time and the cause of its drop.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from testbed.mptcp.wire import (
    ACK,
    FIN,
    PSH,
    SYN,
    AddAddr,
    Dss,
    MaximumSegmentSize,
    MpCapable,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    Option,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)
from testbed.mptcp.wire.checksum import dss_checksum, residue

KEY_A, KEY_B = 0x1FDB5DF328BC3DEF, 0x29A6C86981AD933C
NONCE_A, NONCE_B = 0x1B665A18, 0x33ABE9D5
CLIENT, CLIENT_2 = bytes((10, 0, 1, 1)), bytes((10, 0, 2, 1))
SERVER, SERVER_2 = bytes((10, 0, 3, 1)), bytes((10, 0, 4, 1))
CLIENT_6 = bytes.fromhex("20010db8000100000000000000000001")
SERVER_6 = bytes.fromhex("20010db8000300000000000000000001")
PORT, LISTENING = 40000, 20080
MILLISECOND = 1_000_000
VERSIONS = {"v0": 0, "v1": 1, "draft": 2}

Timed = tuple[int, Segment, str | None]


@dataclass
class Talk:
    profile: str
    checksum: bool = False
    wide: bool = True  # 8-byte DSNs and DATA_ACKs
    version: int | None = None  # of the nibble, when not the profile's own
    ipv6: bool = False
    timestamps: bool = True
    segments: list[Timed] = field(default_factory=list)
    time: int = 1_700_000_000_000_000_000
    isns: tuple[int, int] = (0xFFFF_FF00, 7_000)  # the client's wraps within the request

    def __post_init__(self) -> None:
        self.sha256 = self.profile == "v1"
        self.nibble = VERSIONS[self.profile] if self.version is None else self.version
        self.flags = 0x81 if self.checksum else 0x01
        self.ends = (CLIENT_6, SERVER_6) if self.ipv6 else (CLIENT, SERVER)
        self.idsns = tuple(self.idsn(key) for key in (KEY_A, KEY_B))
        self.sent = [1, 1]  # data bytes and DATA_FIN, relative: next DSN - IDSN, per end

    def digest(self, key: int) -> bytes:
        return hashlib.new("sha256" if self.sha256 else "sha1", key.to_bytes(8, "big")).digest()

    def idsn(self, key: int) -> int:
        return int.from_bytes(self.digest(key)[-8:], "big")

    def token(self, key: int) -> int:
        return int.from_bytes(self.digest(key)[:4], "big")

    def hmac(self, keys: tuple[int, int], nonces: tuple[int, int]) -> bytes:
        secret = b"".join(key.to_bytes(8, "big") for key in keys)
        message = b"".join(nonce.to_bytes(4, "big") for nonce in nonces)
        return hmac.new(secret, message, "sha256" if self.sha256 else "sha1").digest()

    def capable(self, *rest: int | None) -> MpCapable:
        return MpCapable(self.nibble, self.flags, *rest)

    def data_ack(self, end: int) -> int:
        """Of `end`: everything that the other one has sent."""
        return self._number(self.idsns[1 - end] + self.sent[1 - end])

    def _number(self, value: int) -> int:
        return value & (0xFFFF_FFFF_FFFF_FFFF if self.wide else 0xFFFF_FFFF)

    def mapping(self, end: int, ssn: int, payload: bytes, *, ack: bool = True, fin: bool = False) -> Dss:
        dsn = (self.idsns[end] + self.sent[end]) & 0xFFFF_FFFF_FFFF_FFFF
        length = len(payload) + fin
        checksum = (
            dss_checksum(dsn, ssn if payload else 0, length, residue(payload)) if self.checksum else None
        )
        data_ack = self.data_ack(end) if ack else None
        self.sent[end] += length
        return Dss(
            data_ack,
            self.wide and ack,
            self._number(dsn),
            self.wide,
            ssn if payload else 0,
            length,
            checksum,
            fin,
        )

    def say(
        self, end: int, seq: int, ack: int, flags: int, *options: Option, payload: bytes = b"",
        dropped: str | None = None, subflow: int = 0,
    ) -> None:  # fmt: skip
        """`seq` and `ack` are relative: 0 is the SYN."""
        self.time += 5 * MILLISECOND
        ends, ports = (
            ((CLIENT_2, SERVER), (PORT + 1, LISTENING)) if subflow else (self.ends, (PORT, LISTENING))
        )
        base = tuple(isn + 0x1000 * subflow for isn in self.isns)
        stamps: tuple[Option, ...] = (
            Timestamps(self.time // MILLISECOND & 0xFFFF_FFFF, 1),
        ) * self.timestamps
        number = (base[end] + seq) & 0xFFFF_FFFF
        answer = (base[1 - end] + ack) & 0xFFFF_FFFF if flags & ACK else 0
        segment = Segment(
            ends[end], ends[1 - end], ports[end], ports[1 - end], number, answer, flags, 8192,
            (*stamps, *options), payload,
        )  # fmt: skip
        self.segments.append((self.time, segment, dropped))

    def handshake(self, *, third: bool = True, dropped: str | None = None) -> None:
        syn: tuple[Option, ...] = (MaximumSegmentSize(1460), SackPermitted(), WindowScale(7))
        self.say(0, 0, 0, SYN, *syn, self.capable(*((KEY_A,) if self.profile == "v0" else ())))
        self.say(1, 0, 1, SYN | ACK, *syn, self.capable(KEY_B))
        if third:
            self.say(0, 1, 1, ACK, self.capable(KEY_A, KEY_B), dropped=dropped)

    def request(self, payload: bytes, *, plain: bool = False, dropped: str | None = None) -> None:
        """The client's first data: a DSS in v0, MP_CAPABLE with data in the others (unless `plain`)."""
        option: Option
        if self.profile == "v0" or plain:
            option = self.mapping(0, 1, payload)
        else:
            dsn = self.idsns[0] + 1
            checksum = dss_checksum(dsn, 1, len(payload), residue(payload)) if self.checksum else None
            option = self.capable(KEY_A, KEY_B, len(payload), checksum)
            self.sent[0] += len(payload)
        self.say(0, 1, 1, ACK | PSH, option, payload=payload, dropped=dropped)

    def dack(self, end: int) -> Dss:
        return Dss(self.data_ack(end), self.wide)

    def close(self, up: int, down: int) -> None:
        """DATA_FINs both ways, then FINs. `up` and `down`: the first unused relative subflow numbers."""
        self.say(0, up, down, ACK, self.mapping(0, 0, b"", fin=True))
        self.say(1, down, up, ACK, self.mapping(1, 0, b"", fin=True))
        self.say(0, up, down, FIN | ACK, self.dack(0))
        self.say(1, down, up + 1, FIN | ACK, self.dack(1))
        self.say(0, up + 1, down + 1, ACK, self.dack(0))


def talk(profile: str, request: bytes = b"r" * 300, response: bytes = b"a" * 500, **fields: object) -> Talk:
    made = Talk(profile, **fields)  # type: ignore[arg-type]
    made.handshake()
    made.request(request)
    made.say(1, 1, 1 + len(request), ACK, made.dack(1))
    made.say(1, 1, 1 + len(request), ACK | PSH, made.mapping(1, 1, response), payload=response)
    made.say(0, 1 + len(request), 1 + len(response), ACK, made.dack(0))
    made.close(1 + len(request), 1 + len(response))
    return made


def join(profile: str, **fields: object) -> Talk:
    """The client opens a second subflow from another address and sends its second half there."""
    made = Talk(profile, **fields)  # type: ignore[arg-type]
    made.handshake()
    made.request(b"r" * 300)
    made.say(1, 1, 301, ACK, made.dack(1))
    add_hmac = made.hmac((KEY_B, KEY_A), (0, 0))[-8:] if profile == "v1" else None
    made.say(1, 1, 301, ACK, AddAddr(1 if profile == "v1" else 0, 2, SERVER_2, None, False, add_hmac))
    if profile == "v1":
        made.say(0, 301, 1, ACK, AddAddr(1, 2, SERVER_2, None, True))
    made.say(0, 0, 0, SYN, MpJoinSyn(True, 3, made.token(KEY_B), NONCE_A), subflow=1)
    short = made.hmac((KEY_B, KEY_A), (NONCE_B, NONCE_A))[:8]
    made.say(1, 0, 1, SYN | ACK, MpJoinSynAck(False, 0, short, NONCE_B), subflow=1)
    made.say(0, 1, 1, ACK, MpJoinAck(made.hmac((KEY_A, KEY_B), (NONCE_A, NONCE_B))[:20]), subflow=1)
    made.say(1, 1, 1, ACK, made.dack(1), subflow=1)
    made.say(0, 1, 1, ACK | PSH, made.mapping(0, 1, b"s" * 700), payload=b"s" * 700, subflow=1)
    made.say(1, 1, 701, ACK, made.dack(1), subflow=1)
    made.close(301, 1)
    return made
