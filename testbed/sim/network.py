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
from testbed.link import Direction, stream
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

    def segment(self) -> Segment:
        return self.value


class Wire:
    """One direction of a link and the node at its end."""

    __slots__ = ("link", "model", "offer", "way", "where_to")

    def __init__(self, link: str, way: str, model: Direction, where_to: Node) -> None:
        self.link = link
        self.way = way
        self.model = model
        self.offer = model.offer
        self.where_to = where_to


class Node:
    """`host` is None on routers. `armed`: the earliest deadline that is on the event queue."""

    __slots__ = ("addresses", "armed", "host", "name", "routes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.host: Host | None = None
        self.addresses: frozenset[bytes] = frozenset()
        self.routes: dict[tuple[bytes, bytes], Wire | None] = {}
        self.armed: int | None = None


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
        for link in plan.links:
            ends = (("forward", link.forward, link.b.node), ("backward", link.backward, link.a.node))
            for way, params, where_to in ends:
                name = f"{link.name}/{way}"
                model = Direction(name, params, stream(seed, link.name, way))
                self.wires[link.name, way] = Wire(link.name, way, model, self.nodes[where_to])

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
                if host is None or packet.value.dst not in node.addresses:
                    self._pass_on(node, packet)
                    continue
                host.handle_segment(now, packet.value)
            elif host is not None and now == node.armed:
                node.armed = None
                host.handle_timeout(now)
            else:
                continue
            self._settle(node, host)
            if finished():
                return

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
            node.armed = deadline = max(deadline, now)
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
        deliveries = wire.offer(self.now, packet)
        if self._capture is not None:
            cause = None if deliveries else wire.model.cause
            self._capture(self.now, wire.link, wire.way, segment, cause)
        for at, delivered in deliveries:
            self._order += 1
            self.in_flight += 1
            assert isinstance(delivered, SimPacket)
            heapq.heappush(self._queue, (at, self._order, wire.where_to, delivered))

    def _route(self, node: Node, source: bytes, destination: bytes) -> Wire | None:
        hop = self._plan.next_hop(node.name, address_text(source), address_text(destination))
        return None if hop is None else self.wires[hop]

    def _lose(self, why: str) -> None:
        self.lost[why] = self.lost.get(why, 0) + 1
