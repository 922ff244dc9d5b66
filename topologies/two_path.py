"""A client and a server with two addresses each, and two disjoint paths between them.

             10.0.1.1      10.0.1.254     10.1.1.254      10.1.1.1
            +--eth0 =============== r1 ------------------- eth0--+
    client -+                                                    +- server
            +--eth1 =============== r2 ------------------- eth1--+
             10.0.2.1      10.0.2.254     10.1.2.254      10.1.2.1

    ===  shaped in both directions by the parameters below    ---  plain

Plain Mininet loads it as it stands (its hosts do not forward until told to):

    mn --custom topologies/two_path.py --topo two_path,bw=5 --link tc --controller none

Parameters are Mininet's own, for each path alike: `bw` Mbit/s, `delay` and `jitter` as '20ms', `loss` in
percent, `max_queue_size` packets; `ipv6=True` gives every interface an IPv6 address as well. `role` and `ip6`
are words of the testbed's, which plain Mininet ignores.
"""

from mininet.topo import Topo


def ends(net, near, far, ipv6):
    """Both ends of a link: net '0.1' is 10.0.1.0/24, and fd00:0:1::/64 as well."""
    sides = {}
    for side, host in (("params1", near), ("params2", far)):
        sides[side] = {"ip": f"10.{net}.{host}/24"}
        if ipv6:
            sides[side]["ip6"] = f"fd00:{net.replace('.', ':')}::{host}/64"
    return sides


class TwoPath(Topo):
    """Two hosts, two disjoint paths through one router each."""

    def build(self, bw=10, delay="10ms", jitter="0ms", loss=0, max_queue_size=100, ipv6=False):
        shaping = {
            "bw": bw,
            "delay": delay,
            "jitter": jitter,
            "loss": loss,
            "max_queue_size": max_queue_size,
        }
        # ip=None: the addresses stand with the links, Mininet is to make up none of its own
        client = self.addHost("client", ip=None, role="client", defaultRoute="via 10.0.1.254")
        server = self.addHost("server", ip=None, role="server", defaultRoute="via 10.1.1.254")
        for path in (1, 2):
            router = self.addHost(f"r{path}", ip=None, role="router")
            self.addLink(client, router, **ends(f"0.{path}", 1, 254, ipv6), **shaping)
            self.addLink(router, server, **ends(f"1.{path}", 254, 1, ipv6))


topos = {"two_path": TwoPath}
