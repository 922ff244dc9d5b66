"""A network address translator: flows from inside get a port of its own, and what comes back finds them.

Decides which port, and when a flow gets another one (`rebind`): the peer then sees the same connection
come from a place it does not know, and what it sends to the old one is dropped. Inside is where the box's
direction begins. Read first: RFC 5382 §4, §5, RFC 8684 §3.2 (address IDs: why joins survive a NAT).
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, replace
from typing import ClassVar

from testbed.link.boxes.box import MOST_FLOWS, Box, Flow, Key, Sent, Way
from testbed.link.boxes.values import address, count
from testbed.mptcp.wire import Segment
from testbed.units import parse_time

LAST_PORT = 65_535


@dataclass(slots=True)
class _Binding:
    inside: tuple[bytes, int]
    outside: tuple[bytes, int]
    since: int
    old: bool = False  # has been bound anew


class Nat(Box):
    meaning = "translates the ports, and with address= the addresses, of what comes from inside"
    keys: ClassVar[dict[str, Key]] = {
        "address": Key(address, None, "the address outside; left out: the host's own"),
        "port": Key(count(1, LAST_PORT, "a port"), 40_000, "the first port given out"),
        "rebind": Key(parse_time, None, "so long after a flow began it gets another port, once"),
    }

    def __init__(
        self,
        way: Way,
        rng: random.Random,
        address: str | None = None,
        port: int = 40_000,
        rebind: int | None = None,
    ) -> None:
        super().__init__(way, rng)
        self._address = None if address is None else ipaddress.ip_address(address).packed
        self._first, self._rebind = port, rebind
        self._next = port
        self._bindings: dict[Flow, _Binding] = {}
        self._flows: dict[tuple[tuple[bytes, int], tuple[bytes, int]], Flow] = {}  # outside end, far end

    def pass_on(self, now: int, way: Way, segment: Segment) -> Sent:
        if way == self.way:
            binding = self._binding(now, self.flow(way, segment))
            src, sport = binding.outside
            return [(way, replace(segment, src=src, sport=sport, cut=segment.cut))]
        flow = self._flows.get(((segment.dst, segment.dport), (segment.src, segment.sport)))
        if flow is None:
            return []
        dst, dport = flow.near
        return [(way, replace(segment, dst=dst, dport=dport, cut=segment.cut))]

    def _binding(self, now: int, flow: Flow) -> _Binding:
        binding = self._bindings.get(flow)
        if binding is None:
            while len(self._bindings) >= MOST_FLOWS:
                self._forget(next(iter(self._bindings)))
            binding = self._bindings[flow] = _Binding(flow.near, self._outside(flow), now)
            self._flows[binding.outside, flow.far] = flow
        elif self._rebind is not None and not binding.old and now - binding.since >= self._rebind:
            del self._flows[binding.outside, flow.far]
            binding.outside, binding.old = self._outside(flow), True
            self._flows[binding.outside, flow.far] = flow
        return binding

    def _outside(self, flow: Flow) -> tuple[bytes, int]:
        """The next port that is free towards this peer."""
        here = flow.near[0] if self._address is None else self._address
        for _ in range(LAST_PORT):
            place = here, self._next
            self._next = self._next + 1 if self._next < LAST_PORT else self._first
            if (place, flow.far) not in self._flows:
                break
        return place

    def _forget(self, flow: Flow) -> None:
        binding = self._bindings.pop(flow)
        self._flows.pop((binding.outside, flow.far), None)
