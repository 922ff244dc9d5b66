"""What the packets of a connection say of one feature, in a few words.

Decides where to look and how to say it: each function takes one connection as it was captured and returns
what a cell of slide 8 shows. Knows no profiles: draft, v1 and Linux are looked at alike.
Read first: RFC 8684 §3; draft-paasch-mptcp-syncookies-02 §3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.figures.seed.captured import Flow, bare, must_have, option
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.wire import (
    RST,
    SYN,
    AddAddr,
    Dss,
    MpCapable,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpTcpRst,
    Segment,
)
from testbed.mptcp.wire.mptcp_options import FLAG_NO_JOIN_HERE
from testbed.mptcp.wire.sequence import MASK32

NOT_SEEN = "not seen"


@dataclass(frozen=True, slots=True)
class Seen:
    """One captured connection, or with Fast Open two; what became of the last is `verdict`."""

    flows: list[Flow]
    verdict: str

    @property
    def first(self) -> Flow:
        """The initial subflow of the last connection."""
        return [one for one in self.flows if not one.joins][-1]

    @property
    def join(self) -> Flow | None:
        return next((one for one in self.flows if one.joins), None)


Look = Callable[[Seen], str]


def verdict(seen: Seen) -> str:
    return seen.verdict


def version(seen: Seen) -> str:
    return f"{must_have(seen.first.syn, MpCapable).version}"


def syn_option(seen: Seen) -> str:
    found = must_have(seen.first.syn, MpCapable)
    return f"{len(found.encode())} bytes, {'no key' if found.sender_key is None else 'with key'}"


def third_ack(seen: Seen) -> str:
    return _size(seen.first.third_ack)


def first_data(seen: Seen) -> str:
    return _size(seen.first.first_data)


def _size(segment: Segment | None) -> str:
    found = option(segment, MpCapable)
    return "no MP_CAPABLE" if found is None else f"MP_CAPABLE of {len(found.encode())} bytes"


def piggyback(seen: Seen) -> str:
    """Whether data was the third packet, and what came of it."""
    if seen.first.third_ack is not None:
        return "an ACK went first"
    return f"{_size(seen.first.first_data)}, {seen.verdict}"


def hash_of_keys(seen: Seen) -> str:
    """By the token that the join names: it is the hash of the server's key."""
    if seen.join is None:
        return NOT_SEEN
    token = must_have(seen.join.syn, MpJoinSyn).token
    key = must_have(seen.first.synack, MpCapable).sender_key or 0
    for name, sha256 in (("SHA-1", False), ("SHA-256", True)):
        if token_and_idsn(key, sha256)[0] == token:
            return name
    return "another"


def fourth_packet(seen: Seen) -> str:
    """What the server says to the third ACK, before it acknowledges any data."""
    flow = seen.first
    synack = flow.synack
    for packet in flow.down:
        one = packet.segment
        if one.flags & SYN or synack is None:
            continue
        if (one.ack - must_ack(flow)) & MASK32 or not bare(one):
            break
        names = [
            name
            for name, there in (
                ("DATA_ACK", _data_ack(one) is not None),
                ("ADD_ADDR", option(one, AddAddr) is not None),
            )
            if there
        ]
        return "ACK with " + " and ".join(names) if names else "ACK without an option"
    return "nothing"


def must_ack(flow: Flow) -> int:
    """The ACK number that takes the SYN and no data."""
    return (flow.syn.seq + 1) & MASK32


def _data_ack(segment: Segment) -> int | None:
    dss = option(segment, Dss)
    return None if dss is None else dss.data_ack


def keys_again(seen: Seen) -> str:
    """ACKs with both keys, lost ones among them, before the client has heard a DATA_ACK."""
    carrying, every = _acks_before_data_ack(seen.first)
    return f"{carrying} of {every} ACKs"


def keys_on_all(seen: Seen) -> str:
    carrying, every = _acks_before_data_ack(seen.first)
    return "all" if carrying == every else f"{carrying} of {every} ACKs"


def _acks_before_data_ack(flow: Flow) -> tuple[int, int]:
    """Those with MP_CAPABLE, and all that the client sent without data."""
    heard = [one.arrived for one in flow.down if one.dropped is None and _data_ack(one.segment) is not None]
    until = min(heard, default=None)
    acks = [one.segment for one in flow.up if bare(one.segment) and (until is None or one.time < until)]
    return sum(option(one, MpCapable) is not None for one in acks), len(acks)


def flag_c(seen: Seen) -> str:
    flags = must_have(seen.first.synack, MpCapable).flags
    return "set" if flags & FLAG_NO_JOIN_HERE else "not set"


def refused_join(seen: Seen) -> str:
    if seen.join is None:
        return NOT_SEEN
    reset = next((one.segment for one in seen.join.down if one.segment.flags & RST), None)
    if reset is None:
        return "no RST"
    late = any(option(one.segment, MpJoinAck) for one in seen.join.up)
    why = option(reset, MpTcpRst)
    words = "no reason" if why is None else f"MP_TCPRST, reason {why.reason}"
    return f"RST to the {'third ACK' if late else 'SYN'}, {words}"


def fast_close(seen: Seen) -> str:
    for flow in seen.flows:
        for packet in flow.up:
            if option(packet.segment, MpFastclose) is not None:
                return "on a RST" if packet.segment.flags & RST else "on an ACK"
    return NOT_SEEN


def announcement(seen: Seen) -> str:
    told = [
        found
        for flow in seen.flows
        for packet in (*flow.down, *flow.up)
        if (found := option(packet.segment, AddAddr)) is not None
    ]
    first = next((one for one in told if not one.echo), None)
    if first is None:
        return NOT_SEEN
    echoed = any(one.echo for one in told)
    safe = "no HMAC" if first.hmac is None else "HMAC"
    return f"{len(first.encode())} bytes, {safe}, {'echoed' if echoed else 'no echo'}"


def data_in_syn(seen: Seen) -> str:
    """The server's first DATA_ACK tells whether the SYN's data has data sequence numbers."""
    flow = seen.first
    sent = len(flow.syn.payload)
    third = option(flow.third_ack, MpCapable)
    if not sent or third is None or third.sender_key is None:
        return "no data in the SYN"
    for packet in flow.down:
        acked = _data_ack(packet.segment)
        dss = option(packet.segment, Dss)
        if acked is None or dss is None:
            continue
        taken = (packet.segment.ack - must_ack(flow)) & MASK32
        mask = (1 << 64) - 1 if dss.data_ack_8 else MASK32
        beyond = [(acked - token_and_idsn(third.sender_key, one)[1]) & mask for one in (False, True)]
        place = min(beyond)
        return f"{taken} bytes taken, DATA_ACK at IDSN + {place}"
    return "no DATA_ACK"


def syns_with_option(seen: Seen) -> str:
    """How often MP_CAPABLE was tried, and what came of the SYN without."""
    syns = [one.segment for one in seen.first.up if one.segment.flags & SYN]
    tried = sum(option(one, MpCapable) is not None for one in syns)
    return f"{tried} of {len(syns)} SYNs, then {seen.verdict}"
