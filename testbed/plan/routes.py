"""Who sends a packet where: routes for every node of a plan.

Decides the routing of all ways of running alike. A host sends from each of its addresses through the router
on that address's own link, or straight to the host at its other end (a policy rule per source), so that a
path is what its name says. Routers, and hosts whose packet names no source, reach a host's address by the
fewest hops, through the link that carries the address where they can and otherwise through any link of that
host, since hosts accept packets for all their addresses on all their interfaces. Hosts never forward. Knows
nothing of shaping.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from testbed.plan.values import InterfacePlan, LinkPlan, NodePlan, RoutePlan


def routes_for(nodes: Sequence[NodePlan], links: Sequence[LinkPlan]) -> tuple[RoutePlan, ...]:
    """All routes that do not follow from the interfaces' own networks."""
    roles = {node.name: node.role for node in nodes}
    sides: dict[str, list[tuple[InterfacePlan, InterfacePlan]]] = {node.name: [] for node in nodes}
    for link in links:
        sides[link.a.node].append((link.a, link.b))
        sides[link.b.node].append((link.b, link.a))
    routes: list[RoutePlan] = []
    for node in nodes:
        own = [] if node.role == "router" else _source_routes(node.name, roles, sides)
        everything = {(route.via, route.interface) for route in own if route.source is None}
        nearest = _nearest_routes(node.name, roles, sides)
        routes += own
        routes += (route for route in nearest if (route.via, route.interface) not in everything)
    return tuple(routes)


def _source_routes(
    name: str, roles: Mapping[str, str], sides: Mapping[str, Sequence[tuple[InterfacePlan, InterfacePlan]]]
) -> list[RoutePlan]:
    routes: list[RoutePlan] = []
    defaults: set[int] = set()  # IP versions that have one
    for mine, far in sides[name]:
        for text in mine.addresses:
            own = ipaddress.ip_interface(text)
            via = _in_network(far, own.network)
            if via is None:
                continue
            source = str(own.ip)
            routes.append(RoutePlan(name, str(own.network), None, mine.name, source))
            if roles[far.node] != "router":
                routes.extend(
                    RoutePlan(name, destination, via, mine.name, source)
                    for destination in _further(sides[far.node], own.network)
                )
                continue
            everything = "0.0.0.0/0" if own.version == 4 else "::/0"
            routes.append(RoutePlan(name, everything, via, mine.name, source))
            if own.version not in defaults:
                defaults.add(own.version)
                routes.append(RoutePlan(name, everything, via, mine.name))
    return routes


def _further(
    sides: Sequence[tuple[InterfacePlan, InterfacePlan]],
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> list[str]:
    """A host's addresses of this family outside the network, as destinations."""
    addresses = [ipaddress.ip_address(text) for end, _ in sides for text in end.hosts]
    return [
        f"{address}/{address.max_prefixlen}"
        for address in addresses
        if address.version == network.version and address not in network
    ]


def _nearest_routes(
    name: str, roles: Mapping[str, str], sides: Mapping[str, Sequence[tuple[InterfacePlan, InterfacePlan]]]
) -> list[RoutePlan]:
    # Breadth first over routers. first: router -> the own and far interface of the first hop towards it
    first: dict[str, tuple[InterfacePlan, InterfacePlan]] = {}
    distance = {name: 0}
    queue = [name]
    arrivals: dict[str, list[tuple[int, InterfacePlan, tuple[InterfacePlan, InterfacePlan]]]] = {}
    for here in queue:
        for mine, far in sides[here]:
            hop = first[here] if here != name else (mine, far)
            if roles[far.node] != "router":
                arrivals.setdefault(far.node, []).append((distance[here], far, hop))
            elif far.node not in distance:
                distance[far.node] = distance[here] + 1
                first[far.node] = hop
                queue.append(far.node)
    routes: list[RoutePlan] = []
    local = [ipaddress.ip_interface(text).network for mine, _ in sides[name] for text in mine.addresses]
    for ways in arrivals.values():
        host = ways[0][1].node
        for end, _ in sides[host]:
            for text in end.addresses:
                address = ipaddress.ip_interface(text).ip
                if any(address.version == network.version and address in network for network in local):
                    continue
                carrying = [way for way in ways if way[1].name == end.name] or ways
                _, _, (mine, far) = min(carrying, key=lambda way: way[0])
                via = _same_version(mine, far, address.version)
                if via is not None:
                    routes.append(RoutePlan(name, f"{address}/{address.max_prefixlen}", via, mine.name))
    return routes


def _in_network(end: InterfacePlan, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str | None:
    for text in end.hosts:
        address = ipaddress.ip_address(text)
        if address.version == network.version and address in network:
            return text
    return None


def _same_version(mine: InterfacePlan, far: InterfacePlan, version: int) -> str | None:
    for text in mine.addresses:
        own = ipaddress.ip_interface(text)
        if own.version == version and (via := _in_network(far, own.network)) is not None:
            return via
    return None
