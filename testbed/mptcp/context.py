"""What every connection of an endpoint shares: randomness, events, counters, trace, stateless answers.

Decides nothing. Connections hold this, never the endpoint.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.mptcp.events import Event
from testbed.mptcp.wire import ACK, RST, Option, Segment
from testbed.mptcp.wire.sequence import seq_add

FourTuple = tuple[bytes, int, bytes, int]  # local address and port, remote address and port
MOST_LAST_WORDS = 1024


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One thing that happened, and why. `connection` 0: none of them."""

    at: int
    connection: int
    what: str
    detail: str = ""


@dataclass(slots=True)
class Context:
    entropy: Callable[[int], bytes]
    trace_sink: Callable[[TraceRecord], None] | None = None
    counters: Counter[str] = field(default_factory=Counter)
    events: deque[Event] = field(default_factory=deque)
    outbox: deque[Segment] = field(default_factory=deque)
    tokens: dict[int, int] = field(default_factory=dict)  # local token -> connection
    last_words: dict[FourTuple, Option] = field(
        default_factory=dict
    )  # of subflows that ended by MP_FASTCLOSE

    def random(self, size: int) -> int:
        return int.from_bytes(self.entropy(size), "big")

    def trace(self, at: int, connection: int, what: str, detail: str = "") -> None:
        if self.trace_sink is not None:
            self.trace_sink(TraceRecord(at, connection, what, detail))

    def count(self, name: str, times: int = 1) -> None:
        self.counters[name] += times

    def remember_last_word(self, of: FourTuple, option: Option) -> None:
        """The RST with it may lie beyond what has arrived: then the peer asks back (RFC 5961 §3.2)."""
        while len(self.last_words) >= MOST_LAST_WORDS:
            del self.last_words[next(iter(self.last_words))]
        self.last_words[of] = option

    def answer_reset(self, segment: Segment, options: tuple[Option, ...] = ()) -> None:
        """A reset for a segment that belongs to no connection (RFC 9293 §3.10.7.1)."""
        if segment.flags & RST:
            return
        if segment.flags & ACK:
            seq, ack, flags = segment.ack, 0, RST
            last = self.last_words.get((segment.dst, segment.dport, segment.src, segment.sport))
            options = options or (() if last is None else (last,))
        else:
            seq, ack, flags = 0, seq_add(segment.seq, segment.seq_length), RST | ACK
        self.outbox.append(
            Segment(segment.dst, segment.src, segment.dport, segment.sport, seq, ack, flags, 0, options)
        )
