"""Any mininet.topo.Topo as a plan: addresses made up or given, roles, odd shapes, and what is refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from mininet.topo import Topo

from testbed.errors import UserError
from testbed.plan import NetPlan, draw, plan_from


def built(build: Callable[[Any], None]) -> NetPlan:
    topo = Topo()
    build(topo)
    return plan_from(topo, "mine")


def chain(topo: Any) -> None:
    """h1 - a - b - h2, nothing said about addresses and roles."""
    for name in ("h1", "h2"):
        topo.addHost(name)
    for name in ("a", "b"):
        topo.addHost(name, role="router")
    topo.addLink("h1", "a")
    topo.addLink("a", "b", delay="5ms")
    topo.addLink("h2", "b")


def test_a_chain_gets_addresses_roles_and_routes() -> None:
    plan = built(chain)
    assert (plan.only("client").name, plan.only("server").name) == ("h1", "h2")
    networks = {
        ipaddress.ip_interface(end.address).network for link in plan.links for end in (link.a, link.b)
    }
    assert len(networks) == 3
    (path,) = plan.paths
    assert path.up == (("h1-a", "forward"), ("a-b", "forward"), ("h2-b", "backward"))
    assert path.down == (("h2-b", "forward"), ("a-b", "backward"), ("h1-a", "backward"))


def test_made_up_addresses_avoid_given_ones() -> None:
    def build(topo: Any) -> None:
        topo.addHost("client")
        topo.addHost("server")
        topo.addLink("client", "server")
        topo.addLink("client", "server", params1={"ip": "10.0.0.7/24"})

    plan = built(build)
    assert plan.addresses("client")[1] == "10.0.0.7"
    first = ipaddress.ip_interface(plan.interfaces("client")[0].address).network
    assert not first.overlaps(ipaddress.ip_network("10.0.0.0/24"))
    assert ipaddress.ip_address(plan.addresses("server")[1]) in ipaddress.ip_network("10.0.0.0/24")
    assert [link.name for link in plan.links] == ["client-server", "client-server#2"]
    assert [path.up for path in plan.paths] == [
        (("client-server", "forward"),),
        (("client-server#2", "forward"),),
    ]


def test_a_server_with_one_address_ends_every_path() -> None:
    def build(topo: Any) -> None:
        topo.addHost("client")
        topo.addHost("server")
        topo.addHost("r", role="router")
        topo.addLink("client", "r", bw=1, path="wifi")
        topo.addLink("client", "r", bw=2, path="lte")
        topo.addLink("r", "server")

    plan = built(build)
    assert [path.name for path in plan.paths] == ["wifi", "lte"]
    assert {path.server_address for path in plan.paths} == set(plan.addresses("server"))
    assert [path.up[0][0] for path in plan.paths] == ["client-r", "client-r#2"]
    assert [path.down[-1][0] for path in plan.paths] == ["client-r", "client-r#2"]
    assert "wifi" in draw(plan)


def test_directions_may_differ_by_params1_and_params2() -> None:
    def build(topo: Any) -> None:
        topo.addHost("client")
        topo.addHost("server")
        topo.addLink("client", "server", delay="1ms", params1={"loss": 2}, params2={"delay": "9ms"})

    link = built(build).link("client-server")
    assert (link.forward.loss, link.forward.delay) == (0.02, 1_000_000)
    assert (link.backward.loss, link.backward.delay) == (0.0, 9_000_000)


def test_several_clients_have_paths_of_their_own() -> None:
    def build(topo: Any) -> None:
        topo.addHost("r", role="router")
        topo.addHost("server")
        topo.addLink("r", "server")
        for name in ("c1", "c2"):
            topo.addHost(name, role="client")
            topo.addLink(name, "r")

    plan = built(build)
    assert [path.name for path in plan.paths] == ["c1-server:1", "c2-server:1"]
    with pytest.raises(UserError, match="c1, c2"):
        plan.only("client")


def _links(**options: Any) -> Callable[[Any], None]:
    def build(topo: Any) -> None:
        topo.addHost("client")
        topo.addHost("server")
        topo.addLink("client", "server", **options)

    return build


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": 120}, "link client-server: loss: 120 %.*from 0 to 100"),
        ({"delay": "10"}, "link client-server: delay: '10'.*'10ms'"),
        ({"bw": "fast"}, "link client-server: bw: 'fast'.*Mbit/s"),
        ({"max_queue_size": 0}, "link client-server: max_queue_size: 0.*at least 1"),
        ({"jitter": "5ms"}, "link client-server: jitter"),
        ({"lose": 5}, "link client-server: .*'lose'.*loss"),
        ({"drop": "fourth_ack"}, "link client-server: drop.*fourth_ack.*third_ack"),
        ({"params1": {"ip": "10.0.0.1"}}, "10.0.0.1.*prefix length"),
        ({"params1": {"ip": "10.0.0/24"}}, "10.0.0/24.*client"),
        (
            {"params1": {"ip": "10.0.0.1/24"}, "params2": {"ip": "10.0.1.1/24"}},
            "client-server: 10.0.0.1/24 and 10.0.1.1/24 are in different networks",
        ),
        (
            {"params1": {"ip": "10.0.0.1/24"}, "params2": {"ip": "10.0.0.1/24"}},
            "address 10.0.0.1 stands at both",
        ),
    ],
)
def test_a_bad_link_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        built(_links(**options))


def test_what_is_no_network_for_an_experiment() -> None:
    def switched(topo: Any) -> None:
        topo.addSwitch("s1")

    def lonely(topo: Any) -> None:
        topo.addHost("client")

    def apart(topo: Any) -> None:
        topo.addHost("client")
        topo.addHost("server")
        topo.addHost("r", role="router")
        topo.addHost("q", role="router")
        topo.addLink("client", "r")
        topo.addLink("server", "q")

    def unplugged(topo: Any) -> None:
        topo.addHost("client")
        topo.addHost("server")
        topo.addHost("r", role="router")
        topo.addLink("client", "r")

    def odd(topo: Any) -> None:
        topo.addHost("client", role="boss")

    def long(topo: Any) -> None:
        topo.addHost("a-very-long-name", role="client")
        topo.addHost("server")
        topo.addLink("a-very-long-name", "server")

    for build, said in (
        (switched, "switches are not supported.*role='router'"),
        (lonely, "no node is a server"),
        (apart, "path 1: no route from client"),
        (unplugged, "no path joins a client to a server"),
        (odd, "role 'boss' is unknown; there are client, server, router, host"),
        (long, "more than 15 letters"),
    ):
        with pytest.raises(UserError, match=said):
            built(build)
