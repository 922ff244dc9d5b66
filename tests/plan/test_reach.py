"""Which nodes reach which by their routes, in every topology that comes with the package."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from testbed.plan import NetPlan, joined, load_topology, plan_from

TOPOLOGIES = sorted(file.stem for file in (Path(__file__).parents[2] / "topologies").glob("*.py"))


def plan(name: str, **parameters: object) -> NetPlan:
    return plan_from(load_topology(name, **parameters))


def test_two_path_joins_all_but_its_routers() -> None:
    found = plan("two_path")
    names = [node.name for node in found.nodes]
    apart = {pair for pair in permutations(names, 2) if joined(found, *pair) is None}
    assert apart == {("r1", "r2"), ("r2", "r1")}  # hosts do not forward
    assert joined(found, "client", "server") == ("10.0.1.1", "10.1.1.1")
    assert joined(found, "server", "r2") == ("10.1.2.1", "10.0.2.254")  # not over the first path


@pytest.mark.parametrize(
    ("name", "ipv6"),
    [(name, ipv6) for name in TOPOLOGIES for ipv6 in (False, True) if name != "cables" or not ipv6],
)
def test_a_route_is_one_both_ways(name: str, ipv6: bool) -> None:
    """The property: joined() names addresses of the two nodes, of one family, and holds in both directions;
    every client and server are joined, and neighbours are."""
    found = plan(name, **({"ipv6": True} if ipv6 else {}))
    for one, other in permutations([node.name for node in found.nodes], 2):
        pair = joined(found, one, other)
        assert (pair is None) == (joined(found, other, one) is None)
        if pair is not None:
            assert pair[0] in found.addresses(one)
            assert pair[1] in found.addresses(other)
            assert (":" in pair[0]) == (":" in pair[1])
    for path in found.paths:
        assert joined(found, path.client, path.server)
    for link in found.links:
        assert joined(found, link.a.node, link.b.node), link.name
