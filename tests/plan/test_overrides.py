"""An experiment's words about paths and links: where they act, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from mininet.topo import Topo

from testbed.errors import UserError
from testbed.link import LinkParams
from testbed.plan import NetPlan, load_topology, plan_from, with_overrides


def two_path(**params: object) -> NetPlan:
    return plan_from(load_topology("two_path", **params))


def test_a_path_has_its_loss_once_at_the_access_link() -> None:
    plan = two_path()
    after = with_overrides(plan, {"paths.*.loss.up": 5, "paths.2.loss.down": "2%"})
    assert (after.link("client-r1").forward.loss, after.link("client-r1").backward.loss) == (0.05, 0.0)
    assert (after.link("client-r2").forward.loss, after.link("client-r2").backward.loss) == (0.05, 0.02)
    for name in ("r1-server", "r2-server"):
        assert after.link(name) == plan.link(name)
    assert plan.link("client-r1").forward.loss == 0  # the plan itself is unchanged


def test_both_ways_without_a_way() -> None:
    after = with_overrides(two_path(), {"paths.1.delay": "40ms", "paths.1.rate": 2, "paths.1.queue": 7})
    link = after.link("client-r1")
    assert link.forward == link.backward == LinkParams(rate=2_000_000, queue=7, delay=40_000_000)


def test_exact_drops_as_a_list_or_joined() -> None:
    for value in (["third_ack", "data:1"], "third_ack + data:1"):
        after = with_overrides(two_path(), {"paths.1.drop.up": value})
        assert after.link("client-r1").forward.drops == ("third_ack", "data:1")
    cleared = with_overrides(after, {"paths.1.drop.up": []})
    assert cleared.link("client-r1").forward.drops == ()


def test_null_means_the_default() -> None:
    after = with_overrides(two_path(), {"paths.*.rate": None, "paths.*.delay": None})
    assert not any(link.shaped for link in after.links)


def test_a_link_by_name_in_either_order() -> None:
    for name in ("r1-server", "server-r1"):
        after = with_overrides(two_path(), {f"links.{name}.loss.up": 10, f"links.{name}.delay.down": "3ms"})
        link = after.link("r1-server")
        assert link.shaped
        assert (link.forward.loss, link.backward.delay) == (0.1, 3_000_000)


def test_up_is_client_to_server_however_the_link_was_written() -> None:
    topo: Any = Topo()
    topo.addHost("server")
    topo.addHost("client")
    topo.addLink("server", "client")
    after = with_overrides(plan_from(topo), {"links.server-client.loss.up": 10})
    assert after.link("server-client").backward.loss == 0.1
    after = with_overrides(plan_from(topo), {"paths.1.loss.up": 10})
    assert after.link("server-client").backward.loss == 0.1


def test_a_plain_path_is_shaped_at_the_clients_link_both_ways() -> None:
    plain = with_overrides(two_path(), {"paths.*.rate": None, "paths.*.delay": None})
    after = with_overrides(plain, {"paths.1.loss.up": 5, "paths.1.loss.down": 6})
    assert [link.name for link in after.links if link.shaped] == ["client-r1"]
    assert (after.link("client-r1").forward.loss, after.link("client-r1").backward.loss) == (0.05, 0.06)


def test_jitter_may_stand_before_the_delay_that_makes_room_for_it() -> None:
    after = with_overrides(two_path(delay="0ms"), {"paths.1.jitter": "5ms", "paths.1.delay": "20ms"})
    assert after.link("client-r1").forward.jitter == 5_000_000
    with pytest.raises(UserError, match=r"paths\.1\.jitter: jitter"):
        with_overrides(two_path(delay="0ms"), {"paths.1.jitter": "5ms"})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("paths.*.loss.up", 120, r"paths\.\*\.loss\.up: 120 %.*from 0 to 100"),
        ("paths.1.delay", 10, r"paths\.1\.delay: 10 is no time.*'10ms'"),
        ("paths.3.loss", 1, r"paths\.3\.loss: .*no path '3'; there are 1, 2"),
        ("paths.1.lose.up", 1, r"paths\.1\.lose\.up: unknown link parameter 'lose'.*loss"),
        ("links.r1-r9.loss", 1, r"links\.r1-r9\.loss: .*no link 'r1-r9'; there are client-r1"),
        ("paths.1.drop.up", "fourth_ack", "fourth_ack"),
        ("paths.loss", 1, r"paths\.loss: not understood; expected paths\.NAME"),
        ("hosts.1.loss", 1, r"hosts\.1\.loss: not understood"),
    ],
)
def test_an_error_names_the_key_the_value_and_what_was_expected(key: str, value: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        with_overrides(two_path(), {key: value})
