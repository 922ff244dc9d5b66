"""Which packets of one direction the exact drop rules take.

Decides which words are true of a segment, and the n-th of each connection as this direction sees it pass: a
segment is data for the first time when it carries a byte beyond all that passed before; if not, it is a
retransmission. Knows segments only; the words are explained in rules.py. Read first: RFC 9293 §3.5.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.link.rules import DropRule
from testbed.mptcp.wire.mptcp_options import (
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    RemoveAddr,
)
from testbed.mptcp.wire.options import Option
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


def _with(*kinds: type) -> Callable[[Segment], bool]:
    return lambda segment: any(isinstance(option, kinds) for option in segment.options)


def _with_dss(holds: Callable[[Dss], bool]) -> Callable[[Segment], bool]:
    def found(option: Option) -> bool:
        return isinstance(option, Dss) and holds(option)

    return lambda segment: any(map(found, segment.options))


# Words that a segment bears by itself; the others depend on what passed before it.
ALONE: dict[str, Callable[[Segment], bool]] = {
    "ack": lambda segment: segment.flags & (SYN | FIN | RST | ACK) == ACK and not segment.payload,
    "fin": lambda segment: bool(segment.flags & FIN),
    "rst": lambda segment: bool(segment.flags & RST),
    "mp_capable": _with(MpCapable),
    "mp_join": _with(MpJoinSyn, MpJoinSynAck, MpJoinAck),
    "dss": _with(Dss),
    "mapping": _with_dss(lambda dss: dss.dsn is not None),
    "data_fin": _with_dss(lambda dss: dss.data_fin),
    "add_addr": _with(AddAddr),
    "remove_addr": _with(RemoveAddr),
    "mp_prio": _with(MpPrio),
    "mp_fail": _with(MpFail),
    "mp_fastclose": _with(MpFastclose),
}


@dataclass(slots=True)
class _Flow:
    """`number`: the how-manieth connection of this direction it is."""

    number: int
    isn: int | None = None
    high: int | None = None  # one past the last payload byte that has passed
    handshake_open: bool = False  # the SYN has passed, nothing behind it yet
    counts: Counter[str] = field(default_factory=Counter)


class ExactDrops:
    """`match` must see every packet of the direction, in order, from the first rule on."""

    def __init__(self) -> None:
        self.matches: list[ExactDrop] = []
        self._hits: dict[str, int] = {}
        self._rules: tuple[DropRule, ...] = ()
        self._alone: dict[str, Callable[[Segment], bool]] = {}
        self._totals: Counter[str] = Counter()
        self._opened = 0
        self._flows: dict[FlowKey, _Flow] = {}

    def heed(self, rules: tuple[DropRule, ...]) -> None:
        """From now on these rules. A word is counted from the first rule on that has it."""
        self._rules = rules
        self._hits |= {rule.text: 0 for rule in rules if rule.text not in self._hits}
        self._alone |= {rule.word: ALONE[rule.word] for rule in rules if rule.word in ALONE}

    def unmatched(self) -> tuple[str, ...]:
        """Rules that never took a packet: the run did not do what the user asked."""
        return tuple(text for text, hits in self._hits.items() if not hits)

    def match(self, now: int, segment: Segment | None) -> ExactDrop | None:
        """The drop that takes this packet; None lets it pass. `segment` is None when it is no TCP segment."""
        words = ["packet"]
        flow = None
        if segment is not None:
            flow = self._flow(segment)
            words += self._words(flow, segment)
            flow.counts.update(words)
            flow.counts["third_ack"] = 1  # a connection has one, however often its SYN was repeated
        self._totals.update(words)
        taken = None
        for rule in self._rules:
            if rule.word not in words or not (rule.together or (flow and _meant(rule, flow, segment))):
                continue
            n = self._totals[rule.word] if rule.together or flow is None else flow.counts[rule.word]
            if rule.covers(n):
                self._hits[rule.text] += 1
                taken = taken or self._report(now, rule, n, segment)
        return taken

    def _report(self, now: int, rule: DropRule, n: int, segment: Segment | None) -> ExactDrop:
        if segment is None:
            drop = ExactDrop(now, rule.text, rule.word, n, "", "", 0, 0)
        else:
            source = _address(segment.src, segment.sport)
            destination = _address(segment.dst, segment.dport)
            drop = ExactDrop(
                now, rule.text, rule.word, n, source, destination, segment.seq, len(segment.payload)
            )
        self.matches.append(drop)
        return drop

    def _flow(self, segment: Segment) -> _Flow:
        key = (segment.src, segment.sport, segment.dst, segment.dport)
        flow = self._flows.get(key)
        if flow is None or (segment.flags & SYN and flow.isn is not None and flow.isn != segment.seq):
            if len(self._flows) >= MOST_FLOWS:
                del self._flows[next(iter(self._flows))]
            self._opened += 1
            flow = self._flows[key] = _Flow(self._opened)
        return flow

    def _words(self, flow: _Flow, segment: Segment) -> list[str]:
        words = [word for word, bears in self._alone.items() if bears(segment)]
        flags = segment.flags
        if flags & SYN:
            flow.isn = segment.seq
            flow.high = seq_add(segment.seq, 1 + len(segment.payload))
            flow.handshake_open = not flags & ACK
            return [*words, "synack" if flags & ACK else "syn"]
        ends_handshake, flow.handshake_open = flow.handshake_open, False
        if segment.payload:
            end = seq_add(segment.seq, len(segment.payload))
            if flow.high is not None and not seq_lt(flow.high, end):
                return [*words, "retransmission"]
            flow.high = end
            return [*words, "data"]
        if ends_handshake and flags & ACK and not flags & (FIN | RST):
            words.append("third_ack")
        return words


def _meant(rule: DropRule, flow: _Flow, segment: Segment | None) -> bool:
    """Whether the rule is about this connection."""
    if rule.connection is not None:
        return rule.connection == flow.number
    if rule.address is None:
        return True
    assert segment is not None
    ends = ((segment.src, segment.sport), (segment.dst, segment.dport))
    return any(address == rule.address and rule.port in (None, port) for address, port in ends)


def _address(address: bytes, port: int) -> str:
    text = str(ipaddress.ip_address(address))
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"
