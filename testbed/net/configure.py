"""What the kernel of each node is told, and what it answers: addresses, routes, rules, neighbours, sysctls.

Decides every setting of a node's network namespace that does not belong to the userspace stack (drive sets
up its own TUN, rules and routes). All of it is read back, down to the link that each path's packets would
take; a kernel that did not do as it was told is a MachineError before anything runs. Knows nothing of wires
and programs. Read first: ip-rule(8), ip-neighbour(8); plan/routes.py for what the routes mean.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from testbed.errors import MachineError
from testbed.net import netlink
from testbed.net.netlink import Netlink, Request
from testbed.plan import NetPlan

FIRST_TABLE = (
    1000  # routing table and rule priority of a node's first source address; the stack uses 1 to 100
)
QUEUE = 5000  # frames between a node and the wire process: only the link model is to drop
_SYSCTL = "/proc/sys/"


def works(plan: NetPlan, node: str, cpu: int) -> dict[str, Callable[[], Any]]:
    """What a node is asked for (nodes.py). `cpu` takes all packets of the lab.

    "begin": what its interfaces are to inherit. "settle": all the rest, once they are there; False where the
    kernel leaves that last wish to root, as it does in a user namespace. "drops": interface -> packets that
    the machine, not the link model, dropped there, only those above 0.
    """
    return {
        "begin": lambda: _begin(plan, node),
        "settle": lambda: _settle(plan, node, cpu),
        "drops": lambda: _drops(plan, node),
    }


def _begin(plan: NetPlan, node: str) -> None:
    router = plan.node(node).role == "router"
    six = _six(plan, node)
    _sysctl(node, "net/ipv4/ip_forward", int(router))
    _sysctl(node, "net/ipv4/conf/all/accept_redirects", 0)
    _sysctl(node, "net/ipv6/conf/all/disable_ipv6", int(not six))
    if six:
        _sysctl(node, "net/ipv6/conf/all/forwarding", int(router))
    for group in ("all", "default"):
        _quiet(node, group, six)


def _settle(plan: NetPlan, node: str, cpu: int) -> bool:
    ends = plan.interfaces(node)
    six = _six(plan, node)
    for end in ends:
        _quiet(node, end.name, six)
    steered = [_one_cpu(node, end.name, cpu) for end in ends]
    with Netlink() as kernel:
        indexes = {name: link.index for name, link in kernel.links().items()}
        kernel.tell(
            [
                netlink.link("lo, up", indexes["lo"], up=True),
                *_addresses(plan, node, indexes),
                *_neighbours(plan, node, indexes),
                *_routes(plan, node, indexes),
            ]
        )
        _read_back(kernel, plan, node)
        _check_routes(kernel, plan, node, indexes)
    return all(steered)


def _six(plan: NetPlan, node: str) -> bool:
    return any(":" in address for address in plan.addresses(node))


def _quiet(node: str, group: str, six: bool) -> None:
    """Nothing of an interface's own on the wire: packets are the experiment's."""
    _sysctl(node, f"net/ipv4/conf/{group}/rp_filter", 0)  # a host may be reached by any of its interfaces
    _sysctl(node, f"net/ipv4/conf/{group}/send_redirects", 0)
    if six:
        for name in ("accept_dad", "accept_ra", "router_solicitations"):
            _sysctl(node, f"net/ipv6/conf/{group}/{name}", 0)


def _addresses(plan: NetPlan, node: str, indexes: Mapping[str, int]) -> Iterator[Request]:
    for end in plan.interfaces(node):
        index = indexes[end.name]
        yield netlink.link(f"{end.name}: {end.mac}, a queue of {QUEUE}", index, mac=end.mac, queue=QUEUE)
        for text in end.addresses:
            yield netlink.address(f"{end.name}: address {text}", index, text)
        yield netlink.link(f"{end.name}: up", index, up=True)


def _neighbours(plan: NetPlan, node: str, indexes: Mapping[str, int]) -> Iterator[Request]:
    """Static: on a slow wire a question would cost the wire's delay, and on a lossy one be lost."""
    for name, address, mac in _known(plan, node):
        yield netlink.neighbour(f"{name}: neighbour {address} at {mac}", indexes[name], address, mac)


def _known(plan: NetPlan, node: str) -> Iterator[tuple[str, str, str]]:
    """Interface, address and MAC address of every neighbour."""
    for end in plan.interfaces(node):
        link = plan.link(end.link)
        far = link.b if link.a == end else link.a
        for address in far.hosts:
            yield end.name, address, far.mac


def _routes(plan: NetPlan, node: str, indexes: Mapping[str, int]) -> Iterator[Request]:
    """Each source address has a table of its own, with a rule that leads to it."""
    tables: dict[str, int] = {}
    for route in plan.routes:
        if route.node != node:
            continue
        source = route.source
        if source is not None and source not in tables:
            table = tables[source] = FIRST_TABLE + len(tables)
            yield netlink.rule(f"{node}: rule for packets from {source}", source, table, priority=table)
        yield netlink.route(
            f"{node}: route to {route.destination} by {route.interface} via {route.via or 'nobody'}",
            indexes[route.interface],
            route.destination,
            route.via,
            tables[source] if source is not None else netlink.MAIN,
        )


def _read_back(kernel: Netlink, plan: NetPlan, node: str) -> None:
    links, addresses = kernel.links(), kernel.addresses()
    for end in plan.interfaces(node):
        link = links[end.name]
        if link.mac != end.mac.lower() or not link.up:
            state = "up" if link.up else "down"
            raise MachineError(f"{end.name}: asked for {end.mac}, up; the kernel says {link.mac}, {state}")
        found = {text for index, text in addresses if index == link.index}
        if not set(end.addresses) <= found:
            raise MachineError(f"{end.name}: asked for {', '.join(end.addresses)}; the kernel has {found}")
    neighbours = kernel.neighbours()
    for name, address, mac in _known(plan, node):
        if (links[name].index, address, mac.lower()) not in neighbours:
            raise MachineError(f"{name}: the static neighbour {address} at {mac} was not kept by the kernel")


def _check_routes(kernel: Netlink, plan: NetPlan, node: str, indexes: Mapping[str, int]) -> None:
    """Asks the kernel which way each path's packets go from here, and holds it against the plan."""
    names = {index: name for name, index in indexes.items()}
    for path in plan.paths:
        ends = (path.client_address, path.server_address)
        for hops, (source, destination) in ((path.up, ends), (path.down, ends[::-1])):
            arrived: str | None = None
            for name, direction in hops:
                link = plan.link(name)
                near, far = (link.a, link.b) if direction == "forward" else (link.b, link.a)
                if near.node == node:
                    came = None if arrived is None else indexes[arrived]
                    taken = kernel.way(source, destination, came)
                    if taken != indexes[near.name]:
                        raise MachineError(
                            f"{node}: packets {source} > {destination} should leave by {near.name}, "
                            f"the kernel sends them by {names.get(taken or 0)}"
                        )
                arrived = far.name if far.node == node else None


def _one_cpu(node: str, interface: str, cpu: int) -> bool:
    """One queue for all packets of an interface: veth has one for each CPU and so reorders between two."""
    file = Path(f"/sys/class/net/{interface}/queues/rx-0/rps_cpus")
    words = [f"{(1 << cpu) >> shift & 0xFFFFFFFF:08x}" for shift in range(cpu // 32 * 32, -1, -32)]
    try:
        file.write_text(",".join(words))
        accepted = int(file.read_text().replace(",", ""), 16)
    except PermissionError:
        return False
    except OSError as error:
        raise MachineError(
            f"{node}: cannot tie {interface} to one CPU ({error}); packets would be reordered. "
            "The kernel needs CONFIG_RPS"
        ) from None
    if accepted != 1 << cpu:
        raise MachineError(f"{node}: {file} was set to CPU {cpu} and reads {accepted:#x}")
    return True


def _sysctl(node: str, name: str, value: int) -> None:
    """Sets and reads back; what is so already (an interface inherits its group's) is only read."""
    wanted = str(value).encode()
    try:
        file = os.open(_SYSCTL + name, os.O_RDWR | os.O_CLOEXEC)
        try:
            accepted = os.read(file, 64).strip()
            if accepted != wanted:
                os.pwrite(file, wanted, 0)
                accepted = os.pread(file, 64, 0).strip()
        finally:
            os.close(file)
    except OSError as error:
        if error.errno == errno.ENOENT and name.startswith("net/ipv6/"):
            return  # a kernel without IPv6
        raise MachineError(f"{node}: cannot set {name} = {value}: {error.strerror}") from None
    if accepted != wanted:
        raise MachineError(f"{node}: {name} was set to {value} and reads {accepted.decode()}")


def _drops(plan: NetPlan, node: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for end in plan.interfaces(node):
        folder = Path(f"/sys/class/net/{end.name}/statistics")
        if count := sum(int((folder / name).read_text()) for name in ("tx_dropped", "rx_dropped")):
            counts[end.name] = count
    return counts
