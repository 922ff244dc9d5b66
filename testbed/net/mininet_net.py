"""A NetPlan as a running mininet.net.Mininet: nodes as Mininet hosts, links as cables or as wires.

Decides what each link is made of. A plain link is a veth pair; a wire is two TAP devices, one in each node,
whose descriptors a wire process reads and writes (drive/wires.py). Addresses, routes and sysctls are
configure.py's. Must run inside a lab's own namespaces: Mininet's own set-up of the machine and its cleanup
are never called.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Mapping
from typing import Any

from mininet.link import Link
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Host

from testbed.drive.tun import open_tap
from testbed.errors import MachineError
from testbed.net import netlink
from testbed.net.namespaces import in_network
from testbed.plan import LinkPlan, NetPlan


class LabHost(Host):  # type: ignore[misc]
    """Mininet's host, whose namespaces `process` has made and holds. Its shell starts with the first command,
    and anew where it has ended: a lab that starts its programs itself needs none. `opening`: what a new shell
    is told."""

    isSetup = True  # without its demand for ifconfig: configure.py speaks to the kernel itself
    opening = ""

    def startShell(self, mnopts: str | None = None) -> None:
        self.pid = self.params["process"]

    def open_shell(self) -> None:
        """Unless there is one."""
        if self.shell:
            if self.shell.poll() is None:
                return
            self.cleanup()
        process, self.inNamespace = self.pid, False  # nothing to be made: it joins
        super().startShell(f"-cda{process}")
        self.pid, self.inNamespace = process, True
        if self.opening:
            self.cmd(self.opening)

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:
        self.open_shell()
        super().sendCmd(*args, **kwargs)

    def cmd(self, *args: Any, **kwargs: Any) -> Any:
        self.open_shell()
        return super().cmd(*args, **kwargs)


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
                    ends.append(open_tap(name, lasting=True))
            self.taps = tuple(ends)
            return
        ends_there = ((name1, addr1, node1.pid), (name2, addr2, node2.pid))
        self._kernel.tell([netlink.cable(f"link {self.plan.name}", ends_there)])


def build(plan: NetPlan, pids: Mapping[str, int], wires: Collection[str]) -> Mininet:
    """Nodes and links, nothing configured yet. `pids`: the process that holds each node's namespaces;
    `wires`: names of the links that are to be wires."""
    setLogLevel("output")  # warnings, and what the command line answers
    Mininet.inited = True  # the lab is private: no machine-wide sysctls to be set
    net = Mininet(topo=None, host=LabHost, controller=None, link=LabLink, build=False)
    for node in plan.nodes:
        net.addHost(node.name, ip=None, process=pids[node.name])
    with netlink.Netlink() as kernel:
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
            except netlink.Refused as error:
                raise MachineError(f"the kernel refused {error.strerror}; {_mend(error)}") from None
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


def _mend(error: netlink.Refused) -> str:
    if error.errno == errno.EOPNOTSUPP:
        return "the kernel lacks veth: sudo modprobe veth"
    return "see dmesg"
