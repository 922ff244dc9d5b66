"""TCP Fast Open without packets: the server's cookies and its answer, the client's cache and its attempt.

Decides which cookie goes to whom and which is good, how much a SYN may carry, when a client asks, tries or
keeps away, and for how long. Must not know connections; the data in the SYN is testbed/mptcp/fast_open.py's.
Read first: RFC 7413 §3, §4.1, §4.2.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from testbed.mptcp.config import SECOND, FastOpenSpace
from testbed.mptcp.wire import MAX_OPTION_BYTES, FastOpen, Option, encoded_length

SHORTEST, LONGEST = 4, 16  # bytes of a cookie (RFC 7413 §4.1.1)
SHORTENED = 6  # what is left of 40 bytes beside MSS, scale, SACK, timestamps and MP_CAPABLE
DEFAULT_MSS = {4: 536, 16: 1240}  # by length of address, while the server's MSS is unknown (§4.2.1)
PAUSE = 60 * SECOND  # the first pause after a failure; Linux's for lost SYNs
BLACKHOLE_PAUSE = 3600 * SECOND  # Linux's former tcp_fastopen_blackhole_timeout_sec
RESET_COUNTS = 60 * SECOND
MOST_DOUBLINGS = 6
MOST_SERVERS = 1024

Key = TypeVar("Key")
Value = TypeVar("Value")


# -- server -------------------------------------------------------------------------------------------------


class CookieMint:
    """Cookies for client addresses. `secret` alone makes two mints alike; `rotate` keeps one generation.

    A cookie is a prefix of a MAC, so that it can be shortened where options leave little room. Cookies of
    lengths that were never given out are not accepted: the sender must not choose how much it has to guess.
    """

    __slots__ = ("_secrets", "length")

    def __init__(self, secret: bytes, length: int = 8) -> None:
        if length % 2 or not SHORTEST <= length <= LONGEST:
            raise ValueError(f"a cookie has an even length of {SHORTEST} to {LONGEST}, not {length}")
        self.length = length
        self._secrets = [secret[:32]]

    def rotate(self, secret: bytes) -> None:
        self._secrets = [secret[:32], self._secrets[0]]

    def make(self, client: bytes, room: int = LONGEST) -> bytes | None:
        """At most `room` bytes; None where that is too little to be worth it."""
        length = min(self.length, room & ~1)
        return _mac(self._secrets[0], client)[:length] if length >= self._shortest else None

    def generation(self, client: bytes, cookie: bytes) -> int | None:
        """0 for a cookie of the present secret, 1 for one of the secret before, None for any other."""
        if len(cookie) % 2 or not self._shortest <= len(cookie) <= self.length:
            return None
        for generation, secret in enumerate(self._secrets):
            if hmac.compare_digest(_mac(secret, client)[: len(cookie)], cookie):
                return generation
        return None

    @property
    def _shortest(self) -> int:
        return min(self.length, SHORTENED)


def _mac(secret: bytes, client: bytes) -> bytes:
    return hashlib.blake2s(client, key=secret, digest_size=LONGEST, person=b"fastopen").digest()


@dataclass(frozen=True, slots=True)
class Answer:
    """`accept`: the SYN's data may go to the application. `give`: a cookie belongs in the SYN/ACK."""

    accept: bool = False
    give: bool = False
    counter: str | None = None  # Linux's MIB name


def judge_syn(
    mint: CookieMint, client: bytes, option: FastOpen | None, pending: int, most_pending: int
) -> Answer:
    """A server's answer to a SYN (RFC 7413 §4.2.2). `pending`: accepted ones whose handshake is not over."""
    if option is None:
        return Answer()
    if not option.cookie:
        return Answer(give=True, counter="TCPFastOpenCookieReqd")
    if pending >= most_pending:
        return Answer(counter="TCPFastOpenListenOverflow")  # an ordinary handshake (§5.1)
    generation = mint.generation(client, option.cookie)
    if generation is None:
        return Answer(give=True, counter="TCPFastOpenPassiveFail")
    return Answer(True, give=generation > 0, counter="TCPFastOpenPassive")


class Door:
    """Fast Open at a listening port. Counts the connections that it let in whose handshake is not over."""

    __slots__ = ("_pending", "_reset", "mint", "most")

    def __init__(self, mint: CookieMint, most: int) -> None:
        self.mint, self.most = mint, most
        self._pending = 0
        self._reset: deque[int] = deque()  # until when those count that ended in a reset

    def judge(self, now: int, client: bytes, option: FastOpen | None) -> Answer:
        answer = judge_syn(self.mint, client, option, self.pending(now), self.most)
        self._pending += answer.accept
        return answer

    def pending(self, now: int) -> int:
        while self._reset and self._reset[0] <= now:
            self._reset.popleft()
        return self._pending + len(self._reset)

    def ended(self, now: int, *, established: bool) -> None:
        """A reset frees no place at once: a spoofed SYN is answered by one (RFC 7413 §5.1)."""
        self._pending -= 1
        if not established:
            self._reset.append(now + RESET_COUNTS)


# -- client -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a SYN may do: an option to carry, None for none, and the payload bytes that may go with it."""

    option: FastOpen | None = None
    room: int = 0


@dataclass(slots=True)
class _Server:
    cookie: bytes = b""
    mss: int | None = None
    losses: int = 0  # SYNs with the option that were lost, in a row
    lost_at: int = 0


@dataclass(slots=True)
class _Pause:
    """Each failure in a row doubles the pause."""

    length: int
    failures: int = 0
    until: int = 0

    def failed(self, now: int) -> None:
        if now >= self.until:  # several failures of one attempt's time are one
            self.until = now + (self.length << min(self.failures, MOST_DOUBLINGS))
            self.failures += 1

    def holds(self, now: int) -> bool:
        return now < self.until


class CookieCache:
    """What a client knows of servers: cookies and MSS by address, refusals by address and port (§4.1.3)."""

    __slots__ = ("_blackhole", "_refused", "_servers", "most")

    def __init__(self, most: int = MOST_SERVERS) -> None:
        self.most = most
        self._servers: dict[bytes, _Server] = {}
        self._refused: dict[tuple[bytes, int], _Pause] = {}
        self._blackhole = _Pause(BLACKHOLE_PAUSE)

    def attempt(
        self,
        now: int,
        address: bytes,
        port: int,
        options: tuple[Option, ...],
        mss: int,
        *,
        pauses: bool = True,
    ) -> Attempt:
        """What a SYN that carries these other options may do. `mss`: the most that our side can send."""
        server = self._servers.get(address, _Server())
        if pauses and self._keeps_away(now, address, port, server):
            return Attempt()
        option = FastOpen(server.cookie)
        used = sum(len(other.encode()) for other in options)
        if used + len(option.encode()) > MAX_OPTION_BYTES:
            return Attempt()  # an ordinary handshake (§4.2.1)
        if not server.cookie:
            return Attempt(option)
        most = min(server.mss if server.mss is not None else DEFAULT_MSS[len(address)], mss)
        return Attempt(option, max(most - encoded_length((*options, option)), 0))

    def _keeps_away(self, now: int, address: bytes, port: int, server: _Server) -> bool:
        refused = self._refused.get((address, port))
        if self._blackhole.holds(now) or (refused is not None and refused.holds(now)):
            return True
        # One loss is an accident, two in a row may be a middlebox.
        return server.losses > 1 and now < server.lost_at + (PAUSE << min(server.losses, MOST_DOUBLINGS))

    def learned(self, address: bytes, cookie: bytes, mss: int | None) -> None:
        """A SYN/ACK brought a cookie, or at least an MSS."""
        server = self._server(address)
        if cookie:
            server.cookie, server.losses = cookie, 0
        server.mss = mss if mss is not None else server.mss

    def worked(self, now: int, address: bytes, port: int) -> None:
        """The server acknowledged the data of a SYN."""
        self._refused.pop((address, port), None)
        self._server(address).losses = 0
        if not self._blackhole.holds(now):
            self._blackhole = _Pause(BLACKHOLE_PAUSE)

    def refused(self, now: int, address: bytes, port: int, fresh: bytes = b"") -> None:
        """The server acknowledged the SYN alone. A fresh cookie beside that is worth another try."""
        self._server(address).losses = 0
        if not fresh:
            place = address, port
            if place not in self._refused:
                _make_room(self._refused, self.most)
            self._refused.setdefault(place, _Pause(PAUSE)).failed(now)

    def lost(self, now: int, address: bytes) -> None:
        """A SYN with the option was not answered in time."""
        server = self._server(address)
        server.losses += 1
        server.lost_at = now

    def blackhole(self, now: int) -> None:
        """A connection that began with Fast Open got nothing through afterwards: none for some time."""
        self._blackhole.failed(now)

    def _server(self, address: bytes) -> _Server:
        if address not in self._servers:
            _make_room(self._servers, self.most)
        return self._servers.setdefault(address, _Server())


def _make_room(known: dict[Key, Value], most: int) -> None:
    """The oldest entries go when there are too many."""
    while len(known) >= most:
        del known[next(iter(known))]


# -- one connection's, at either end -------------------------------------------------------------------------


class FastOpenOutcome(StrEnum):
    """What became of Fast Open, as one end saw it (RFC 7413 §4.2)."""

    NONE = "none"  # off, avoided after failures, or no room for the option
    COOKIE = "cookie"  # the SYN asked for a cookie
    NO_DATA = "no_data"  # a cookie and nothing to send with it
    ACCEPTED = "accepted"
    REFUSED = "refused"  # a cookie that was no good, or too many were waiting: the data went again
    LOST = "lost"  # no answer to that SYN: it went again without option and data


@dataclass(slots=True)
class Opening:
    """A client's attempt. `cookie_only`: the connection is reset as soon as it has a cookie."""

    cache: CookieCache
    cookie_only: bool = False
    pauses: bool = True
    option: FastOpen | None = None  # on the first SYN
    carried: int = 0  # bytes of data in the first SYN
    accepted: int = 0  # of them, by the server
    lost: bool = False  # that SYN was not answered in time

    @property
    def outcome(self) -> FastOpenOutcome:
        if self.option is None:
            return FastOpenOutcome.NONE
        if self.accepted:
            return FastOpenOutcome.ACCEPTED
        if self.lost:
            return FastOpenOutcome.LOST
        if not self.option.cookie:
            return FastOpenOutcome.COOKIE
        return FastOpenOutcome.REFUSED if self.carried else FastOpenOutcome.NO_DATA


@dataclass(slots=True)
class Welcome:
    """A server's answer. `give`: the first SYN/ACK brings a cookie."""

    mint: CookieMint
    space: FastOpenSpace
    give: bool
    outcome: FastOpenOutcome
    accepted: int = 0
