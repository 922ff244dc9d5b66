"""A web server, its clients, and somebody who floods it.

    client1 -+- eth0 --- 10.0.1.0/24 ---+
             +- eth1 --- 10.0.2.0/24 ---+
    ...                                 r1 ============================ eth0- server
    clientN -+- eth0 -------------------+     10.1.1.254    10.1.1.1
             +- eth1 -------------------+
    attacker -- eth0 -------------------+
                10.9.1.1

    ===  shaped in both directions by the parameters below    ---  plain

Plain Mininet loads it as it stands (its hosts do not forward until told to):

    mn --custom topologies/flood.py --topo flood,clients=3 --link tc --controller none

The K-th client's addresses are 10.0.(2K-1).1 and 10.0.(2K).1. `clients` is their number, `uplinks` that of
the server's links to r1; it has 10.1.2.1 on the second. The others are Mininet's own, of the server's links:
`bw` Mbit/s, `delay` as '20ms', `loss` in percent, `max_queue_size` packets; `ipv6=True` gives every interface
an IPv6 address as well. `role` and `ip6` are words of the testbed's, which plain Mininet ignores.
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


class Flood(Topo):
    """`clients` hosts with two addresses each, an attacker, a server."""

    def build(self, clients=2, uplinks=1, bw=100, delay="5ms", loss=0, max_queue_size=500, ipv6=False):
        router = self.addHost("r1", ip=None, role="router")
        server = self.addHost("server", ip=None, role="server", defaultRoute="via 10.1.1.254")
        attacker = self.addHost("attacker", ip=None, role="host", defaultRoute="via 10.9.1.254")
        for number in range(1, int(clients) + 1):
            first = 2 * number - 1
            client = self.addHost(
                f"client{number}", ip=None, role="client", defaultRoute=f"via 10.0.{first}.254"
            )
            for net in (first, first + 1):
                self.addLink(client, router, **ends(f"0.{net}", 1, 254, ipv6))
        self.addLink(attacker, router, **ends("9.1", 1, 254, ipv6))
        for uplink in range(1, int(uplinks) + 1):
            self.addLink(
                router,
                server,
                **ends(f"1.{uplink}", 254, 1, ipv6),
                bw=bw,
                delay=delay,
                loss=loss,
                max_queue_size=max_queue_size,
            )


topos = {"flood": Flood}
