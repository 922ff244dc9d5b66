"""The network of a NetPlan in virtual time: one event queue, nodes, and the link model on every wire.

Decides in which order things happen: by time, and at the same nanosecond in the order in which they were
caused. Routers forward by the plan's routes, the ones that a lab installs. Knows hosts through four calls
(segment in, timer in, segment out, next deadline) and nothing of protocols.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING

from testbed.errors import UserError
from testbed.link import WAYS, Link, Way, flip_bit
from testbed.link import Packet as LinkPacket
from testbed.mptcp.wire.segment import Segment, Undecodable, decode, encode
from testbed.workloads import packed
from testbed.workloads.host import Host
from testbed.workloads.path_rows import address_text

if TYPE_CHECKING:
    from testbed.plan.values import NetPlan

CaptureSink = Callable[[int, str, str, Segment, "str | None"], None]

ETHERNET_HEADER = 14
HOP_LIMIT = 64


class SimPacket:
    """A segment on its way. `hops` counts routers."""

    __slots__ = ("frame_length", "hops", "value")

    def __init__(self, value: Segment) -> None:
        self.value = value
        self.frame_length = value.length + ETHERNET_HEADER
        self.hops = 0

    def segment(self) -> Segment | None:
        return self.value

    def corrupted(self, where: float) -> SimPacket:
        return Damaged(self.value, flip_bit(encode(self.value), where))


class Damaged(SimPacket):
    """A packet with flipped bits: `data`. Of `value`, which was sent, the addresses still hold."""

    __slots__ = ("data",)

    def __init__(self, value: Segment, data: bytes) -> None:
        super().__init__(value)
        self.data = data

    def segment(self) -> Segment | None:
        """What a link can read of it, as a wire does: without looking at checksums."""
        decoded = decode(self.data, verify=False)
        return decoded if isinstance(decoded, Segment) else None

    def corrupted(self, where: float) -> SimPacket:
        return Damaged(self.value, flip_bit(self.data, where))


class Wire:
    """One direction of a link and the node at its end. `offer` is None where the whole link must be asked."""

    __slots__ = ("link", "offer", "way", "where_to")

    def __init__(self, link: Link, way: Way, where_to: Node) -> None:
        self.link = link
        self.way = way
        self.offer = link.directions[way].offer if link.plain else None
        self.where_to = where_to


class Node:
    """`host` is None on routers; `link` is there on none but the stand-in for a link that has deadlines.
    `armed`: the earliest deadline that is on the event queue. `silent`: what comes here ends here."""

    __slots__ = ("addresses", "armed", "host", "link", "name", "routes", "silent")

    def __init__(self, name: str) -> None:
        self.name = name
        self.host: Host | None = None
        self.link: Link | None = None
        self.addresses: frozenset[bytes] = frozenset()
        self.routes: dict[tuple[bytes, bytes], Wire | None] = {}
        self.armed: int | None = None
        self.silent = False


Entry = tuple[int, int, Node, SimPacket | None]  # no packet: a timer


class Network:
    """`lost`: packets that no link dropped but that found no way: no route, no host, too many hops."""

    def __init__(self, plan: NetPlan, seed: int, capture: CaptureSink | None, through_bytes: bool) -> None:
        self.now = 0
        self.in_flight = 0
        self.lost: dict[str, int] = {}
        self._plan = plan
        self._capture = capture
        self._through_bytes = through_bytes
        self._queue: list[Entry] = []
        self._order = 0
        self.nodes = {node.name: Node(node.name) for node in plan.nodes}
        self.wires: dict[tuple[str, str], Wire] = {}
        self.links: list[Link] = []
        self._clocks: dict[str, Node] = {}  # by link: what stands for it on the event queue
        for each in plan.links:
            link = Link(each.name, each.forward, each.backward, seed, _made, self._watch(each.name))
            self.links.append(link)
            clock = self._clocks[each.name] = Node(each.name)
            clock.link = link
            for way in WAYS:
                self.wires[each.name, way] = Wire(link, way, self.nodes[each.end(way).node])

    def place(self, host: Host) -> None:
        """Puts a host on the node of its name."""
        plan = self._plan
        node = self.nodes[plan.node(host.name).name]
        there = plan.addresses(host.name)
        for text in host.spec.addresses:
            if text not in there:
                raise UserError(f"host {host.name} has no address {text}; it has {', '.join(there)}")
        node.host = host
        node.addresses = frozenset(map(packed, there))

    def silence(self, name: str) -> None:
        """A host neither hears nor sends anything any more."""
        self.nodes[name].silent = True

    def start(self) -> None:
        for node in self.nodes.values():
            if node.host is not None:
                node.host.start(self.now)
                self._settle(node, node.host)

    def run(self, finished: Callable[[], bool], until: int | None) -> None:
        """Until `finished` (asked after every event at a host), or no event is left before `until`."""
        queue = self._queue
        pop = heapq.heappop
        if finished():
            return
        while queue and (until is None or queue[0][0] <= until):
            now, _, node, packet = pop(queue)
            self.now = now
            host = node.host
            if packet is not None:
                self.in_flight -= 1
                if node.silent:
                    if finished():
                        return
                    continue
                if host is None or packet.value.dst not in node.addresses:
                    self._pass_on(node, packet)
                    continue
                if isinstance(packet, Damaged):
                    self._receive_damaged(host, packet)
                else:
                    host.handle_segment(now, packet.value)
            elif host is not None and now == node.armed and not node.silent:
                node.armed = None
                host.handle_timeout(now)
            elif node.link is not None and now == node.armed:
                node.armed = None
                self._deliver(node.link, node.link.timeout(now))
                continue
            else:
                continue
            self._settle(node, host)
            if finished():
                return

    def _receive_damaged(self, host: Host, packet: Damaged) -> None:
        decoded = decode(packet.data)
        if isinstance(decoded, Segment):
            host.handle_segment(self.now, decoded)
        else:
            host.count_undecodable()

    def _settle(self, node: Node, host: Host) -> None:
        """Sends what the host has to send; queues its next deadline, unless an earlier one is queued."""
        now = self.now
        poll_transmit = host.poll_transmit
        while (segment := poll_transmit(now)) is not None:
            if self._through_bytes:
                decoded = decode(encode(segment))
                assert not isinstance(decoded, Undecodable), decoded.why
                segment = decoded
            self._send(node, SimPacket(segment))
        deadline = host.poll_timeout()
        if deadline is not None and (node.armed is None or deadline < node.armed):
            self._arm(node, max(deadline, now))

    def _arm(self, node: Node, deadline: int) -> None:
        node.armed = deadline
        self._order += 1
        heapq.heappush(self._queue, (deadline, self._order, node, None))

    def _pass_on(self, node: Node, packet: SimPacket) -> None:
        packet.hops += 1
        if node.host is not None:
            self._lose(f"{node.name} is no router")
        elif packet.hops >= HOP_LIMIT:
            self._lose(f"hop limit exceeded at {node.name}")
        else:
            self._send(node, packet)

    def _send(self, node: Node, packet: SimPacket) -> None:
        segment = packet.value
        key = (segment.src, segment.dst)
        try:
            wire = node.routes[key]
        except KeyError:
            wire = node.routes[key] = self._route(node, *key)
        if wire is None:
            self._lose(f"{node.name} has no route to {address_text(segment.dst)}")
            return
        if wire.offer is None:
            self._deliver(wire.link, wire.link.offer(self.now, wire.way, packet))
            return
        for at, delivered in wire.offer(self.now, packet):
            self._order += 1
            self.in_flight += 1
            assert isinstance(delivered, SimPacket)
            heapq.heappush(self._queue, (at, self._order, wire.where_to, delivered))

    def _deliver(self, link: Link, deliveries: list[tuple[int, Way, LinkPacket]]) -> None:
        """What a whole link lets out, at either end; and its next deadline."""
        for at, way, delivered in deliveries:
            self._order += 1
            self.in_flight += 1
            assert isinstance(delivered, SimPacket)
            heapq.heappush(self._queue, (at, self._order, self.wires[link.name, way].where_to, delivered))
        deadline = link.deadline()
        clock = self._clocks[link.name]
        if deadline is not None and (clock.armed is None or deadline < clock.armed):
            self._arm(clock, max(deadline, self.now))

    def _watch(self, link: str) -> Callable[[int, Way, LinkPacket, str | None], None] | None:
        """Tells the capture what enters a link, and what becomes of it there."""
        capture = self._capture
        if capture is None:
            return None

        def watch(now: int, way: Way, packet: LinkPacket, cause: str | None) -> None:
            assert isinstance(packet, SimPacket)
            capture(now, link, way, packet.segment() or packet.value, cause)

        return watch

    def _route(self, node: Node, source: bytes, destination: bytes) -> Wire | None:
        hop = self._plan.next_hop(node.name, address_text(source), address_text(destination))
        return None if hop is None else self.wires[hop]

    def _lose(self, why: str) -> None:
        self.lost[why] = self.lost.get(why, 0) + 1


def _made(way: Way, segment: Segment) -> SimPacket:
    """A packet of what a middlebox made."""
    return SimPacket(segment)
