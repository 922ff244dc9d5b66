"""An experiment's words about paths and links: where they act, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from mininet.topo import Topo

from testbed.errors import UserError
from testbed.link import LinkParams
from testbed.plan import NetPlan, draw, load_topology, plan_from, with_overrides


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


def test_every_word_of_the_link_model() -> None:
    words: dict[str, object] = {
        "queue": "64kB",
        "red": {"min": "8kB", "max": "16kB", "p": "5%"},
        "burst": {"p": "1%", "r": "25%"},
        "blackout": ["2s-3s", "5s-6s"],
        "corrupt": "1%",
        "jitter_order": "any",
        "drop": "packet:1+3+4 + mp_join@2",
    }
    after = with_overrides(two_path(), {f"paths.1.{word}.up": value for word, value in words.items()})
    params, plain = after.link("client-r1").forward, two_path().link("client-r1").forward
    assert (params.queue, params.queue_in_bytes, params.red) == (64_000, True, "min=8kB max=16kB p=5%")
    assert (params.burst, params.blackouts) == ("p=1% r=25%", ("2s-3s", "5s-6s"))
    assert (params.corrupt, params.jitter_order) == (0.01, "any")
    assert params.drops == ("packet:1+3+4", "mp_join@2")
    assert after.link("client-r1").backward == plain
    text = draw(after)
    for shown in ("queue 64 kB", "RED min=8kB", "bursts p=1%", "blackout 2s-3s + 5s-6s", "corrupted 1 %"):
        assert shown in text
    back = with_overrides(after, {f"paths.1.{word}.up": None for word in words})
    assert back.link("client-r1").forward == plain


def test_a_schedule_changes_what_it_names_on_top_of_the_rest() -> None:
    schedule = {"3s": {"loss": 100, "rate": "1Mbit"}, "5s": {"loss": 0, "queue": "9kB"}}
    after = with_overrides(two_path(), {"paths.2.at": schedule, "paths.2.delay": "20ms"})
    for params in (after.link("client-r2").forward, after.link("client-r2").backward):
        (_, dead), (_, alive) = params.steps()
        assert (dead.loss, dead.rate, dead.delay) == (1.0, 1_000_000, 20_000_000)
        assert (alive.loss, alive.rate, alive.queue, alive.queue_in_bytes) == (0.0, 1_000_000, 9_000, True)
    assert "at 3 s: 1 Mbit/s, queue 100, 20 ms, loss 100 %" in draw(after)


def test_the_words_stand_in_a_topology_too() -> None:
    topo: Any = Topo()
    topo.addHost("client")
    topo.addHost("server")
    topo.addLink(
        "client", "server", bw=10, red=True, burst="p=1% r=20%", at={"1s": {"loss": 50}}, params1={"loss": 1}
    )
    link = plan_from(topo).link("client-server")
    assert (link.forward.red, link.forward.loss, link.backward.loss) == ("auto", 0.01, 0.0)
    assert [(at, params.loss) for at, params in link.backward.steps()] == [(10**9, 0.5)]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("paths.*.loss.up", 120, r"paths\.\*\.loss\.up: 120 %.*from 0 to 100"),
        ("paths.1.delay", 10, r"paths\.1\.delay: 10 is no time.*'10ms'"),
        ("paths.3.loss", 1, r"paths\.3\.loss: .*no path '3'; there are 1, 2"),
        ("paths.1.lose.up", 1, r"paths\.1\.lose\.up: unknown link parameter 'lose'.*loss"),
        ("links.r1-r9.loss", 1, r"links\.r1-r9\.loss: .*no link 'r1-r9'; there are client-r1"),
        ("paths.1.drop.up", "fourth_ack", "fourth_ack"),
        ("paths.1.queue", "64 Mbit", r"paths\.1\.queue: '64 Mbit' is no length of a queue.*'64kB'"),
        ("paths.1.corrupt", "1ms", r"paths\.1\.corrupt: '1ms' is no share"),
        ("paths.1.burst", {"p": "1%"}, r"paths\.1\.burst: 'p=1%' is no burst; expected p and r"),
        ("paths.1.burst", 5, r"paths\.1\.burst: 5 is not understood; expected names and values"),
        ("paths.1.red", "min=5 max=4", r"paths\.1\.red: .*expected min < max"),
        ("paths.1.red", "max=90", r"paths\.1\.red: red: the limit, 180 packets, is beyond the queue"),
        ("paths.1.blackout", "2s", r"paths\.1\.blackout: '2s' is no interval.*'2s-3s'"),
        ("paths.1.jitter_order", "no", r"paths\.1\.jitter_order: 'no' is no order; expected keep or any"),
        ("paths.1.at", "3s", r"paths\.1\.at: '3s' is no schedule; expected times and words"),
        ("paths.1.at", {"soon": {"loss": 1}}, r"paths\.1\.at: 'soon' is no time"),
        ("paths.1.at", {"3s": 5}, r"paths\.1\.at: 3s: 5; expected words"),
        ("paths.1.at", {"3s": {"loss": 101}}, r"paths\.1\.at: 3s: loss: 101 % is no share"),
        ("paths.1.at", {"3s": {"jitter": "1s"}}, r"paths\.1\.at: at 3 s: jitter: .* more than the delay"),
        ("paths.1.at", {"3s": {"middlebox": "x"}}, r"paths\.1\.at: 3s: middlebox: stands for the whole run"),
        ("paths.1.middlebox", "fnord", r"paths\.1\.middlebox: .*fnord"),
        ("paths.1.middlebox", 3, r"paths\.1\.middlebox: 3 is no middlebox; expected as in"),
        ("paths.loss", 1, r"paths\.loss: not understood; expected paths\.NAME"),
        ("hosts.1.loss", 1, r"hosts\.1\.loss: not understood"),
    ],
)
def test_an_error_names_the_key_the_value_and_what_was_expected(key: str, value: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        with_overrides(two_path(), {key: value})
