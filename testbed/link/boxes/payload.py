"""An application-level gateway: bytes of the stream are overwritten, with as many, fewer or more.

Decides which bytes (`at`, counted from 0 in each flow of this direction) and how sequence and
acknowledgement numbers go on behind a change of length, so that TCP at both ends sees a whole stream. The
FTP gateways of many NATs do this. Read first: RFC 6824 §3.3.1 (why there are DSS checksums), Hesmans et
al. (HotMiddlebox 2013).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

from testbed.link.boxes.box import Box, Flows, Key, Sent, Way
from testbed.link.boxes.sizes import parts
from testbed.link.boxes.values import count
from testbed.mptcp.wire import ACK, SYN, Option, Sack, Segment
from testbed.mptcp.wire.sequence import seq_add, seq_diff

FILL = b"#"


@dataclass(slots=True)
class _Stream:
    first: int | None = None  # sequence number of byte 0


class Rewrite(Box):
    meaning = "overwrites payload: cut= bytes at the stream's byte at= make room for put= others"
    keys: ClassVar[dict[str, Key]] = {
        "at": Key(count(0, 1 << 31, "bytes"), 1_000, "where, from 0"),
        "cut": Key(count(0, 1_000, "bytes"), 4, "bytes that go"),
        "put": Key(count(0, 1_000, "bytes"), 4, "bytes that come in their place"),
    }

    def __init__(self, way: Way, rng: random.Random, at: int = 1_000, cut: int = 4, put: int = 4) -> None:
        super().__init__(way, rng)
        self._at, self._cut, self._put = at, cut, put
        self._streams: Flows[_Stream] = Flows(_Stream)

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        stream = self._streams[self.flow(way, segment)]
        if way == self.way and segment.flags & SYN:
            stream.first = seq_add(segment.seq, 1)
        if stream.first is None:
            return [(way, segment)]
        return (
            self._outward(stream.first, segment) if way == self.way else [self._inward(stream.first, segment)]
        )

    def _outward(self, first: int, segment: Segment) -> Sent:
        """Data, and what was sent behind it."""
        start = seq_diff(segment.seq, first)
        end = start + len(segment.payload)
        touched = (start < self._at + self._cut and end > self._at) or (start <= self._at < end)
        if not touched and self._moved(start) == start:
            return [(self.way, segment)]
        payload = segment.payload
        if touched:
            head = payload[: max(self._at - start, 0)]
            tail = payload[max(self._at + self._cut - start, 0) :]
            payload = head + (FILL * self._put if start <= self._at else b"") + tail
        made = replace(segment, seq=seq_add(first, self._moved(start)), payload=payload, cut=segment.cut)
        size = len(segment.payload)
        if len(payload) <= size or segment.cut:
            return [(self.way, made)]
        return [(self.way, part) for part in parts(made, size, "all")]

    def _inward(self, first: int, segment: Segment) -> tuple[Way, Segment]:
        """What acknowledges it."""
        if not segment.flags & ACK:
            return self.back, segment
        ack = self._original(seq_diff(segment.ack, first))
        options = tuple(self._sacked(option, first) for option in segment.options)
        number = seq_add(first, ack)
        if number == segment.ack and options == segment.options:
            return self.back, segment
        return self.back, replace(segment, ack=number, options=options, cut=segment.cut)

    def _moved(self, offset: int) -> int:
        """Where a byte of the sender's stream is in the receiver's."""
        if offset <= self._at:
            return offset
        return max(offset - self._cut + self._put, self._at + self._put)

    def _original(self, offset: int) -> int:
        """Up to where the sender's stream has arrived."""
        if offset <= self._at:
            return offset
        return self._at if offset < self._at + self._put else offset - self._put + self._cut

    def _sacked(self, option: Option, first: int) -> Option:
        if not isinstance(option, Sack):
            return option
        edges = (
            tuple(seq_add(first, self._original(seq_diff(edge, first))) for edge in block)
            for block in option.blocks
        )
        return Sack(tuple((left, right) for left, right in edges))
