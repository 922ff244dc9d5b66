"""topologies/two_path.py: loadable as plain Mininet loads it, and what the plan makes of it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from testbed.link import LinkParams
from testbed.plan import NetPlan, draw, load_topology, plan_from

FILE = Path(__file__).resolve().parents[2] / "topologies" / "two_path.py"


def two_path(**params: object) -> NetPlan:
    return plan_from(load_topology("two_path", **params))


def test_its_text_alone_makes_it_as_mn_custom_does() -> None:
    space: dict[str, Any] = {}
    exec(compile(FILE.read_text(), str(FILE), "exec"), space, space)
    topo = space["topos"]["two_path"](bw=5, delay="1ms")
    assert topo.hosts() == ["client", "r1", "r2", "server"]
    assert not topo.switches()
    assert topo.linkInfo("client", "r1")["bw"] == 5
    assert "bw" not in topo.linkInfo("r1", "server")


def test_it_imports_only_the_standard_library_and_mininet_topo() -> None:
    imported = [
        name
        for node in ast.walk(ast.parse(FILE.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        )
    ]
    assert imported == ["mininet.topo"]


def test_roles_addresses_and_interfaces() -> None:
    plan = two_path()
    assert {node.name: node.role for node in plan.nodes} == {
        "client": "client",
        "server": "server",
        "r1": "router",
        "r2": "router",
    }
    assert plan.addresses("client") == ("10.0.1.1", "10.0.2.1")
    assert plan.addresses("server") == ("10.1.1.1", "10.1.2.1")
    assert [end.name for end in plan.interfaces("server")] == ["server-eth0", "server-eth1"]
    assert plan.owner("10.1.2.1") == "server"
    assert plan.owner("192.0.2.1") is None
    macs = [end.mac for link in plan.links for end in (link.a, link.b)]
    assert len(set(macs)) == 8


def test_the_paths_are_disjoint_and_the_same_way_back() -> None:
    plan = two_path()
    one, two = plan.paths
    assert (one.name, one.client_address, one.server_address) == ("1", "10.0.1.1", "10.1.1.1")
    assert (two.name, two.client_address, two.server_address) == ("2", "10.0.2.1", "10.1.2.1")
    assert one.up == (("client-r1", "forward"), ("r1-server", "forward"))
    assert one.down == (("r1-server", "backward"), ("client-r1", "backward"))
    assert not {name for name, _ in one.up} & {name for name, _ in two.up}


def test_only_the_access_links_are_shaped_both_ways_alike() -> None:
    plan = two_path(bw=8, delay="30ms", jitter="2ms", loss=3, max_queue_size=50)
    shaped = LinkParams(rate=8_000_000, queue=50, delay=30_000_000, jitter=2_000_000, loss=0.03)
    for link in plan.links:
        access = link.name.startswith("client")
        assert link.shaped is access
        assert link.forward == link.backward == (shaped if access else LinkParams())


def test_a_packet_finds_its_way_by_its_source_address() -> None:
    plan = two_path()
    first, second = plan.addresses("client")
    near, far = plan.addresses("server")
    assert plan.next_hop("client", first, far) == ("client-r1", "forward")
    assert plan.next_hop("client", second, near) == ("client-r2", "forward")
    assert plan.next_hop("r1", first, far) == ("r1-server", "forward")  # the server takes it on any interface
    assert plan.next_hop("server", far, first) == ("r2-server", "backward")
    assert plan.next_hop("r2", far, first) == ("client-r2", "backward")
    assert plan.next_hop("r1", first, "192.0.2.1") is None


def test_the_picture_names_every_address_and_parameter() -> None:
    text = draw(two_path())
    for word in ("10.0.1.1", "10.0.2.254", "r2", "10.1.2.1", "10 Mbit/s, queue 100, 10 ms", "═══", "───"):
        assert word in text
    assert text.count("client ─") == 1
