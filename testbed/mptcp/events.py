"""What an endpoint tells its applications. Past tense: it has happened. `Closed` is the last event.

`connection` is the number that `Endpoint.connect` returned or `Accepted` announced.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mptcp.reasons import Reason, Verdict


@dataclass(frozen=True, slots=True)
class Accepted:
    """A listener has a new connection (three-way handshake done)."""

    connection: int
    local: tuple[bytes, int]
    remote: tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Connected:
    """`Endpoint.connect` succeeded: data may be sent (it may also be queued before)."""

    connection: int


@dataclass(frozen=True, slots=True)
class DataArrived:
    """There is something to `receive`."""

    connection: int


@dataclass(frozen=True, slots=True)
class SpaceFreed:
    """`send` accepts bytes again after it accepted less than offered."""

    connection: int


@dataclass(frozen=True, slots=True)
class PeerFinished:
    """The peer will send no more: everything before its DATA_FIN (or FIN) has been offered."""

    connection: int


@dataclass(frozen=True, slots=True)
class FellBack:
    connection: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class SubflowOpened:
    """An additional subflow may carry data. The first has no event of its own."""

    connection: int
    subflow: int
    local: tuple[bytes, int]
    remote: tuple[bytes, int]
    backup: bool


@dataclass(frozen=True, slots=True)
class SubflowClosed:
    """An additional subflow ended before its connection did."""

    connection: int
    subflow: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event of a connection. `clean` is false after a reset, an abort or a timeout.

    Comes when both directions are finished and acknowledged; TIME-WAIT goes on behind it.
    """

    connection: int
    clean: bool
    verdict: Verdict
    reason: Reason


Event = (
    Accepted
    | Connected
    | DataArrived
    | SpaceFreed
    | PeerFinished
    | FellBack
    | SubflowOpened
    | SubflowClosed
    | Closed
)
