"""A NetPlan as a running mininet.net.Mininet: nodes as Mininet hosts, links as cables or as wires.

Decides what each link is made of. A plain link is a veth pair; a wire is two TAP devices, one in each node,
whose descriptors a wire process reads and writes (drive/wires.py). Addresses, routes and sysctls are
configure.py's. Must run inside a lab's own namespaces: Mininet's own set-up of the machine and its cleanup
are never called.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from typing import Any

from mininet.link import Link
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Host
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from testbed.drive.tun import open_tap
from testbed.errors import MachineError
from testbed.net.namespaces import in_network
from testbed.plan import LinkPlan, NetPlan


class LabHost(Host):  # type: ignore[misc]
    """Mininet's host, without its demand for ifconfig: configure.py speaks to the kernel itself."""

    isSetup = True


class LabLink(Link):  # type: ignore[misc]
    """Mininet's link, between two nodes that already exist; `taps` are the descriptors if it is a wire."""

    def __init__(
        self, node1: Any, node2: Any, *, plan: LinkPlan, wire: bool, kernel: Any, **params: Any
    ) -> None:
        self.plan, self.wire, self._kernel = plan, wire, kernel
        self.taps: tuple[int, ...] = ()
        super().__init__(node1, node2, **params)

    def makeIntfPair(
        self,
        name1: str,
        name2: str,
        addr1: str,
        addr2: str,
        node1: Any,
        node2: Any,
        deleteIntfs: bool = False,
    ) -> None:
        if self.wire:
            ends: list[int] = []
            for name, node in ((name1, node1), (name2, node2)):
                with in_network(node.pid):
                    ends.append(open_tap(name))
            self.taps = tuple(ends)
            return
        self._kernel.link(
            "add",
            ifname=name1,
            kind="veth",
            address=addr1,
            net_ns_pid=node1.pid,
            peer={"ifname": name2, "address": addr2, "net_ns_pid": node2.pid},
        )


def build(plan: NetPlan, wires: Collection[str]) -> Mininet:
    """Nodes and links, nothing configured yet. `wires`: names of the links that are to be wires."""
    setLogLevel("output")  # warnings, and what the command line answers
    Mininet.inited = True  # the lab is private: no machine-wide sysctls to be set
    net = Mininet(topo=None, host=LabHost, controller=None, link=LabLink, build=False)
    for node in plan.nodes:
        net.addHost(node.name, ip=None)
    with IPRoute() as kernel:
        for link in plan.links:
            try:
                net.addLink(
                    link.a.node,
                    link.b.node,
                    intfName1=link.a.name,
                    intfName2=link.b.name,
                    addr1=link.a.mac,
                    addr2=link.b.mac,
                    plan=link,
                    wire=link.name in wires,
                    kernel=kernel,
                    params1={"up": None},
                    params2={"up": None},
                )
            except NetlinkError as error:
                raise MachineError(
                    f"link {link.name}: the kernel refused it: {error}; {_mend(error)}"
                ) from None
            for end in (link.a, link.b):
                interface = net[end.node].intf(end.name)
                interface.ip, interface.prefixLen = end.address.split("/")
    net.built = True
    return net


def taps(net: Mininet) -> dict[str, tuple[int, int]]:
    """Wire name -> the descriptors of its ends a and b."""
    return {link.plan.name: link.taps for link in net.links if link.wire}


def release(net: Mininet) -> None:
    """Gives the TAP descriptors up, once the wire process has them: the wires end with it."""
    for link in net.links:
        for descriptor in link.taps:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        link.taps = ()


def _mend(error: NetlinkError) -> str:
    if error.code == 95:  # EOPNOTSUPP
        return "the kernel lacks veth: sudo modprobe veth"
    return "see dmesg"
