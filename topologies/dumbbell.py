"""A bottleneck shared with others: the client's two links, and hosts that compete, `rivals` pairs of them.

    client -+- eth0 -------+                                        +------- eth0 -+- server
            +- eth1 -------+      10.2.1.1         10.2.1.2         +------- eth1 -+
                           r1 ===================================== r2
    tcp1 ------------------+                                        +--------------- sink1
    ...                    |                                        |                ...
    tcpN ------------------+                                        +--------------- sinkN

    ===  shaped in both directions by the parameters below    ---  plain, but for `access_delay`

Plain Mininet loads it as it stands (its hosts do not forward until told to):

    mn --custom topologies/dumbbell.py --topo dumbbell,rivals=4 --link tc --controller none

The client's addresses are 10.0.1.1 and 10.0.2.1, the server's 10.1.1.1 and 10.1.2.1; tcpK is 10.3.K.1,
sinkK 10.4.K.1. `rivals` is the number of pairs. The others are Mininet's own, of the bottleneck: `bw`
Mbit/s, `delay` and `jitter` as '20ms', `loss` in percent, `max_queue_size` packets; `access_delay` is that
of the links on the left. `ipv6=True` gives every interface an IPv6 address as well. `role` and `ip6` are
words of the testbed's, which plain Mininet ignores.
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


class Dumbbell(Topo):
    """A multihomed pair of hosts and `rivals` single-homed ones at one bottleneck."""

    def build(
        self,
        rivals=2,
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
        for number in range(1, int(rivals) + 1):
            tcp = self.addHost(f"tcp{number}", ip=None, role="host", defaultRoute=f"via 10.3.{number}.254")
            sink = self.addHost(f"sink{number}", ip=None, role="host", defaultRoute=f"via 10.4.{number}.254")
            self.addLink(tcp, near, **ends(f"3.{number}", 1, 254, ipv6), delay=access_delay)
            self.addLink(far, sink, **ends(f"4.{number}", 254, 1, ipv6))


topos = {"dumbbell": Dumbbell}
