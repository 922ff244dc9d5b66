"""The adversarial network between two endpoints, on one virtual clock.

Decides which packets a fault hits and when what comes out of it arrives. A hit follows from the case's seed,
the fault, the direction and the packet's number alone, so that `only` can name a few hits of a run and leave
the others out. Losses are bounded: never more than MAX_LOST packets in a row of one direction of a
path, outages aside. Read first: tests/pair.py, faults.py.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from testbed.link import Direction, stream
from testbed.mptcp.wire import Segment
from testbed.mptcp.wire.offload import parts
from tests.fuzz.case import MILLISECOND, SECOND, Acting, Case
from tests.fuzz.faults import FAULTS, Kind, Memory, Parcel, merged
from tests.pair import Crossing, Frame, Pair, Side

MAX_LOST = 2
MAX_AT_ONCE = 4_000  # packets of one end at one instant

Hit = tuple[str, str, int]  # fault, direction ("up" or "down"), number of the packet in that direction from 1
Flow = tuple[bytes, int, bytes, int]


class Livelock(AssertionError):
    """Packets or timers without end."""


def mixed(*numbers: int) -> int:
    """64 bits that look random and follow from `numbers` (splitmix64)."""
    state = 0
    for number in numbers:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & 0xFFFF_FFFF_FFFF_FFFF
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFF_FFFF_FFFF_FFFF
        state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFF_FFFF_FFFF_FFFF
        state ^= state >> 31
    return state


class Network(Pair):
    """A Pair whose packets meet the case's faults. `hits` lists what acted, in order; `plan` calls later.

    `only`: the hits that act; None: all that the case draws. `watch(way, segment)` sees what endpoints send.
    """

    def __init__(
        self,
        case: Case,
        only: frozenset[Hit] | None = None,
        watch: Callable[[str, Segment], None] | None = None,
    ) -> None:
        self.case, self.only, self.watch = case, only, watch
        self.hits: list[Hit] = []
        self.faults: tuple[Acting, ...] = ()  # none until `begin`
        self.gone: set[bytes] = set()  # addresses without a host now
        self.memories: list[dict[Flow, Memory]] = [{} for _ in case.faults]
        self.lost_in_a_row: dict[tuple[bytes, bytes], int] = {}
        self.last: dict[Flow, tuple[int, Frame]] = {}  # arrival and frame, to merge with
        self.planned: list[tuple[int, int, Callable[[], None]]] = []
        self.sent = 0
        super().__init__(
            client=case.client,
            server=case.server,
            seed=case.seed,
            client_addresses=case.client_addresses,
            server_addresses=case.server_addresses,
            start=1_000 * SECOND,
        )
        self.began = self.now

    def begin(self) -> None:
        """Faults and outages act from now on; packets count from 1."""
        self.faults, self.began = self.case.faults, self.now
        self.counted = {"up": 0, "down": 0}

    def plan(self, at: int, action: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.planned, (max(at, self.now), self.order, action))

    # -- time ---------------------------------------------------------------------------------------------

    def _next(self) -> int | None:
        moment = super()._next()
        if self.planned:
            first = max(self.now, self.planned[0][0])
            return first if moment is None else min(moment, first)
        return moment

    def _step(self, moment: int) -> None:
        if self.planned and self.planned[0][0] <= moment:
            self.now = moment
            _, _, action = heapq.heappop(self.planned)
            action()
            self.settle(self.client)
            self.settle(self.server)
            return
        super()._step(moment)

    def advance(self, deadline: int) -> bool:
        """One step, where there is one until `deadline`."""
        moment = self._next()
        if moment is None or moment > deadline:
            return False
        self._step(moment)
        return True

    def settle(self, side: Side) -> None:
        side.take_events()
        before = self.sent
        while (segment := side.endpoint.poll_transmit(self.now)) is not None:
            for part in parts(segment):
                self._transmit(part)
            if self.sent - before > MAX_AT_ONCE:
                raise Livelock(f"{side.name} sends more than {MAX_AT_ONCE} packets at one instant")
        side.take_events()
        side.armed = side.endpoint.poll_timeout()

    # -- packets ------------------------------------------------------------------------------------------

    def _transmit(self, segment: Segment) -> None:
        segment = self._through(segment).value
        way = "up" if segment.src in self.client.addresses else "down"
        target = self.server if way == "up" else self.client
        self.counted[way] += 1
        self.sent += 1
        crossing = Crossing(self.now, way, segment, "")
        self.crossings.append(crossing)
        if self.watch is not None:
            self.watch(way, segment)
        if segment.dst not in target.addresses or {segment.src, segment.dst} & self.gone:
            self._fate(crossing, "dropped: no host has the address")
            return
        path = self._path(way, segment)
        if self._out(way, segment):
            self._fate(crossing, "dropped: outage")
            return
        parcels = [Parcel(segment)]
        pair = (segment.src, segment.dst)
        for index, acting in enumerate(self.faults):
            number = self.counted[way]
            if not parcels or not self._hits(index, acting, way, path, number):
                continue
            fault = FAULTS[acting.name]
            if fault.loses and self.only is None and self.lost_in_a_row.get(pair, 0) >= MAX_LOST:
                continue
            rng = random.Random(mixed(self.case.seed, index, way == "up", number, 7))
            flow = (segment.src, segment.sport, segment.dst, segment.dport)
            memory = self.memories[index].setdefault(flow, {})
            before = parcels
            parcels = [out for parcel in before for out in fault.act(rng, parcel, memory)]
            changed = len(parcels) != len(before) or any(
                a.segment is not b.segment or a.delay or a.merge
                for a, b in zip(parcels, before, strict=False)
            )
            if changed:
                self.hits.append((acting.name, way, number))
                self._fate(crossing, acting.name)
        self.lost_in_a_row[pair] = 0 if parcels else self.lost_in_a_row.get(pair, 0) + 1
        for parcel in parcels:
            self._carry(way, parcel, crossing, target, segment)

    def _path(self, way: str, segment: Segment) -> int:
        """The path is that of the client's address, 0 for one that the client does not have."""
        address = segment.src if way == "up" else segment.dst
        known = self.case.client_addresses
        return known.index(address) if address in known else 0

    def _hits(self, index: int, acting: Acting, way: str, path: int, number: int) -> bool:
        if acting.way not in (way, "both") or acting.path not in (None, path) or number < acting.first:
            return False
        if self.only is not None:
            return (acting.name, way, number) in self.only
        if not acting.rate:
            return number == acting.first
        return mixed(self.case.seed, index, way == "up", number) < acting.rate * (1 << 64)

    def _out(self, way: str, segment: Segment) -> bool:
        elapsed = (self.now - self.began) // MILLISECOND
        for path, begin, end, which in self.case.outages:
            ends = (self.case.client_addresses[path], self.case.server_addresses[path])
            if begin <= elapsed < end and (segment.src in ends or segment.dst in ends):
                return which in (way, "both")
        return False

    def _carry(self, way: str, parcel: Parcel, crossing: Crossing, target: Side, sent: Segment) -> None:
        segment = parcel.segment
        flow = (segment.src, segment.sport, segment.dst, segment.dport)
        if parcel.merge is not None and self._merge(flow, parcel.merge, segment):
            self._fate(crossing, "joined with the one before")
            return
        if segment is not sent:
            note = ", ".join(parcel.notes) or "changed"
            self.crossings.append(Crossing(self.now, way, segment, f"  becomes: {note}"))
        pair = (segment.src, segment.dst)
        if pair not in self.directions:
            params = self.case.links[self._path(way, segment)]
            name = f"{way}{len(self.directions)}"
            self.directions[pair] = Direction(name, params, stream(self.seed, "link", name))
        direction = self.directions[pair]
        deliveries = direction.offer(self.now, Frame(segment, b"", segment.length + 14))
        if not deliveries:
            self._fate(crossing, f"dropped: {direction.cause}")
        for at, packet in deliveries:
            assert isinstance(packet, Frame)
            self.order += 1
            self.last[flow] = (at + parcel.delay, packet)
            heapq.heappush(self.flying, (at + parcel.delay, self.order, target, packet))

    def _merge(self, flow: Flow, kind: Kind, segment: Segment) -> bool:
        at, frame = self.last.get(flow, (0, None))
        if frame is None or at <= self.now:
            return False
        joined = merged(frame.value, segment, kind)
        if joined is None:
            return False
        frame.value = joined
        return True

    def _fate(self, crossing: Crossing, text: str) -> None:
        object.__setattr__(crossing, "fate", f"{crossing.fate}, {text}" if crossing.fate else text)
