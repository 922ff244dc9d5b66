"""A phone with WLAN and a cellular network: two unlike paths, called `wifi` and `lte`.

             10.0.1.1      10.0.1.254     10.1.1.254      10.1.1.1
            +--eth0 =============== ap ------------------- eth0--+
    client -+                                                    +- server
            +--eth1 =============== bs ------------------- eth1--+
             10.0.2.1      10.0.2.254     10.1.2.254      10.1.2.1

    ===  shaped in both directions by the parameters below    ---  plain

Plain Mininet loads it as it stands (its hosts do not forward until told to):

    mn --custom topologies/wifi_lte.py --topo wifi_lte,wifi_loss=2 --link tc --controller none

Parameters: for each path `bw` Mbit/s, `delay` one way as '20ms', `loss` in percent and `queue` in packets;
the cellular one has the larger buffer, as such networks do. `ipv6=True` gives every interface an IPv6
address as well. `role`, `path` and `ip6` are words of the testbed's, which plain Mininet ignores.
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


class WifiLte(Topo):
    """Two unlike paths by name."""

    def build(
        self,
        wifi_bw=20,
        wifi_delay="5ms",
        wifi_loss=1,
        wifi_queue=60,
        lte_bw=10,
        lte_delay="30ms",
        lte_loss=0,
        lte_queue=300,
        ipv6=False,
    ):
        client = self.addHost("client", ip=None, role="client", defaultRoute="via 10.0.1.254")
        server = self.addHost("server", ip=None, role="server", defaultRoute="via 10.1.1.254")
        paths = (
            ("wifi", "ap", wifi_bw, wifi_delay, wifi_loss, wifi_queue),
            ("lte", "bs", lte_bw, lte_delay, lte_loss, lte_queue),
        )
        for number, (name, router, bw, delay, loss, queue) in enumerate(paths, 1):
            self.addHost(router, ip=None, role="router")
            self.addLink(
                client,
                router,
                path=name,
                **ends(f"0.{number}", 1, 254, ipv6),
                bw=bw,
                delay=delay,
                loss=loss,
                max_queue_size=queue,
            )
            self.addLink(router, server, **ends(f"1.{number}", 254, 1, ipv6))


topos = {"wifi_lte": WifiLte}
