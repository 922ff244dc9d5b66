"""What the kernel of each node is told, and what it answers: addresses, routes, rules, neighbours, sysctls.

Decides every setting of a node's network namespace that does not belong to the userspace stack (drive sets
up its own TUN, rules and routes). All of it is read back, down to the link that each path's packets would
take; a kernel that did not do as it was told is a MachineError before anything runs. Knows nothing of wires
and programs. Read first: ip-rule(8), ip-neighbour(8); plan/routes.py for what the routes mean.
"""

from __future__ import annotations

import ipaddress
import json
import os
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.errors import MachineError
from testbed.net.namespaces import enter
from testbed.plan import NetPlan, RoutePlan

FIRST_TABLE = (
    1000  # routing table and rule priority of a node's first source address; the stack uses 1 to 100
)
QUEUE = 5000  # frames between a node and the wire process: only the link model is to drop
_PERMANENT = 0x80  # NUD_PERMANENT, linux/neighbour.h
_CONNECTED = 253  # RT_SCOPE_LINK, linux/rtnetlink.h
_SYSCTL = Path("/proc/sys")


def configure(plan: NetPlan, pids: Mapping[str, int], cpu: int) -> bool:
    """Sets up every node. `pids`: a process in each node's namespaces; `cpu` takes all packets of the lab.

    False where the kernel leaves that last wish to root, as it does in a user namespace.
    """

    def work(node: str) -> bool:
        steered = _set_up(plan, node, cpu)
        _check_routes(plan, node)
        return steered

    return all(in_each(pids, work).values())


def dropped(plan: NetPlan, pids: Mapping[str, int]) -> dict[str, int]:
    """Interface -> packets that the machine, not the link model, dropped there. Only those above 0."""
    found = in_each(pids, lambda node: _drops(plan, node)).values()
    return {name: count for counts in found for name, count in counts.items() if count}


def in_each(pids: Mapping[str, int], work: Callable[[str], Any]) -> dict[str, Any]:
    """Runs `work` for every node side by side, each in the namespaces of its process, in a child of its own;
    the results travel back as JSON."""
    children = {node: _child(pid, lambda node=node: work(node)) for node, pid in pids.items()}  # type: ignore[misc]
    texts = {}
    for node, (child, reader) in children.items():
        with os.fdopen(reader) as pipe:
            texts[node] = pipe.read()
        os.waitpid(child, 0)
    answers = {node: json.loads(text or '{"bug": "the child died"}') for node, text in texts.items()}
    for answer in answers.values():
        if "machine" in answer:
            raise MachineError(f"setting up the lab: {answer['machine']}")
        if "bug" in answer:
            raise RuntimeError(answer["bug"])
    return {node: answer["result"] for node, answer in answers.items()}


def _child(pid: int, work: Callable[[], Any]) -> tuple[int, int]:
    """Its pid, and what its answer is read from."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        enter(pid, "net", "mnt")
        answer: dict[str, Any] = {"result": work()}
    except (MachineError, NetlinkError, OSError) as error:
        answer = {"machine": str(error)}
    except BaseException:
        answer = {"bug": traceback.format_exc()}
    try:
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
    finally:
        os._exit(0)


def _set_up(plan: NetPlan, node: str, cpu: int) -> bool:
    router = plan.node(node).role == "router"
    six = any(":" in address for address in plan.addresses(node))
    settings = {
        "net/ipv4/ip_forward": int(router),
        "net/ipv4/conf/all/accept_redirects": 0,
        "net/ipv6/conf/all/disable_ipv6": int(not six),
    }
    if six:
        settings["net/ipv6/conf/all/forwarding"] = int(router)
    for group in ("all", "default", *(end.name for end in plan.interfaces(node))):
        settings[f"net/ipv4/conf/{group}/rp_filter"] = 0  # a host may be reached by any of its interfaces
        settings[f"net/ipv4/conf/{group}/send_redirects"] = 0
        if six:  # nothing of its own on the wire: packets are the experiment's
            settings[f"net/ipv6/conf/{group}/accept_dad"] = 0
            settings[f"net/ipv6/conf/{group}/accept_ra"] = 0
            settings[f"net/ipv6/conf/{group}/router_solicitations"] = 0
    for name, value in settings.items():
        _sysctl(node, name, value)
    steered = [_one_cpu(node, end.name, cpu) for end in plan.interfaces(node)]
    with IPRoute() as kernel:
        indexes = {link.get_attr("IFLA_IFNAME"): link["index"] for link in kernel.get_links()}
        kernel.link("set", index=indexes["lo"], state="up")
        _addresses(kernel, plan, node, indexes)
        _neighbours(kernel, plan, node, indexes)
        _routes(kernel, plan, node, indexes)
    return all(steered)


def _addresses(kernel: IPRoute, plan: NetPlan, node: str, indexes: Mapping[str, int]) -> None:
    for end in plan.interfaces(node):
        index = indexes[end.name]
        kernel.link("set", index=index, address=end.mac, txqlen=QUEUE)
        for text in end.addresses:
            address = ipaddress.ip_interface(text)
            kernel.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        kernel.link("set", index=index, state="up")
        link = kernel.get_links(index)[0]
        mac = link.get_attr("IFLA_ADDRESS")
        if mac != end.mac or not link["flags"] & 1:  # IFF_UP
            raise MachineError(f"{end.name}: asked for {end.mac}, up; the kernel says {mac}, {link['state']}")
        found = {
            f"{entry.get_attr('IFA_ADDRESS')}/{entry['prefixlen']}" for entry in kernel.get_addr(index=index)
        }
        if not set(end.addresses) <= found:
            raise MachineError(f"{end.name}: asked for {', '.join(end.addresses)}; the kernel has {found}")


def _neighbours(kernel: IPRoute, plan: NetPlan, node: str, indexes: Mapping[str, int]) -> None:
    """Static: on a slow wire a question would cost the wire's delay, and on a lossy one be lost."""
    wanted = set()
    for end in plan.interfaces(node):
        link = plan.link(end.link)
        far = link.b if link.a == end else link.a
        for address in far.hosts:
            kernel.neigh("replace", dst=address, lladdr=far.mac, ifindex=indexes[end.name], state=_PERMANENT)
            wanted.add((address, far.mac))
    found = {
        (entry.get_attr("NDA_DST"), entry.get_attr("NDA_LLADDR"))
        for entry in kernel.get_neighbours()
        if entry["state"] == _PERMANENT
    }
    if not wanted <= found:
        raise MachineError(f"{node}: static neighbours {wanted - found} were not kept by the kernel")


def _routes(kernel: IPRoute, plan: NetPlan, node: str, indexes: Mapping[str, int]) -> None:
    tables: dict[str, int] = {}
    for route in plan.routes:
        if route.node != node:
            continue
        words: dict[str, Any] = {"dst": route.destination, "oif": indexes[route.interface]}
        if route.via is None:
            words["scope"] = _CONNECTED
        else:
            words["gateway"] = route.via
        if route.source is not None:
            words["table"] = _table(kernel, route, tables)
        kernel.route("replace", **words)


def _table(kernel: IPRoute, route: RoutePlan, tables: dict[str, int]) -> int:
    """The table of a source address, with its rule when it is new."""
    source = route.source or ""
    if source not in tables:
        tables[source] = FIRST_TABLE + len(tables)
        address = ipaddress.ip_address(source)
        kernel.rule(
            "add",
            table=tables[source],
            priority=tables[source],
            src=source,
            src_len=address.max_prefixlen,
            family=2 if address.version == 4 else 10,
        )
    return tables[source]


def _check_routes(plan: NetPlan, node: str) -> None:
    """Asks the kernel which way each path's packets go from here, and holds it against the plan."""
    with IPRoute() as kernel:
        names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in kernel.get_links()}
        indexes = {name: index for index, name in names.items()}
        for path in plan.paths:
            ends = (path.client_address, path.server_address)
            for hops, (source, destination) in ((path.up, ends), (path.down, ends[::-1])):
                arrived = None
                for name, direction in hops:
                    link = plan.link(name)
                    near, far = (link.a, link.b) if direction == "forward" else (link.b, link.a)
                    if near.node == node:
                        words = {"dst": destination, "src": source}
                        if arrived is not None:
                            words["iif"] = indexes[arrived]
                        taken = kernel.route("get", **words)[0].get_attr("RTA_OIF")
                        if names.get(taken) != near.name:
                            raise MachineError(
                                f"{node}: packets {source} > {destination} should leave by {near.name}, "
                                f"the kernel sends them by {names.get(taken)}"
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
    file = _SYSCTL / name
    if not file.exists() and name.startswith("net/ipv6/"):
        return  # a kernel without IPv6
    try:
        file.write_text(str(value))
        accepted = file.read_text().strip()
    except OSError as error:
        raise MachineError(f"{node}: cannot set {name} = {value}: {error.strerror}") from None
    if accepted != str(value):
        raise MachineError(f"{node}: {name} was set to {value} and reads {accepted}")


def _drops(plan: NetPlan, node: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for end in plan.interfaces(node):
        folder = Path(f"/sys/class/net/{end.name}/statistics")
        if folder.is_dir():  # a wire's end is gone once the wire process is
            counts[end.name] = int((folder / "tx_dropped").read_text()) + int(
                (folder / "rx_dropped").read_text()
            )
    return counts
