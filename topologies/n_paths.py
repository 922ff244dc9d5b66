"""A client and a server with as many disjoint paths between them as asked for, alike.

             10.0.1.1      10.0.1.254     10.1.1.254      10.1.1.1
            +--eth0 =============== r1 ------------------- eth0--+
    client -+  ...                                               +- server
            +--ethN =============== rN ------------------- ethN--+
             10.0.N.1      10.0.N.254     10.1.N.254      10.1.N.1

    ===  shaped in both directions by the parameters below    ---  plain

Plain Mininet loads it as it stands (its hosts do not forward until told to):

    mn --custom topologies/n_paths.py --topo n_paths,paths=4 --link tc --controller none

`paths` is their number. The others are Mininet's own, for each path alike: `bw` Mbit/s, `delay` and
`jitter` as '20ms', `loss` in percent, `max_queue_size` packets; `ipv6=True` gives every interface an IPv6
address as well. `role` and `ip6` are words of the testbed's, which plain Mininet ignores.
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


class NPaths(Topo):
    """Two hosts, `paths` disjoint paths through one router each."""

    def build(self, paths=3, bw=10, delay="10ms", jitter="0ms", loss=0, max_queue_size=100, ipv6=False):
        shaping = {
            "bw": bw,
            "delay": delay,
            "jitter": jitter,
            "loss": loss,
            "max_queue_size": max_queue_size,
        }
        client = self.addHost("client", ip=None, role="client", defaultRoute="via 10.0.1.254")
        server = self.addHost("server", ip=None, role="server", defaultRoute="via 10.1.1.254")
        for path in range(1, int(paths) + 1):
            router = self.addHost(f"r{path}", ip=None, role="router")
            self.addLink(client, router, **ends(f"0.{path}", 1, 254, ipv6), **shaping)
            self.addLink(router, server, **ends(f"1.{path}", 254, 1, ipv6))


topos = {"n_paths": NPaths}
