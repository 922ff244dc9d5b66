"""Every topology of the repository, with IPv4 and with both families: its parts, and who reaches whom."""

from __future__ import annotations

import ast
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.plan import NetPlan, draw, known_topologies, load_topology, plan_from
from testbed.workloads.path_rows import address_text
from testbed.workloads.spec import packed

FOLDER = Path(__file__).parents[2] / "topologies"
NAMES = sorted(file.stem for file in FOLDER.glob("*.py"))
DUAL = [name for name in NAMES if name != "cables"]
every = pytest.mark.parametrize(
    ("name", "ipv6"), [*((name, False) for name in NAMES), *((name, True) for name in DUAL)]
)


def plan(name: str, ipv6: bool) -> NetPlan:
    return plan_from(load_topology(name, **({"ipv6": True} if ipv6 else {})))


def hosts(network: NetPlan) -> list[str]:
    return [node.name for node in network.nodes if node.role != "router"]


def way(network: NetPlan, source: str, destination: str) -> list[str]:
    """The links from one host's address to another's, in order."""
    here, goal = network.owner(source), network.owner(destination)
    links: list[str] = []
    while here != goal:
        assert here is not None
        hop = network.next_hop(here, source, destination)
        assert hop is not None, f"{here} has no route from {source} to {destination}"
        assert hop[0] not in links, f"a loop from {source} to {destination}: {links}"
        links.append(hop[0])
        here = network.link(hop[0]).end(hop[1]).node
    return links


@pytest.mark.parametrize("name", NAMES)
def test_its_text_alone_makes_it_as_mn_custom_does(name: str) -> None:
    space: dict[str, Any] = {}
    text = (FOLDER / f"{name}.py").read_text()
    exec(compile(text, name, "exec"), space, space)
    topo = space["topos"][name]()
    assert topo.hosts()
    assert not topo.switches()
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {getattr(node, "module", None) or node.names[0].name for node in imported}
    assert all(one == "mininet.topo" or one in sys.stdlib_module_names for one in modules)


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_draws_it_and_says_how_mininet_starts_it(name: str) -> None:
    doc = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text()))
    assert doc is not None
    assert f"mn --custom topologies/{name}.py --topo {name}" in doc
    assert "client" in doc.split("Plain Mininet")[0]
    assert known_topologies()[name]


@every
def test_every_pair_of_addresses_of_a_family_has_a_way_there_and_back(name: str, ipv6: bool) -> None:
    """From the interface that the source address names."""
    network = plan(name, ipv6)
    for one, other in itertools.permutations(hosts(network), 2):
        for source, destination in itertools.product(network.addresses(one), network.addresses(other)):
            if (":" in source) != (":" in destination):
                continue
            links = way(network, source, destination)
            own = next(end for end in network.interfaces(one) if source in end.hosts)
            assert links[0] == own.link, f"{source} to {destination} leaves by {links[0]}"


@every
def test_paths_come_in_both_families_and_the_picture_names_their_ends(name: str, ipv6: bool) -> None:
    network = plan(name, ipv6)
    families = [len(packed(path.client_address)) for path in network.paths]
    assert families.count(16) == (families.count(4) if ipv6 else 0)
    picture = draw(network)
    for path in network.paths:
        for end in (path.client_address, path.server_address):
            assert address_text(packed(end)) == end
            assert end in picture


def test_named_paths_keep_their_names_in_both_families() -> None:
    names = [path.name for path in plan("wifi_lte", True).paths]
    assert names == ["wifi", "lte", "wifi-ipv6", "lte-ipv6"]
