"""Boxes that cut segments and that put them together, as segmentation offload and proxies do.

Decides where the cuts are and on which part the options stay: RFC 8684 §3.3.1 wants a mapping to survive
both. Coalescing never waits longer than `wait`. Read first: RFC 6824 §3.3.1, draft-paasch-mptcp-
syncookies-02 §3.1.6, Honda et al. (IMC 2011) §4.5.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import ClassVar

from testbed.link.boxes.box import Box, Flow, Key, Sent, Way
from testbed.link.boxes.values import count, one_of
from testbed.mptcp.wire import FIN, MAX_OPTION_BYTES, PSH, RST, SYN, MpCapable, Option, Segment, Timestamps
from testbed.mptcp.wire.options import MPTCP
from testbed.mptcp.wire.sequence import seq_add
from testbed.units import parse_time

MILLISECOND = 1_000_000


class Split(Box):
    meaning = "cuts segments, options on all parts, on the first, or on the last"
    keys: ClassVar[dict[str, Key]] = {
        "size": Key(count(1, 65_000, "bytes"), 700, "payload bytes of a part"),
        "options": Key(one_of("all", "first", "last"), "all", "which parts keep MPTCP's options"),
    }

    def __init__(self, way: Way, rng: random.Random, size: int = 700, options: str = "all") -> None:
        super().__init__(way, rng)
        self._size, self._keep = size, options

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        if way != self.way or len(segment.payload) <= self._size or segment.flags & SYN:
            return [(way, segment)]
        return [(way, part) for part in parts(segment, self._size, self._keep)]


def parts(segment: Segment, size: int, keep: str) -> list[Segment]:
    """A segment in pieces; timestamps stand on each."""
    starts = range(0, len(segment.payload), size)
    plain = tuple(option for option in segment.options if not _is_mptcp(option))
    kept: range = {"all": starts, "first": starts[:1], "last": starts[-1:]}[keep]
    made = []
    for start in starts:
        last = start == starts[-1]
        made.append(
            replace(
                segment,
                seq=seq_add(segment.seq, start),
                flags=segment.flags if last else segment.flags & ~(FIN | PSH),
                options=segment.options if start in kept else plain,
                payload=segment.payload[start : start + size],
                cut=0,
            )
        )
    return made


def _is_mptcp(option: Option) -> bool:
    return option.encode()[0] == MPTCP


@dataclass(slots=True)
class _Held:
    segment: Segment
    until: int


class Coalesce(Box):
    meaning = "puts two segments of a flow together, with the options of the first, of the last, or of both"
    keys: ClassVar[dict[str, Key]] = {
        "options": Key(
            one_of("first", "last", "all", "capable", "dss"),
            "first",
            "what stays of MPTCP's options: those of one of the two, of both as far as they fit, or of both "
            "MP_CAPABLE alone or all but that",
        ),
        "size": Key(count(1, 65_000, "bytes"), 1_400, "most payload bytes of the two"),
        "wait": Key(parse_time, MILLISECOND, "how long the first is held back"),
    }

    def __init__(
        self,
        way: Way,
        rng: random.Random,
        options: str = "first",
        size: int = 1_400,
        wait: int = MILLISECOND,
    ) -> None:
        super().__init__(way, rng)
        self._size, self._keep, self._wait = size, options, wait
        self._held: dict[Flow, _Held] = {}

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        if way != self.way:
            return [(way, segment)]
        flow = self.flow(way, segment)
        held = self._held.pop(flow, None)
        plain = bool(segment.payload) and not segment.flags & (SYN | RST)
        if held is None:
            if not plain or segment.flags & FIN or len(segment.payload) >= self._size:
                return [(way, segment)]
            self._held[flow] = _Held(segment, now + self._wait)
            return []
        first = held.segment
        together = len(first.payload) + len(segment.payload)
        next_to = seq_add(first.seq, len(first.payload)) == segment.seq
        if not plain or not next_to or together > self._size:
            return [(way, first), (way, segment)]
        return [(way, self._joined(first, segment))]

    def _joined(self, first: Segment, last: Segment) -> Segment:
        times = tuple(one for one in last.options if isinstance(one, Timestamps))
        plain = [one for one in first.options if not _is_mptcp(one) and not isinstance(one, Timestamps)]
        ours: list[Option] = [one for one in first.options if _is_mptcp(one)]
        theirs: list[Option] = [one for one in last.options if _is_mptcp(one)]
        both: list[Option] = [*ours, *(one for one in theirs if one not in ours)]
        kept: dict[str, list[Option]] = {
            "first": ours,
            "last": theirs,
            "all": both,
            "capable": [one for one in both if isinstance(one, MpCapable)],
            "dss": [one for one in both if not isinstance(one, MpCapable)],
        }
        options: tuple[Option, ...] = (*times, *plain)
        for one in kept[self._keep]:
            if sum(len(other.encode()) for other in (*options, one)) <= MAX_OPTION_BYTES:
                options = (*options, one)
        return replace(
            last,
            seq=first.seq,
            flags=first.flags | last.flags,
            options=options,
            payload=first.payload + last.payload,
            cut=0,
        )

    def deadline(self) -> int | None:
        return min((held.until for held in self._held.values()), default=None)

    def timeout(self, now: int) -> Sent:
        due = [flow for flow, held in self._held.items() if held.until <= now]
        return [(self.way, self._held.pop(flow).segment) for flow in due]
