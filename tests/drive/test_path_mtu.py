"""Transfers by way of a router: over a link with a smaller MTU, and with frames cut and partly lost.

The router's ICMP reaches the stack; what is left of a large frame is put in order and the rest sent again.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.namespaces import Namespace, join, namespaces, why_no_lab
from tests.programs import Server, client

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))]

# family: MTU in the middle, addresses of client, router (twice) and server, length of the prefix
NETWORKS = {
    "ipv4": (1200, "10.9.1.1", "10.9.1.254", "10.9.2.254", "10.9.2.1", 24),
    "ipv6": (1300, "fd00:1::1", "fd00:1::fe", "fd00:2::fe", "fd00:2::1", 64),
}
SIZE = 400_000


def routed(a: Namespace, r: Namespace, b: Namespace, family: str) -> str:
    """Joins a and b by way of r; b's address."""
    _, near, left, right, far, length = NETWORKS[family]
    r.sysctl("net.ipv4.ip_forward", "1")
    r.sysctl("net.ipv6.conf.all.forwarding", "1")
    join(a, r, f"{near}/{length}", f"{left}/{length}")
    # Not `join`: the router has two interfaces.
    r.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", b.name)
    for namespace, device, address in ((r, "eth1", right), (b, "eth0", far)):
        extra = ["nodad"] if ":" in address else []
        namespace.run("ip", "addr", "add", f"{address}/{length}", "dev", device, *extra)
        namespace.run("ip", "link", "set", device, "up")
    a.run("ip", "route", "add", "default", "via", left)
    b.run("ip", "route", "add", "default", "via", right)
    for namespace, device in ((a, "eth0"), (r, "eth0"), (r, "eth1"), (b, "eth0")):
        namespace.run("sh", "-c", f"echo 1 > /sys/class/net/{device}/queues/rx-0/rps_cpus")  # keep the order
    return far


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("family", list(NETWORKS))
def test_a_transfer_over_a_narrow_link(family: str, offload: bool) -> None:
    with namespaces(3) as (a, r, b):
        far, mtu = routed(a, r, b, family), NETWORKS[family][0]
        r.run("ip", "link", "set", "eth1", "mtu", str(mtu))
        server = Server(b, serve="sink")
        ours: dict[str, Any] = client(a, far, send=SIZE, offload=offload)
        assert ours["intact"], ours
        assert ours["verdict"] == "mptcp"
        assert server.result()["bytes_received"] == SIZE
        assert ours["seconds"] < 20
        link = json.loads(r.run("ip", "-j", "-s", "link", "show", "eth1"))[0]
        sent = link["stats64"]["tx"]
        assert sent["bytes"] / sent["packets"] <= mtu + 14 or offload
        counters = r.run("nstat", "-asz", "IcmpOutDestUnreachs", "Icmp6OutPktTooBigs")
        assert any(int(line.split()[1]) for line in counters.splitlines()[1:]), counters


@pytest.mark.parametrize("family", list(NETWORKS))
def test_frames_that_are_cut_partly_lost_and_merged_again(family: str) -> None:
    with namespaces(3) as (a, r, b):
        far = routed(a, r, b, family)
        a.run("ethtool", "-K", "eth0", "tso", "off")  # the router sees single packets
        b.run("ethtool", "-K", "eth0", "gro", "on")
        r.run("nft", "add table inet t; add chain inet t c { type filter hook forward priority 0; }")
        r.run("nft", "add rule inet t c meta length > 1000 numgen random mod 100 == 0 counter drop")
        server = Server(b, serve="sink")
        ours: dict[str, Any] = client(a, far, send=4 * SIZE)
        theirs = server.result()
        assert ours["intact"], ours
        assert ours["verdict"] == theirs["verdict"] == "mptcp"
        assert theirs["bytes_received"] == 4 * SIZE
        lost = json.loads(r.run("nft", "-j", "list", "chain", "inet", "t", "c"))["nftables"][-1]["rule"]
        (dropped,) = [one["counter"]["packets"] for one in lost["expr"] if "counter" in one]
        assert dropped > 0
        assert ours["retransmits"] > 0
        assert ours["fidelity"]["host_packets_out"] < 4 * SIZE / 2000  # the stack itself wrote large frames
