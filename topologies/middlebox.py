"""A path with a middlebox in its middle, and one without.

             10.0.1.1      10.0.1.254    10.2.1.1    10.2.1.2      10.1.1.254    10.1.1.1
            +--eth0 =============== r1 ~~~~~~~~~~~~~~~~~~~~ b1 ------------------ eth0--+
    client -+                                                                           +- server
            +--eth1 =============== r2 ---------------------------------------- eth1---+
             10.0.2.1      10.0.2.254                        10.1.2.254    10.1.2.1

    ===  shaped in both directions    ~~~  the middlebox, behind the losses of the first link    ---  plain

Plain Mininet loads it as it stands, without a middlebox (its hosts do not forward until told to):

    mn --custom topologies/middlebox.py --topo middlebox,bw=5 --link tc --controller none

`up` and `down` are the middleboxes of each direction, as in 'strip dss' (`testbed explain middleboxes`).
The others are Mininet's own, for each path alike: `bw` Mbit/s, `delay` as '20ms', `loss` in percent,
`max_queue_size` packets; `ipv6=True` gives every interface an IPv6 address as well. `role`, `middlebox` and
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


class Middlebox(Topo):
    """Two paths, a middlebox on the first."""

    def build(self, up="", down="", bw=10, delay="10ms", loss=0, max_queue_size=100, ipv6=False):
        shaping = {"bw": bw, "delay": delay, "loss": loss, "max_queue_size": max_queue_size}
        client = self.addHost("client", ip=None, role="client", defaultRoute="via 10.0.1.254")
        server = self.addHost("server", ip=None, role="server", defaultRoute="via 10.1.1.254")
        first, box, second = (self.addHost(name, ip=None, role="router") for name in ("r1", "b1", "r2"))
        for path, router in ((1, first), (2, second)):
            self.addLink(client, router, **ends(f"0.{path}", 1, 254, ipv6), **shaping)
        sides = ends("2.1", 1, 2, ipv6)
        for side, words in (("params1", up), ("params2", down)):
            if words:
                sides[side]["middlebox"] = words
        self.addLink(first, box, **sides)
        self.addLink(box, server, **ends("1.1", 254, 1, ipv6))
        self.addLink(second, server, **ends("1.2", 254, 1, ipv6))


topos = {"middlebox": Middlebox}
