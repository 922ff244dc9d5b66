"""SYN cookies: a SYN/ACK's sequence number that carries all the state a server needs.

Decides the cookie, the MPTCP key that goes with it, and what an ACK must bring back; any other ISN, too.
Keeps no state but its secrets. Layout as in Linux: a per-tuple hash plus the client's ISN, a minute counter
in the top byte, the MSS index in the low 24 bits; window scale and SACK ride in the low 6 bits of the
timestamp.
A join's cookie has hashes of its own, or its first data would open a connection once the subflow is gone.
Read first: RFC 4987 §3.6, draft-paasch-mptcp-syncookies-02 §2 and §3.1.1 (the verifiable key).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from testbed.mptcp.config import MILLISECOND, SECOND
from testbed.mptcp.tcp.handshake import SynOptions
from testbed.mptcp.wire.sequence import MASK32

COUNTER_PERIOD = 60 * SECOND
ISN_TICK = 4_000  # ns, RFC 9293 §3.4.1
MAX_AGE = 2  # counter steps: a cookie lives 60 to 120 s
MSS_TABLE = (536, 1300, 1440, 1460)
MSS_TABLE_V6 = (1220, 1420, 1440, 8940)

_OPTION_BITS = 6
_OPTION_MASK = (1 << _OPTION_BITS) - 1
_NO_WINDOW_SCALE = 0xF
_SACK = 0x10
_CONNECTION = (b"0", b"1")  # labels of the two hashes in a cookie
_JOIN = (b"2", b"3")


@dataclass(frozen=True, slots=True)
class FourTuple:
    """As the server sees it: its own side is local."""

    local: tuple[bytes, int]
    remote: tuple[bytes, int]

    def pack(self) -> bytes:
        ports = struct.pack("!HH", self.local[1], self.remote[1])
        return self.local[0] + self.remote[0] + ports


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a valid cookie brings back."""

    mss: int
    key: int
    timestamp_offset: int


class _Secret:
    """One generation. A keyed hash object copied per use is the fastest MAC in the standard library."""

    __slots__ = ("_mac",)

    def __init__(self, secret: bytes) -> None:
        self._mac = hashlib.blake2s(key=secret[:32], digest_size=8)

    def hash(self, label: bytes, tuple_: bytes, number: int) -> int:
        mac = self._mac.copy()
        mac.update(label + struct.pack("!Q", number) + tuple_)
        return int.from_bytes(mac.digest(), "big")

    def key(self, four_tuple: FourTuple, cookie: int, version: int) -> int:
        return self.hash(b"K", four_tuple.pack(), version << 32 | cookie)

    def timestamp_offset(self, four_tuple: FourTuple) -> int:
        return self.hash(b"T", four_tuple.pack(), 0) & MASK32


class SynCookieJar:
    """`secret` alone makes two jars interchangeable. `rotate` keeps the one before for checking."""

    __slots__ = ("_isn", "_secrets")

    def __init__(self, secret: bytes) -> None:
        self._isn = _Secret(secret)
        self._secrets = [self._isn]

    def rotate(self, secret: bytes) -> None:
        self._secrets = [_Secret(secret), self._secrets[0]]

    def make(
        self, now: int, four_tuple: FourTuple, client_isn: int, mss: int | None, *, join: bool = False
    ) -> int:
        """The ISN of a stateless SYN/ACK. `join`: of one with MP_JOIN."""
        outer, inner = _JOIN if join else _CONNECTION
        table, packed = _table(four_tuple), four_tuple.pack()
        announced = mss if mss is not None else table[0]
        index = max((i for i, size in enumerate(table) if size <= announced), default=0)
        count = now // COUNTER_PERIOD
        secret = self._secrets[0]
        mixed = (secret.hash(inner, packed, _counted(count, client_isn)) + index) & 0xFF_FFFF
        return (secret.hash(outer, packed, 0) + client_isn + (count << 24) + mixed) & MASK32

    def key(self, four_tuple: FourTuple, cookie: int, version: int) -> int:
        """Key-B for a cookie: recomputable, so that it need not be kept (draft §3.1.1). Another MPTCP
        version has another key, so that a version that changed on its way back does not pass."""
        return self._secrets[0].key(four_tuple, cookie, version)

    def check(
        self,
        now: int,
        four_tuple: FourTuple,
        client_isn: int,
        cookie: int,
        version: int = 0,
        *,
        join: bool = False,
    ) -> Remembered | None:
        """What the cookie says, or None when it is not ours, too old, or for another tuple or ISN, or not
        of this kind (`join`).

        `version`: the one that came back, for the key.
        """
        outer, inner = _JOIN if join else _CONNECTION
        table, packed = _table(four_tuple), four_tuple.pack()
        count = now // COUNTER_PERIOD
        for secret in self._secrets:
            rest = (cookie - secret.hash(outer, packed, 0) - client_isn) & MASK32
            for past in range(count, max(count - MAX_AGE, -1), -1):
                low = secret.hash(inner, packed, _counted(past, client_isn)) & 0xFF_FFFF
                index = (rest - (past << 24)) & MASK32
                index = (index - low) & 0xFF_FFFF if index >> 24 == 0 else -1
                if 0 <= index < len(table):
                    key = secret.key(four_tuple, cookie, version)
                    return Remembered(table[index], key, secret.timestamp_offset(four_tuple))
        return None

    def isn(self, now: int, four_tuple: FourTuple) -> int:
        """Of a connection that is not begun by a cookie: a clock with an origin of its own for each
        four-tuple (RFC 6528 §3). Its secret is never rotated, or the same ports could begin behind where
        they ended."""
        return (now // ISN_TICK + self._isn.hash(b"I", four_tuple.pack(), 0)) & MASK32

    def timestamp_offset(self, four_tuple: FourTuple) -> int:
        """Origin of a connection's timestamp clock: recomputable, so that a cookie needs not keep it."""
        return self._secrets[0].timestamp_offset(four_tuple)


def _table(four_tuple: FourTuple) -> tuple[int, ...]:
    return MSS_TABLE if len(four_tuple.local[0]) == 4 else MSS_TABLE_V6


def _counted(count: int, client_isn: int) -> int:
    """The minute and the ISN together. Linux hashes the minute alone; then an ISN that is off by one to
    three, as when a first segment of so few bytes is lost, passes for another MSS index."""
    return count << 32 | client_isn


def stamp_options(timestamp: int, syn: SynOptions) -> int:
    """`timestamp` with the SYN's options in its low bits, never later than the real one."""
    shift = _NO_WINDOW_SCALE if syn.window_shift is None else min(syn.window_shift, 14)
    stamped = (timestamp & ~_OPTION_MASK) | shift | (_SACK if syn.sack else 0)
    if stamped > timestamp:
        stamped -= 1 << _OPTION_BITS
    return stamped & MASK32


def unstamp_options(echo: int, mss: int, timestamp: int) -> SynOptions:
    """The SYN's options from the timestamp that came back. `timestamp` is the client's TSval now."""
    shift = echo & 0xF
    return SynOptions(mss, None if shift == _NO_WINDOW_SCALE else shift, timestamp, bool(echo & _SACK))


def timestamp_at(now: int, offset: int) -> int:
    """The same clock as Tcb.timestamp, before there is a Tcb."""
    return (now // MILLISECOND + offset) & MASK32
