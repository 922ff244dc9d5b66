"""Boxes that take options out of segments, or leave something else in their place.

Decides which segments and which options are meant: `on=syn` those with SYN, `on=later` all others,
`from=N` the N-th and later segments of a flow in this direction. Read first: RFC 9293 §3.1, Honda et al.
(IMC 2011).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from testbed.link.boxes.box import Box, Flows, Key, Sent, Way
from testbed.link.boxes.values import count, one_of
from testbed.mptcp.wire import (
    SYN,
    AddAddr,
    Dss,
    FastOpen,
    MaximumSegmentSize,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MpTcpRst,
    Option,
    RemoveAddr,
    Sack,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)
from testbed.mptcp.wire.options import END_OF_LIST, MPTCP, NO_OPERATION, UnknownOption

_FAMILIAR = (MaximumSegmentSize, WindowScale, SackPermitted, Sack, Timestamps)  # to a box of the year 2000


def _is(*kinds: type) -> Callable[[Option], bool]:
    return lambda option: isinstance(option, kinds)


OPTIONS: dict[str, Callable[[Option], bool]] = {
    "mptcp": lambda option: option.encode()[0] == MPTCP,
    "mp_capable": _is(MpCapable),
    "mp_join": _is(MpJoinSyn, MpJoinSynAck, MpJoinAck),
    "dss": _is(Dss),
    "add_addr": _is(AddAddr),
    "remove_addr": _is(RemoveAddr),
    "mp_prio": _is(MpPrio),
    "mp_fail": _is(MpFail),
    "mp_fastclose": _is(MpFastclose),
    "mp_tcprst": _is(MpTcpRst),
    "fast_open": _is(FastOpen),
    "timestamps": _is(Timestamps),
    "sack": _is(Sack, SackPermitted),
    "window_scale": _is(WindowScale),
    "unknown": lambda option: not isinstance(option, _FAMILIAR),
    "all": lambda option: True,
}
_KEYS = {
    "option": Key(one_of(*OPTIONS), "mptcp", "which options: " + ", ".join(OPTIONS)),
    "on": Key(one_of("any", "syn", "later"), "any", "on segments with SYN, on all others, or on any"),
    "from": Key(count(1, 1 << 31, "segments"), 1, "from a flow's N-th segment of this direction on"),
}


@dataclass(frozen=True, slots=True)
class Filler(UnknownOption):
    """Bytes of kind 0 or 1 where an option was: no receiver sees it, and the header keeps its length."""

    def encode(self) -> bytes:
        return bytes((self.kind,)) + self.body


def filler(kind: int, length: int) -> Filler:
    return Filler(kind, bytes((kind,)) * (length - 1))


class Strip(Box):
    meaning = "takes options out"
    keys: ClassVar[dict[str, Key]] = _KEYS

    def __init__(
        self, way: Way, rng: random.Random, option: str = "mptcp", on: str = "any", **first: int
    ) -> None:
        super().__init__(way, rng)
        self._meant = OPTIONS[option]
        self._on = on
        self._first = first.get("from", 1)
        self._seen: Flows[list[int]] = Flows(lambda: [0])

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        if way != self.way:
            return [(way, segment)]
        seen = self._seen[self.flow(way, segment)]
        seen[0] += 1
        wrong = self._on != "any" and (self._on == "syn") is not bool(segment.flags & SYN)
        if wrong or seen[0] < self._first or not any(map(self._meant, segment.options)):
            return [(way, segment)]
        return [(way, replace(segment, options=self.changed(segment.options), cut=segment.cut))]

    def changed(self, options: tuple[Option, ...]) -> tuple[Option, ...]:
        return tuple(option for option in options if not self._meant(option))


class Replace(Strip):
    meaning = "overwrites options: with=nop, or with=eol, which hides all options behind it as well"
    keys: ClassVar[dict[str, Key]] = {
        **_KEYS,
        "with": Key(one_of("nop", "eol"), "nop", "what stands there then"),
    }

    def __init__(
        self, way: Way, rng: random.Random, option: str = "mptcp", on: str = "any", **more: int | str
    ) -> None:
        first = more.get("from", 1)
        assert isinstance(first, int)
        super().__init__(way, rng, option, on, **{"from": first})
        self._kind = END_OF_LIST if more.get("with") == "eol" else NO_OPERATION

    def changed(self, options: tuple[Option, ...]) -> tuple[Option, ...]:
        kept: list[Option] = []
        for number, option in enumerate(options):
            if not self._meant(option):
                kept.append(option)
            elif self._kind == END_OF_LIST:
                rest = sum(len(one.encode()) for one in options[number:])
                return (*kept, filler(END_OF_LIST, rest))
            else:
                kept.append(filler(NO_OPERATION, len(option.encode())))
        return tuple(kept)
