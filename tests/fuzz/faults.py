"""The faults of the adversarial network: what each does to one packet.

Decides nothing about when a fault acts (network.py) or what must still hold (play.py, by the fault's kind):

NETWORK  What an IP network may do. The connection must complete: no error, no wrong byte.
OPTIONS  TCP options are lost, cut, moved or added. The bytes stay right; an error end is allowed.
CONTENT  Header fields, option fields or payload are changed, or segments are forged. The bytes may be wrong.

In every kind: no exception, no livelock, nothing left over, `Closed` is the last event.
Read first: RFC 8684 §3.3.1, §3.7; Honda et al., "Is it still possible to extend TCP?" (IMC 2011).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from testbed.mptcp.wire import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    AddAddr,
    Dss,
    MpCapable,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MptcpOption,
    RemoveAddr,
    Sack,
    SackPermitted,
    Segment,
    Timestamps,
    UnknownOption,
    decode,
    encode,
    encode_options,
    encoded_length,
    parse_options,
)

MILLISECOND = 1_000_000
WORD = 0xFFFF_FFFF
MAX_MERGED = 60_000  # payload bytes


class Kind(Enum):
    NETWORK = "network"
    OPTIONS = "options"
    CONTENT = "content"


@dataclass
class Parcel:
    """A packet on its way: the segment, ns of delay beyond the path's own, and what was done to it."""

    segment: Segment
    delay: int = 0
    notes: list[str] = field(default_factory=list)
    merge: Kind | None = None  # join it with the packet before it on this flow, where that is possible

    def copy(self, segment: Segment, delay: int = 0, note: str = "") -> Parcel:
        return Parcel(segment, self.delay + delay, [*self.notes, note] if note else list(self.notes))


Memory = dict[Any, Any]  # of one fault on one flow
Act = Callable[[random.Random, Parcel, Memory], list[Parcel]]


@dataclass(frozen=True)
class Fault:
    """`loses`: a hit takes the packet, so that network.py bounds how many it takes in a row."""

    kind: Kind
    meaning: str
    act: Act
    loses: bool = False


# -- what a network does -----------------------------------------------------------------------------------


def _drop(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    return []


def _corrupt(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    """One flipped bit of the TCP segment, which its checksum must reveal."""
    raw = bytearray(encode(parcel.segment))
    at = rng.randrange(20 if len(parcel.segment.src) == 4 else 40, len(raw))
    raw[at] ^= 1 << rng.randrange(8)
    read = decode(bytes(raw))
    assert not isinstance(read, Segment), f"a flipped bit at byte {at} was not detected: {read}"
    return []


def _delay(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    parcel.delay += rng.choice((5, 30, 150, 400, 1_500)) * MILLISECOND * rng.randrange(1, 101) // 100
    return [parcel]


def _reorder(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    parcel.delay += rng.randrange(1, 12 * MILLISECOND)
    return [parcel]


def _duplicate(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    copies = [
        parcel.copy(parcel.segment, rng.randrange(50 * MILLISECOND), "copy")
        for _ in range(rng.choice((1, 1, 1, 2, 3)))
    ]
    return [parcel, *copies]


def _replay(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    return [parcel, parcel.copy(parcel.segment, rng.randrange(200, 20_000) * MILLISECOND, "late copy")]


def _cuts(rng: random.Random, length: int) -> list[int]:
    """Where to cut: up to four parts, at times of a single byte."""
    if length < 2:
        return []
    if rng.random() < 0.2:
        return [rng.choice((1, length - 1))]
    return sorted({rng.randrange(1, length) for _ in range(rng.randrange(1, 4))})


def _parts(parcel: Parcel, cuts: list[int], keep: str) -> list[Parcel]:
    """The pieces; MPTCP options on "all" of them, on the "first" or on the "last"."""
    segment = parcel.segment
    edges = [0, *cuts, len(segment.payload)]
    made = []
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        last = end == len(segment.payload)
        kept = keep == "all" or (number == 0 if keep == "first" else last)
        options = segment.options if kept else _without(segment, lambda one: isinstance(one, MptcpOption))
        made.append(
            parcel.copy(
                replace(
                    segment,
                    seq=(segment.seq + start) & WORD,
                    flags=segment.flags if last else segment.flags & ~(FIN | PSH),
                    options=options,
                    payload=segment.payload[start:end],
                    cut=0,
                ),
                note=f"part {number + 1}",
            )
        )
    return made


def _split(keep: str) -> Act:
    def act(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
        segment = parcel.segment
        cuts = _cuts(rng, len(segment.payload))
        if not cuts or segment.flags & (SYN | RST):
            return [parcel]
        return _parts(parcel, cuts, keep)

    return act


def _truncate(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    """The packet is split and one part of it is lost."""
    cuts = _cuts(rng, len(parcel.segment.payload))
    if not cuts or parcel.segment.flags & (SYN | RST):
        return [parcel]
    made = _parts(parcel, cuts[:1], "all")
    made.pop(rng.randrange(2))
    return made


def _merge(kind: Kind) -> Act:
    """network.py joins it with the packet before it: receive offload, or a proxy that drops options."""

    def act(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
        parcel.merge = kind
        return [parcel]

    return act


def merged(first: Segment, second: Segment, kind: Kind) -> Segment | None:
    """One segment of two. NETWORK: only where their options are equal, as receive offload does; OPTIONS:
    MPTCP's options of the second are lost."""
    if (first.flags | second.flags) & (SYN | RST | 0x20) or first.flags & FIN or not first.flags & ACK:
        return None
    if not first.payload or not second.payload or second.seq != (first.seq + len(first.payload)) & WORD:
        return None
    if len(first.payload) + len(second.payload) > MAX_MERGED:
        return None
    if kind is Kind.NETWORK and first.options != second.options:
        return None
    return replace(
        first,
        ack=second.ack,
        window=second.window,
        flags=first.flags | second.flags,
        payload=first.payload + second.payload,
        cut=0,
    )


# -- what is done to options --------------------------------------------------------------------------------


def _without(segment: Segment, which: Callable[[Any], bool]) -> tuple[Any, ...]:
    return tuple(option for option in segment.options if not which(option))


def _with_options(parcel: Parcel, options: tuple[Any, ...]) -> list[Parcel]:
    if options == parcel.segment.options or encoded_length(options) > 40:
        return [parcel]
    return [parcel.copy(replace(parcel.segment, options=options))]


def _strip(*types: Any) -> Act:
    def act(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
        return _with_options(parcel, _without(parcel.segment, lambda one: isinstance(one, types)))

    return act


def _strip_any(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    options = list(parcel.segment.options)
    if options:
        options.pop(rng.randrange(len(options)))
    return _with_options(parcel, tuple(options))


def _cut(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    """The option block ends early, in the middle of an option as often as not."""
    raw = encode_options(parcel.segment.options)
    if not raw:
        return [parcel]
    return [
        parcel.copy(replace(parcel.segment, options=parse_options(raw[: 4 * rng.randrange(len(raw) // 4)])))
    ]


def _move(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    """MPTCP's options of this packet and of the last one that was hit change places in time: each packet
    carries those of the one before it."""
    segment = parcel.segment
    if segment.flags & (SYN | RST):
        return [parcel]
    own = tuple(one for one in segment.options if isinstance(one, MptcpOption))
    before = memory.get("options", ())
    memory["options"] = own
    rest = _without(segment, lambda one: isinstance(one, MptcpOption))
    return _with_options(parcel, (*rest, *before))


def _repeat(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    """An MPTCP option of an earlier packet of the flow stands on this one as well."""
    segment = parcel.segment
    if segment.flags & (SYN | RST):
        return [parcel]
    seen = memory.setdefault("options", [])
    extra = rng.choice(seen) if seen else None
    seen += [one for one in segment.options if isinstance(one, MptcpOption)][: 20 - len(seen)]
    return [parcel] if extra is None else _with_options(parcel, (*segment.options, extra))


def _unknown(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    extra = UnknownOption(rng.choice((76, 253, 254)), rng.randbytes(rng.randrange(8)))
    options = list(parcel.segment.options)
    options.insert(rng.randrange(len(options) + 1), extra)
    return _with_options(parcel, tuple(options))


def _shuffle(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    options = list(parcel.segment.options)
    rng.shuffle(options)
    return _with_options(parcel, tuple(options))


# -- what is done to contents -------------------------------------------------------------------------------


def _payload(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    """One byte is another; TCP's checksum fits."""
    data = bytearray(parcel.segment.payload)
    if not data:
        return [parcel]
    data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    return [parcel.copy(replace(parcel.segment, payload=bytes(data)))]


def _bits(first: int | None, last: int | None) -> Act:
    """Flips one to three bits of the TCP header's bytes `first` to `last` (None: of the options)."""

    def act(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
        try:
            raw = bytearray(encode(parcel.segment))
        except ValueError:
            return [parcel]  # options that an earlier fault made too long to be sent again
        head = 20 if len(parcel.segment.src) == 4 else 40
        data = head + (raw[head + 12] >> 4) * 4
        start, end = (head + 20, data) if first is None or last is None else (head + first, head + last)
        if start >= end:
            return [parcel]
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
        read = decode(bytes(raw), verify=False)
        return [parcel.copy(read)] if isinstance(read, Segment) else []

    return act


def _stamps(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    change = rng.choice((1, -1, 100, -100, 1 << 20, 1 << 31, -(1 << 20)))
    which = rng.choice(("value", "echo"))
    options = tuple(
        replace(one, **{which: (getattr(one, which) + change) & WORD}) if isinstance(one, Timestamps) else one
        for one in parcel.segment.options
    )
    return _with_options(parcel, options)


def _forge(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    """One more segment with this one's addresses and options, but other flags and numbers."""
    segment = parcel.segment
    numbers = (0, 0, 0, 1, -1, 300, -300, 70_000, 1 << 31, rng.getrandbits(32))
    forged = replace(
        segment,
        flags=rng.choice((ACK, ACK, ACK | FIN, RST, RST | ACK, SYN, SYN | ACK, 0, SYN | FIN, ACK | PSH)),
        seq=(segment.seq + segment.seq_length + rng.choice(numbers)) & WORD,
        ack=(segment.ack + rng.choice(numbers)) & WORD,
        payload=rng.randbytes(rng.choice((0, 0, 0, 1, 300))),
        cut=0,
    )
    return [parcel, parcel.copy(forged, rng.randrange(20 * MILLISECOND), "forged")]


def _alias(rng: random.Random, parcel: Parcel, memory: Memory) -> list[Parcel]:
    """The same segment once more, from another port."""
    segment = parcel.segment
    other = replace(segment, sport=(segment.sport + rng.choice((1, 7, 500))) & 0xFFFF or 1, cut=0)
    return [parcel, parcel.copy(other, rng.randrange(20 * MILLISECOND), "from another port")]


N, OPT, C = Kind.NETWORK, Kind.OPTIONS, Kind.CONTENT
JOINS = (MpJoinSyn, MpJoinSynAck, MpJoinAck)
FAULTS: dict[str, Fault] = {
    "drop": Fault(N, "lose a packet", _drop, loses=True),
    "corrupt": Fault(N, "flip a bit, so that the TCP checksum fails", _corrupt, loses=True),
    "delay": Fault(N, "delay a packet by up to 1.5 s", _delay),
    "reorder": Fault(N, "delay a packet by up to 12 ms, so that others overtake it", _reorder),
    "duplicate": Fault(N, "deliver one to three more copies within 50 ms", _duplicate),
    "replay": Fault(N, "deliver another copy 0.2 to 20 s later", _replay),
    "split": Fault(N, "cut a segment into parts, options on each", _split("all")),
    "merge": Fault(N, "join two segments whose options are equal", _merge(N)),
    "truncate": Fault(N, "cut a segment in two and lose one part", _truncate),
    "strip_mptcp": Fault(OPT, "remove all MPTCP options", _strip(MptcpOption)),
    "strip_dss": Fault(OPT, "remove the DSS", _strip(Dss)),
    "strip_capable": Fault(OPT, "remove MP_CAPABLE", _strip(MpCapable)),
    "strip_join": Fault(OPT, "remove MP_JOIN", _strip(*JOINS)),
    "strip_addresses": Fault(OPT, "remove ADD_ADDR and REMOVE_ADDR", _strip(AddAddr, RemoveAddr)),
    "strip_timestamps": Fault(OPT, "remove TCP timestamps", _strip(Timestamps)),
    "strip_sack": Fault(OPT, "remove SACK blocks and SACK permitted", _strip(Sack, SackPermitted)),
    "strip_any": Fault(OPT, "remove one option", _strip_any),
    "cut": Fault(OPT, "cut the option block short", _cut),
    "split_first": Fault(OPT, "cut a segment, MPTCP options on the first part only", _split("first")),
    "split_last": Fault(OPT, "cut a segment, MPTCP options on the last part only", _split("last")),
    "merge_lossy": Fault(OPT, "join two segments, options of the second lost", _merge(OPT)),
    "move": Fault(OPT, "put MPTCP options on the next packet that is hit", _move),
    "repeat": Fault(OPT, "add an MPTCP option of an earlier packet", _repeat),
    "unknown": Fault(OPT, "add an unknown option", _unknown),
    "shuffle": Fault(OPT, "change the order of the options", _shuffle),
    "payload": Fault(C, "change one byte of the payload", _payload),
    "option_bits": Fault(C, "flip bits of the options", _bits(None, None)),
    "header_bits": Fault(C, "flip bits of sequence numbers, flags or window", _bits(4, 16)),
    "timestamps": Fault(C, "change a timestamp", _stamps),
    "forge": Fault(C, "add a segment with other flags and numbers", _forge),
    "alias": Fault(C, "add a copy from another port", _alias),
}
