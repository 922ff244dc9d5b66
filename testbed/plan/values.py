"""A network as plain values: what the simulator walks through and what a lab is built from.

Decides the words (node, interface, link, path, route) and how a packet finds its next link. Knows nothing
of Mininet, namespaces or clocks. A link has two directions: `forward` from its end `a` to its end `b`,
`backward` the other way. A path has two as well: `up` from the client to the server, `down` the other way.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from testbed.errors import UserError
from testbed.link import LinkParams

Role = Literal["client", "server", "router", "host"]
Direction = Literal["forward", "backward"]
Hop = tuple[str, Direction]  # (link name, direction)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class NodePlan:
    name: str
    role: Role  # routers forward; hosts of the other roles do not


@dataclass(frozen=True, slots=True)
class InterfacePlan:
    """One end of a link. `addresses` carry their prefix length, '10.0.1.1/24'; there is at least one."""

    node: str
    name: str  # 'client-eth0'
    addresses: tuple[str, ...]
    mac: str
    link: str

    @property
    def address(self) -> str:
        """The first address with its prefix length."""
        return self.addresses[0]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses without prefix length."""
        return tuple(text.split("/")[0] for text in self.addresses)


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """`shaped`: either direction does something to packets, so that a plain cable would not do."""

    name: str  # 'client-r1'; a second link between the same two is 'client-r1#2'
    a: InterfacePlan
    b: InterfacePlan
    forward: LinkParams  # a -> b
    backward: LinkParams  # b -> a
    shaped: bool

    def params(self, direction: Direction) -> LinkParams:
        return self.forward if direction == "forward" else self.backward

    def end(self, direction: Direction) -> InterfacePlan:
        """Where a packet that travels this way comes out."""
        return self.b if direction == "forward" else self.a


@dataclass(frozen=True, slots=True)
class PathPlan:
    """A pair of addresses and the links between them in the order of travel, each way."""

    name: str
    client: str
    server: str
    client_address: str  # without prefix length
    server_address: str
    up: tuple[Hop, ...]
    down: tuple[Hop, ...]

    @property
    def links(self) -> tuple[Hop, ...]:
        return self.up


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """`source`: the route is for packets from this address only (a policy rule); None: for all.

    `via` None: the destination is on the link itself.
    """

    node: str
    destination: str  # '10.1.1.1/32', '0.0.0.0/0'
    via: str | None
    interface: str
    source: str | None = None


@dataclass(frozen=True)
class NetPlan:
    """A whole network. Every lookup raises UserError with the names there are."""

    name: str
    nodes: tuple[NodePlan, ...]
    links: tuple[LinkPlan, ...]
    paths: tuple[PathPlan, ...]
    routes: tuple[RoutePlan, ...]
    parameters: dict[str, object] = field(default_factory=dict)  # the topology's, as asked for

    @cached_property
    def _nodes(self) -> dict[str, NodePlan]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _links(self) -> dict[str, LinkPlan]:
        return {link.name: link for link in self.links}

    @cached_property
    def _interfaces(self) -> dict[str, tuple[InterfacePlan, ...]]:
        found: dict[str, list[InterfacePlan]] = {node.name: [] for node in self.nodes}
        for link in self.links:
            found[link.a.node].append(link.a)
            found[link.b.node].append(link.b)
        return {name: tuple(ends) for name, ends in found.items()}

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {
            address: end.node for ends in self._interfaces.values() for end in ends for address in end.hosts
        }

    @cached_property
    def _hops(self) -> dict[tuple[str, str, str], Hop | None]:
        return {}

    def node(self, name: str) -> NodePlan:
        try:
            return self._nodes[name]
        except KeyError:
            raise UserError(f"{self.name} has no node {name!r}; there are {', '.join(self._nodes)}") from None

    def link(self, name: str) -> LinkPlan:
        try:
            return self._links[name]
        except KeyError:
            raise UserError(f"{self.name} has no link {name!r}; there are {', '.join(self._links)}") from None

    def path(self, name: str) -> PathPlan:
        for path in self.paths:
            if path.name == name:
                return path
        names = ", ".join(path.name for path in self.paths)
        raise UserError(f"{self.name} has no path {name!r}; there are {names}")

    def only(self, role: Role) -> NodePlan:
        """The one node of this role."""
        found = [node for node in self.nodes if node.role == role]
        if len(found) != 1:
            names = ", ".join(node.name for node in found) or "none"
            raise UserError(f"{self.name}: one {role} is expected, there are: {names}")
        return found[0]

    def interfaces(self, node: str) -> tuple[InterfacePlan, ...]:
        """A node's interfaces in the order of its links."""
        return self._interfaces[self.node(node).name]

    def addresses(self, node: str) -> tuple[str, ...]:
        """A node's addresses without prefix length, in path order."""
        return tuple(address for end in self.interfaces(node) for address in end.hosts)

    def owner(self, address: str) -> str | None:
        """The node that has this address."""
        return self._owners.get(address)

    def path_of(self, address: str) -> PathPlan:
        """The first path that begins or ends at this address."""
        for path in self.paths:
            if address in (path.client_address, path.server_address):
                return path
        ends = ", ".join(f"{path.client_address} - {path.server_address}" for path in self.paths)
        raise UserError(f"address {address} lies on no path of {self.name}; the paths are {ends}")

    def next_hop(self, node: str, source: str, destination: str) -> Hop | None:
        """The link that `node` sends a packet into; None where it has no route.

        The order is the kernel's in a lab: the routes of the source's rule first, then the interfaces' own
        networks and the routes for all; in each, the longest prefix.
        """
        key = (node, source, destination)
        if key not in self._hops:
            self._hops[key] = self._look_up(*key)
        return self._hops[key]

    def _look_up(self, node: str, source: str, destination: str) -> Hop | None:
        target = ipaddress.ip_address(destination)
        for rule in (source, None):
            best: tuple[int, str] | None = None
            for network, interface in self._tables.get((node, rule), ()):
                if _within(target, network) and (best is None or network.prefixlen > best[0]):
                    best = (network.prefixlen, interface)
            if best is not None:
                return self._outward(node, best[1])
        return None

    @cached_property
    def _tables(self) -> dict[tuple[str, str | None], list[tuple[_Network, str]]]:
        tables: dict[tuple[str, str | None], list[tuple[_Network, str]]] = {}
        for name, ends in self._interfaces.items():
            for end in ends:
                for address in end.addresses:
                    network = ipaddress.ip_interface(address).network
                    tables.setdefault((name, None), []).append((network, end.name))
        for route in self.routes:
            entry = (ipaddress.ip_network(route.destination), route.interface)
            tables.setdefault((route.node, route.source), []).append(entry)
        return tables

    def _outward(self, node: str, interface: str) -> Hop:
        end = next(end for end in self._interfaces[node] if end.name == interface)
        return end.link, "forward" if self._links[end.link].a == end else "backward"


def _within(address: _Address, network: _Network) -> bool:
    return address.version == network.version and address in network
