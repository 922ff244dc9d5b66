"""A client and a server joined by plain cables, each of them a path of its own.

             10.0.1.1                          10.0.1.2
            +--eth0 --------------------------- eth0--+
    client -+  ...                                    +- server
            +--ethN --------------------------- ethN--+
             10.0.N.1                          10.0.N.2

    ---  plain: as fast as the machine, nothing shaped, no router in between

Plain Mininet loads it as it stands:

    mn --custom topologies/cables.py --topo cables,paths=2 --controller none

`role` is a word of the testbed's, which plain Mininet ignores.
"""

from mininet.topo import Topo


class Cables(Topo):
    """Two hosts, joined directly by `paths` cables."""

    def build(self, paths=2):
        client = self.addHost("client", ip=None, role="client")
        server = self.addHost("server", ip=None, role="server")
        for path in range(1, int(paths) + 1):
            self.addLink(
                client,
                server,
                params1={"ip": f"10.0.{path}.1/24"},
                params2={"ip": f"10.0.{path}.2/24"},
            )


topos = {"cables": Cables}
