"""Two paths through one bottleneck: both of the client's links meet before the link that is narrow.

             10.0.1.1                                                    10.1.1.1
            +--eth0 -----------+        10.2.1.1     10.2.1.2       +--- eth0--+
    client -+                  r1 ========================== r2 ----+          +- server
            +--eth1 -----------+                                    +--- eth1--+
             10.0.2.1                                                    10.1.2.1

    ===  shaped in both directions by the parameters below    ---  plain, but for `access_delay`

Plain Mininet loads it as it stands (its hosts do not forward until told to):

    mn --custom topologies/shared_bottleneck.py --topo shared_bottleneck,bw=5 --link tc --controller none

Parameters are Mininet's own, of the bottleneck: `bw` Mbit/s, `delay` and `jitter` as '20ms', `loss` in
percent, `max_queue_size` packets; `access_delay` is that of the client's own links. `ipv6=True` gives every
interface an IPv6 address as well. `role` and `ip6` are words of the testbed's, which plain Mininet ignores.
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


class SharedBottleneck(Topo):
    """Two subflows, one narrow link."""

    def build(
        self,
        bw=10,
        delay="10ms",
        jitter="0ms",
        loss=0,
        max_queue_size=100,
        access_delay="0ms",
        ipv6=False,
    ):
        client = self.addHost("client", ip=None, role="client", defaultRoute="via 10.0.1.254")
        server = self.addHost("server", ip=None, role="server", defaultRoute="via 10.1.1.254")
        near = self.addHost("r1", ip=None, role="router")
        far = self.addHost("r2", ip=None, role="router")
        for path in (1, 2):
            self.addLink(client, near, **ends(f"0.{path}", 1, 254, ipv6), delay=access_delay)
        self.addLink(
            near,
            far,
            **ends("2.1", 1, 2, ipv6),
            bw=bw,
            delay=delay,
            jitter=jitter,
            loss=loss,
            max_queue_size=max_queue_size,
        )
        for path in (1, 2):
            self.addLink(far, server, **ends(f"1.{path}", 254, 1, ipv6))


topos = {"shared_bottleneck": SharedBottleneck}
