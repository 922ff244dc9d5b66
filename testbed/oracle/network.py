"""The network of every cell: a client and a server with so many disjoint cables between them.

Decides addresses of both families and routes: what the client sends from its address on a cable leaves by
that cable, whatever address of the server it is for; the server answers by the cable that carries the
client's address. So a subflow stays on the cable of its client's address in both directions. Routers would
do the same at four times the number of nodes, with answers that come back by the initial path.
Knows nothing of MPTCP. Read first: testbed/plan/values.py.
"""

from __future__ import annotations

from testbed.link import LinkParams
from testbed.plan import InterfacePlan, LinkPlan, NetPlan, NodePlan, PathPlan, RoutePlan

MOST_PATHS = 4
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
_PLAIN = LinkParams()


def address(side: str, path: int, family: int) -> str:
    """Of `client` or `server` on cable `path`, the first being 1."""
    host = 1 if side == "client" else 2
    return f"10.7.{path}.{host}" if family == 4 else f"fd00:7:{path}::{host}"


def interface(side: str, path: int) -> str:
    return f"{side}-eth{path - 1}"


def mac(side: str, path: int) -> str:
    return f"02:07:00:00:{path:02x}:{1 if side == 'client' else 2:02x}"


def plan(paths: int = MOST_PATHS) -> NetPlan:
    links = tuple(_link(path) for path in range(1, paths + 1))
    return NetPlan(
        name="cables",
        nodes=(NodePlan("client", "client"), NodePlan("server", "server")),
        links=links,
        paths=tuple(_path(link, number, family) for family in (4, 6) for number, link in enumerate(links, 1)),
        routes=tuple(
            route for path in range(1, paths + 1) for family in (4, 6) for route in _routes(path, family)
        ),
    )


def _link(path: int) -> LinkPlan:
    name = f"cable{path}"
    ends = [
        InterfacePlan(
            side,
            interface(side, path),
            (f"{address(side, path, 4)}/24", f"{address(side, path, 6)}/64"),
            mac(side, path),
            name,
        )
        for side in ("client", "server")
    ]
    return LinkPlan(name, ends[0], ends[1], _PLAIN, _PLAIN, shaped=False)


def _path(link: LinkPlan, number: int, family: int) -> PathPlan:
    ends = [address(side, number, family) for side in ("client", "server")]
    return PathPlan(
        f"{number} ipv{family}",
        "client",
        "server",
        ends[0],
        ends[1],
        ((link.name, "forward"),),
        ((link.name, "backward"),),
    )


def _routes(path: int, family: int) -> tuple[RoutePlan, ...]:
    """The client's, for packets from its address on this cable."""
    source = address("client", path, family)
    device = interface("client", path)
    own = f"10.7.{path}.0/24" if family == 4 else f"fd00:7:{path}::/64"
    return (
        RoutePlan("client", own, None, device, source),
        RoutePlan("client", _EVERYTHING[family], address("server", path, family), device, source),
    )
