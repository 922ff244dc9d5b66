"""A client with two interfaces and a server with one: a phone and a web server.

             10.0.1.1      10.0.1.254     10.2.1.1      10.2.1.2
            +--eth0 =============== r1 -------------------+      10.1.1.254      10.1.1.1
    client -+                                             r3 ------------------- eth0- server
            +--eth1 =============== r2 -------------------+
             10.0.2.1      10.0.2.254     10.2.2.1      10.2.2.2

    ===  shaped in both directions by the parameters below    ---  plain

Plain Mininet loads it as it stands (its hosts do not forward until told to):

    mn --custom topologies/dual_homed.py --topo dual_homed,bw=5 --link tc --controller none

Parameters are Mininet's own, for each path alike: `bw` Mbit/s, `delay` and `jitter` as '20ms', `loss` in
percent, `max_queue_size` packets; `ipv6=True` gives every interface an IPv6 address as well. `role` and
`ip6` are words of the testbed's, which plain Mininet ignores.
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


class DualHomed(Topo):
    """Two client addresses, one server address."""

    def build(self, bw=10, delay="10ms", jitter="0ms", loss=0, max_queue_size=100, ipv6=False):
        shaping = {
            "bw": bw,
            "delay": delay,
            "jitter": jitter,
            "loss": loss,
            "max_queue_size": max_queue_size,
        }
        client = self.addHost("client", ip=None, role="client", defaultRoute="via 10.0.1.254")
        server = self.addHost("server", ip=None, role="server", defaultRoute="via 10.1.1.254")
        join = self.addHost("r3", ip=None, role="router")
        for path in (1, 2):
            router = self.addHost(f"r{path}", ip=None, role="router")
            self.addLink(client, router, **ends(f"0.{path}", 1, 254, ipv6), **shaping)
            self.addLink(router, join, **ends(f"2.{path}", 1, 2, ipv6))
        self.addLink(join, server, **ends("1.1", 254, 1, ipv6))


topos = {"dual_homed": DualHomed}
