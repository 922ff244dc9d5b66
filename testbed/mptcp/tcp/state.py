"""The states of a subflow and the moves between them.

Decides which transitions exist; `Tcb.move` is the only place that makes one.
Read first: RFC 9293 §3.3.2 (figure 5), §3.10.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    CLOSED = "CLOSED"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"

    __hash__ = (
        object.__hash__
    )  # members are single objects; Enum's own hash is slow, and sets are asked often


# Every state may also move to CLOSED: reset, abort, user timeout (RFC 9293 §3.10.7.4, §3.10.5).
MOVES: dict[State, frozenset[State]] = {
    State.CLOSED: frozenset({State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED}),  # §3.10.1; cookie
    State.SYN_SENT: frozenset({State.ESTABLISHED, State.SYN_RECEIVED}),  # §3.10.7.3
    State.SYN_RECEIVED: frozenset({State.ESTABLISHED}),  # §3.10.7.4, fifth
    State.ESTABLISHED: frozenset({State.FIN_WAIT_1, State.CLOSE_WAIT}),  # §3.10.4; eighth
    State.FIN_WAIT_1: frozenset({State.FIN_WAIT_2, State.CLOSING, State.TIME_WAIT}),
    State.FIN_WAIT_2: frozenset({State.TIME_WAIT}),
    State.CLOSE_WAIT: frozenset({State.LAST_ACK}),
    State.CLOSING: frozenset({State.TIME_WAIT}),
    State.LAST_ACK: frozenset(),
    State.TIME_WAIT: frozenset(),
}

SYNCHRONIZED = frozenset(State) - {State.CLOSED, State.SYN_SENT, State.SYN_RECEIVED}
MAY_SEND_DATA = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
MAY_RECEIVE_DATA = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2})
