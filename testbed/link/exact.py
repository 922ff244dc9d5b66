"""Which packets of one direction the exact drop rules take.

Decides the n-th SYN, SYN/ACK, third ACK and data segment of each connection as this direction sees it
pass: a segment is data for the first time when it carries a byte beyond all that passed before, so
retransmissions do not count. Knows segments only; the words are explained in rules.py. Read first: RFC
9293 §3.5.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from testbed.link.rules import DropRule
from testbed.mptcp.wire.segment import ACK, FIN, RST, SYN, Segment
from testbed.mptcp.wire.sequence import seq_add, seq_lt

MOST_FLOWS = 65_536  # the connection that was first seen longest ago is forgotten then

FlowKey = tuple[bytes, int, bytes, int]


@dataclass(frozen=True, slots=True)
class ExactDrop:
    """What an exact rule took: the `n`-th `word`, at `time`. Addresses are "10.0.1.1:4711"."""

    time: int
    rule: str
    word: str
    n: int
    source: str
    destination: str
    seq: int
    length: int


@dataclass(slots=True)
class _Flow:
    isn: int | None = None
    syns: int = 0
    synacks: int = 0
    data: int = 0
    high: int | None = None  # one past the last payload byte that has passed
    handshake_open: bool = False  # the SYN has passed, nothing behind it yet


class ExactDrops:
    """`match` must see every packet of the direction, in order."""

    def __init__(self, rules: tuple[DropRule, ...]) -> None:
        self.matches: list[ExactDrop] = []
        self._hits = {rule.text: 0 for rule in rules}
        self._rules: dict[str, list[DropRule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.word, []).append(rule)
        self._packets = 0
        self._flows: dict[FlowKey, _Flow] = {}

    def unmatched(self) -> tuple[str, ...]:
        """Rules that never took a packet: the run did not do what the user asked."""
        return tuple(text for text, hits in self._hits.items() if not hits)

    def match(self, now: int, segment: Segment | None) -> ExactDrop | None:
        """The drop that takes this packet; None lets it pass. `segment` is None when it is no TCP segment."""
        self._packets += 1
        found = self._first("packet", self._packets)
        if segment is None:
            return self._report(now, found, "packet", self._packets, None)
        word, n = self._classify(segment)
        if found is not None:
            return self._report(now, found, "packet", self._packets, segment)
        return self._report(now, self._first(word, n), word, n, segment)

    def _first(self, word: str, n: int) -> DropRule | None:
        for rule in self._rules.get(word, ()):
            if rule.covers(n):
                return rule
        return None

    def _report(
        self, now: int, rule: DropRule | None, word: str, n: int, segment: Segment | None
    ) -> ExactDrop | None:
        if rule is None:
            return None
        self._hits[rule.text] += 1
        if segment is None:
            drop = ExactDrop(now, rule.text, word, n, "", "", 0, 0)
        else:
            source = _address(segment.src, segment.sport)
            destination = _address(segment.dst, segment.dport)
            drop = ExactDrop(now, rule.text, word, n, source, destination, segment.seq, len(segment.payload))
        self.matches.append(drop)
        return drop

    def _classify(self, segment: Segment) -> tuple[str, int]:
        flags = segment.flags
        key = (segment.src, segment.sport, segment.dst, segment.dport)
        flow = self._flows.get(key)
        if flow is None or (flags & SYN and flow.isn is not None and flow.isn != segment.seq):
            if len(self._flows) >= MOST_FLOWS:
                del self._flows[next(iter(self._flows))]
            flow = self._flows[key] = _Flow()
        if flags & SYN:
            flow.isn = segment.seq
            flow.high = seq_add(segment.seq, 1 + len(segment.payload))
            if flags & ACK:
                flow.synacks += 1
                return "synack", flow.synacks
            flow.syns += 1
            flow.handshake_open = True
            return "syn", flow.syns
        ends_handshake, flow.handshake_open = flow.handshake_open, False
        if segment.payload:
            end = seq_add(segment.seq, len(segment.payload))
            if flow.high is None or seq_lt(flow.high, end):
                flow.high = end
                flow.data += 1
                return "data", flow.data
        elif ends_handshake and flags & ACK and not flags & (FIN | RST):
            return "third_ack", 1
        return "", 0


def _address(address: bytes, port: int) -> str:
    text = str(ipaddress.ip_address(address))
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"
