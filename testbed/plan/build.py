"""A mininet.topo.Topo -> a NetPlan.

Decides names, roles, addresses, hardware addresses and paths: addresses come from a link's params1 and
params2, `ip` and `ip6` (or a host's own `ip`, as in plain Mininet), and what has none gets one. A path
joins the client's i-th address to the server's i-th, or to the server's last where it has fewer;
`path='wifi'` on the client's link names it. Routing is in routes.py, link parameters in shaping.py. Knows
nothing of how a plan is run.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from testbed.errors import UserError
from testbed.link import LinkParams
from testbed.plan.mininet_topo import Topo
from testbed.plan.routes import routes_for
from testbed.plan.shaping import is_shaped, params_from
from testbed.plan.values import Hop, InterfacePlan, LinkPlan, NetPlan, NodePlan, PathPlan, Role
from testbed.terminal import shown

_ROLES: tuple[Role, ...] = ("client", "server", "router", "host")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PATH = re.compile(r"[\w.-]{1,40}")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_LONGEST_INTERFACE = 15  # bytes, the kernel's IFNAMSIZ less one
_POOL = ipaddress.ip_network("10.0.0.0/8")


def plan_from(topo: Topo, name: str = "", parameters: Mapping[str, object] | None = None) -> NetPlan:
    """UserError where the topology has no meaning here, naming the file, if any, and the node or link."""
    try:
        return _plan_from(topo, name, parameters)
    except UserError as error:
        file = getattr(topo, "plan_file", None)
        raise UserError(f"{file}: {error}" if file else str(error)) from None


def _plan_from(topo: Topo, name: str, parameters: Mapping[str, object] | None) -> NetPlan:
    name = name or getattr(topo, "plan_name", "") or type(topo).__name__
    parameters = parameters if parameters is not None else getattr(topo, "plan_parameters", {})
    nodes = _nodes(topo)
    links = _links(topo, nodes)
    plan = NetPlan(name, nodes, links, (), routes_for(nodes, links), dict(parameters))
    paths = _paths(plan, _path_names(topo))
    if not paths:
        raise UserError("no path joins a client to a server: both need an address of one family on a link")
    return replace(plan, paths=paths)


def _nodes(topo: Topo) -> tuple[NodePlan, ...]:
    roles: dict[str, Role] = {}
    for node in topo.g.nodes():  # in the order of addHost
        info = topo.nodeInfo(node)
        if not isinstance(node, str) or not _NAME.fullmatch(node):
            raise UserError(f"node {shown(node)}: expected a name of letters, digits, - and _")
        if info.get("isSwitch"):
            raise UserError(
                f"node {node}: switches are not supported; addHost with role='router' makes a router"
            )
        role = info.get("role", node if node in ("client", "server") else "host")
        if role not in _ROLES:
            raise UserError(f"node {node}: role {shown(role)} is unknown; there are {', '.join(_ROLES)}")
        roles[node] = role
    spare = [node for node, role in roles.items() if role == "host"]
    missing = [role for role in ("client", "server") if role not in roles.values()]
    if len(missing) == 2 and len(spare) == 2:
        roles[spare[0]], roles[spare[1]] = "client", "server"
    elif missing:
        raise UserError(
            f"no node is a {missing[0]}; give one role={missing[0]!r} in addHost (nodes: {', '.join(roles)})"
        )
    return tuple(NodePlan(node, role) for node, role in roles.items())


def _links(topo: Topo, nodes: tuple[NodePlan, ...]) -> tuple[LinkPlan, ...]:
    infos = _infos(topo, {node.name: position for position, node in enumerate(nodes)})
    texts = [_texts(topo, info) for info in infos]
    taken: dict[str, str] = {}
    networks = [ipaddress.ip_interface(text).network for pair in texts for side in pair for text in side]
    links: list[LinkPlan] = []
    names: set[str] = set()
    for index, (info, pair) in enumerate(zip(infos, texts, strict=True)):
        base = f"{info['node1']}-{info['node2']}"
        count = sum(name == base or name.startswith(base + "#") for name in names)
        name = base if not count else f"{base}#{count + 1}"
        names.add(name)
        pair = _allocate(name, pair, networks, taken)
        ends = []
        for side, addresses in zip((1, 2), pair, strict=True):
            node = info[f"node{side}"]
            interface = info.get(f"intfName{side}") or f"{node}-eth{info[f'port{side}']}"
            if len(interface) > _LONGEST_INTERFACE:
                raise UserError(
                    f"link {name}: interface {interface} has more than {_LONGEST_INTERFACE} letters; "
                    "shorten the node's name"
                )
            for text in addresses:
                host = text.split("/")[0]
                if host in taken:
                    raise UserError(f"address {host} stands at both {taken[host]} and {interface}")
                taken[host] = interface
            mac = info.get(f"addr{side}") or f"02:00:00:{index >> 8:02x}:{index & 255:02x}:{side:02x}"
            ends.append(InterfacePlan(node, interface, addresses, mac, name))
        forward, backward = (_params(name, info, side) for side in (1, 2))
        links.append(
            LinkPlan(name, ends[0], ends[1], forward, backward, is_shaped(forward) or is_shaped(backward))
        )
    return tuple(links)


def _infos(topo: Topo, order: Mapping[str, int]) -> list[dict[str, Any]]:
    """Link options, sorted so that a node's links come in the order of its ports."""
    found = [_checked(info) for _, _, info in topo.iterLinks(withInfo=True)]
    return sorted(found, key=lambda info: (order[info["node1"]], info["port1"], order[info["node2"]]))


def _checked(info: Mapping[str, Any]) -> dict[str, Any]:
    """A link's options, those that name and place its ends of the types that they must have."""
    link = f"link {info['node1']}-{info['node2']}"
    for side in (1, 2):
        for key, kinds, expected in (
            (f"port{side}", int, "a whole number"),
            (f"params{side}", Mapping | None, "a dictionary such as {'ip': '10.0.1.1/24'}"),
            (f"intfName{side}", str | None, "a name such as 'client-eth0'"),
            (f"addr{side}", str | None, "an address such as '02:00:00:00:00:01'"),
        ):
            if not isinstance(info.get(key), kinds):
                raise UserError(f"{link}: {key}: expected {expected}, not {shown(info.get(key))}")
        name, mac = info.get(f"intfName{side}"), info.get(f"addr{side}")
        if name is not None and not _INTERFACE.fullmatch(name):
            raise UserError(f"{link}: intfName{side}: expected letters, digits, - . and _, not {shown(name)}")
        if mac is not None and not _MAC.fullmatch(mac):
            raise UserError(f"{link}: addr{side}: expected six bytes such as 02:00:00:00:00:01")
    path = info.get("path")
    if path is not None and not _PATH.fullmatch(str(path)):
        raise UserError(f"{link}: path: expected at most 40 letters, digits, - . and _, not {shown(path)}")
    return dict(info)


def _texts(topo: Topo, info: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The addresses that the topology gives each end, checked."""
    sides = []
    for side in (1, 2):
        node = info[f"node{side}"]
        given = (info.get(f"params{side}") or {}).get("ip")
        if given is None and info[f"port{side}"] == 0:
            given = topo.nodeInfo(node).get("ip")
        given = () if given is None else tuple(given) if isinstance(given, list | tuple) else (given,)
        second = (info.get(f"params{side}") or {}).get("ip6")
        given = given if second is None else (*given, second)
        for text in given:
            try:
                fine = isinstance(text, str) and "/" in text and bool(ipaddress.ip_interface(text))
            except ValueError:
                fine = False
            if not fine:
                raise UserError(
                    f"link {info['node1']}-{info['node2']}: {shown(text)} is not an address of {node}; "
                    "expected an address with its prefix length as in '10.0.1.1/24'"
                )
        sides.append(given)
    return sides[0], sides[1]


def _allocate(
    link: str,
    pair: tuple[tuple[str, ...], tuple[str, ...]],
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    taken: Mapping[str, str],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fills what is missing: a /24 of its own, or the next address of the network that one end names."""
    near, far = pair
    if near and far:
        shared = {ipaddress.ip_interface(text).network for text in near} & {
            ipaddress.ip_interface(text).network for text in far
        }
        if not shared:
            raise UserError(
                f"link {link}: {near[0]} and {far[0]} are in different networks; "
                "both ends of a link must share one"
            )
        return near, far
    if near or far:
        own = ipaddress.ip_interface((near or far)[0])
        for address in own.network.hosts():
            if address != own.ip and str(address) not in taken:
                other = (f"{address}/{own.network.prefixlen}",)
                return (near, other) if near else (other, far)
        raise UserError(f"link {link}: {own.network} has no address left for the other end")
    for network in _POOL.subnets(new_prefix=24):
        if any(network.version == other.version and network.overlaps(other) for other in networks):
            continue
        networks.append(network)
        return (f"{network[1]}/24",), (f"{network[2]}/24",)
    raise UserError(f"link {link}: no network is left in {_POOL}")


def _params(link: str, info: Mapping[str, Any], side: int) -> LinkParams:
    """What side's end sends into the link; as in Mininet, params1 speaks for node1's sending and wins."""
    words = {**info, **(info.get(f"params{side}") or {})}
    try:
        return params_from(words)
    except UserError as error:
        raise UserError(f"link {link}: {error}") from None


def _path_names(topo: Topo) -> dict[tuple[str, int], str]:
    """(node, port) -> the name that `path=` gives there."""
    names: dict[tuple[str, int], str] = {}
    for _, _, info in topo.iterLinks(withInfo=True):
        if "path" in info:
            for side in (1, 2):
                names[info[f"node{side}"], info[f"port{side}"]] = str(info["path"])
    return names


def _paths(plan: NetPlan, names: Mapping[tuple[str, int], str]) -> tuple[PathPlan, ...]:
    clients = [node.name for node in plan.nodes if node.role == "client"]
    servers = [node.name for node in plan.nodes if node.role == "server"]
    single = len(clients) == len(servers) == 1
    paths: list[PathPlan] = []
    for client in clients:
        for server in servers:
            for number, (near, far) in enumerate(_pairs(plan, client, server), 1):
                end = next(end for end in plan.interfaces(client) if near in end.hosts)
                name = names.get((client, _port(end)), str(number))
                if ":" in near and name != str(number):
                    name += "-ipv6"
                name = name if single else f"{client}-{server}:{name}"
                if any(path.name == name for path in paths):
                    raise UserError(f"path {name}: two paths have this name; path= must differ")
                up = _walk(plan, name, client, near, far)
                down = _walk(plan, name, server, far, near)
                paths.append(PathPlan(name, client, server, near, far, up, down))
    return tuple(paths)


def _port(end: InterfacePlan) -> int:
    digits = re.search(r"(\d+)$", end.name)
    return int(digits[1]) if digits else -1


def _pairs(plan: NetPlan, client: str, server: str) -> Iterator[tuple[str, str]]:
    for version in (4, 6):
        near, far = (
            [text for text in plan.addresses(node) if ipaddress.ip_address(text).version == version]
            for node in (client, server)
        )
        if far:
            for index, address in enumerate(near):
                yield address, far[min(index, len(far) - 1)]


def _walk(plan: NetPlan, path: str, start: str, source: str, destination: str) -> tuple[Hop, ...]:
    hops: list[Hop] = []
    here, goal = start, plan.owner(destination)
    while here != goal:
        hop = plan.next_hop(here, source, destination)
        if hop is None or hop in hops or (here != start and plan.node(here).role != "router"):
            raise UserError(f"path {path}: no route from {start} ({source}) to {goal} ({destination})")
        hops.append(hop)
        here = plan.link(hop[0]).end(hop[1]).node
    return tuple(hops)
