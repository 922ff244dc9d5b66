"""Whether there is a closed form is decided from the network and the hosts, not from how a key is spelled."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.link import LinkParams
from testbed.model import Assumptions, assumptions, predict
from testbed.model.assumptions import HARMLESS_LINK, LOSSES
from testbed.mptcp.config import ClientConfig, MptcpConfig, ServerConfig, TcpConfig
from testbed.results import closed_form, exact_interval, load
from testbed.results.join import join
from testbed.runner import load_experiment, run_campaign
from testbed.runner.experiment import written
from testbed.runner.network import hosts_of, network_of
from testbed.sim import simulate

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "fallback.yaml"
LOSS = "paths.*.loss.up"
PLAIN = ("vary={}", "client.profile=v0", "figures=[]")


def cell(*sets: str) -> Any:
    (plan,) = load_experiment(EXPERIMENT, (*PLAIN, *sets)).cells
    return plan.cell


def said(*sets: str) -> Assumptions | str:
    one = cell(*sets)
    plan = network_of(one)
    found = assumptions(plan, hosts_of(one, plan, 1))
    form = closed_form(written(one))
    assert (form is None) if isinstance(found, str) else (form == found.predict())
    return found


FIVE = ("paths.*.loss.up=5",)
SPELLINGS = (
    FIVE,
    ("paths.1.loss.up=5",),
    ("paths.1.loss.up=5%",),
    ("links.client-r1.loss.up=5.0",),
    ("links.r1-client.loss.up=5",),
    ("paths.*.loss=5", "paths.*.loss.down=0"),
    ("paths.1.loss.up=20", "links.client-r1.loss.up=5"),
    ("paths.*.loss.up=5", "paths.2.loss.up=20"),  # not the first subflow's
    ("paths.*.loss.up=5", "paths.1.burst=null", "paths.*.duplicate=0", "paths.1.reorder.up=0%"),
    ("paths.*.loss.up=5", "paths.1.drop.up=[]", "paths.1.jitter_order=any", "paths.1.at={}"),
    ("paths.*.loss.up=5", "paths.2.middlebox.up=nat"),  # one path, and it is not on it
)


@pytest.mark.parametrize("sets", SPELLINGS, ids=" ".join)
def test_every_spelling_of_a_network_has_the_same_closed_form(sets: tuple[str, ...]) -> None:
    found = said(*sets)
    assert not isinstance(found, str), found
    assert found == said(*FIVE)
    form = found.predict()
    assert form == predict("v0", 0.05, 1, 2, lone_after=1, syns=7)
    assert form.fallback == pytest.approx(0.0501, abs=1e-4)


# A value for every word of a link that does something to packets.
IMPAIRMENTS = {
    "burst": "p=1% r=25%",
    "blackout": "2s-3s",
    "duplicate": 1,
    "corrupt": 1,
    "drop": "third_ack",
    "middlebox": "nat",
    "red": True,
    "at": "{3s: {loss: 0}}",
    "reorder": 5,
    "loss": 5,
}
WAYS = ("up", "down")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", ["paths.*", "paths.1", "links.client-r1", "links.r1-server"])
@pytest.mark.parametrize("word", IMPAIRMENTS)
def test_an_impairment_has_no_closed_form_however_it_is_spelled(word: str, where: str, way: str) -> None:
    red = [f"{where}.rate=10"] if word == "red" else []
    found = said(*FIVE, *red, f"{where}.{word}.{way}={IMPAIRMENTS[word]}")
    if word in ("loss", "reorder") and way == "up":  # these are what the forms know
        assert not isinstance(found, str)
        return
    assert isinstance(found, str), (word, where, way)
    assert found


def test_losses_on_several_links_add_up() -> None:
    found = said("paths.1.loss.up=5", "links.r1-server.loss.up=20")
    assert isinstance(found, Assumptions)
    assert found.loss == pytest.approx(1 - 0.95 * 0.8)


def test_a_link_value_that_is_new_has_no_closed_form() -> None:
    """Every field of a link is harmless by name, or known, or its default is asked for."""
    assert {field.name for field in dataclasses.fields(LinkParams)} >= HARMLESS_LINK | LOSSES
    one = cell(*FIVE)
    plan = network_of(one)
    values: dict[str, Any] = {
        "burst": "p=1% r=25%",
        "blackouts": ("2s-3s",),
        "corrupt": 0.1,
        "duplicate": 0.1,
        "drops": ("syn",),
    }
    for name, value in values.items():
        links = [
            dataclasses.replace(link, backward=dataclasses.replace(link.backward, **{name: value}))
            for link in plan.links
        ]
        other = dataclasses.replace(plan, links=tuple(links))
        assert isinstance(assumptions(other, hosts_of(one, other, 1)), str), name


def other_than(value: Any, name: str) -> Any:
    """Some other value of the same kind; None where there is none to think of."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value // 2 or value + 1
    if value is None:
        return None
    return None


# Fields of the stacks that change nothing, or whose effect the form knows.
KNOWN = {
    "client": {"syn_retries", "fast_open_pauses"},
    "server": {"backlog", "fast_open", "fast_open_pending", "fast_open_cookie"},
    "client.tcp": {
        "sack", "window_scale", "receive_buffer", "send_buffer", "rto_initial", "rto_min", "rto_max",
        "syn_attempts", "data_attempts", "delayed_ack", "time_wait", "gso_max_size", "initial_window",
    },
    "server.tcp": {
        "sack", "window_scale", "receive_buffer", "send_buffer", "rto_initial", "rto_min", "rto_max",
        "syn_attempts", "delayed_ack", "time_wait", "gso_max_size", "initial_window", "nagle",
    },
    "client.mptcp": {
        "checksum", "refuse_checksum", "draft_version", "dsn_bytes", "isn_recovery", "opportunistic",
        "penalize", "deny_join", "deny_join_initial", "close_timeout",
    },
    "server.mptcp": {
        "checksum", "refuse_checksum", "draft_version", "dsn_bytes", "isn_recovery", "opportunistic",
        "penalize", "deny_join", "deny_join_initial", "close_timeout", "repeat_keys",
    },
}  # fmt: skip
CONFIGS: dict[str, Any] = {"client": ClientConfig(), "server": ServerConfig()}
CONFIGS |= {f"{end}.tcp": TcpConfig() for end in ("client", "server")}
CONFIGS |= {f"{end}.mptcp": MptcpConfig() for end in ("client", "server")}
FIELDS = [
    (where, field.name, other)
    for where, config in CONFIGS.items()
    for field in dataclasses.fields(config)
    if (other := other_than(getattr(config, field.name), field.name)) is not None
]


@pytest.mark.parametrize(("where", "name", "value"), FIELDS, ids=[f"{w}.{n}" for w, n, _ in FIELDS])
def test_what_a_stack_does_is_harmless_by_name_only(where: str, name: str, value: Any) -> None:
    one = cell(*FIVE)
    plan = network_of(one)
    end, _, part = where.partition(".")
    hosts = []
    for host in hosts_of(one, plan, 1):
        config: Any = getattr(host, end)
        if config is None:
            hosts.append(host)
            continue
        if part:
            value_there = dataclasses.replace(getattr(config, part), **{name: value})
            changed = dataclasses.replace(config, **{part: value_there})
        else:
            changed = dataclasses.replace(config, **{name: value})
        hosts.append(dataclasses.replace(host, **{end: changed}))
    assert isinstance(assumptions(plan, hosts), Assumptions) == (name in KNOWN[where])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    up=st.lists(st.integers(0, 30), min_size=2, max_size=2),
    where=st.sampled_from(["paths.1", "paths.*", "links.client-r1"]),
    both=st.booleans(),
    order=st.booleans(),
    percent=st.booleans(),
)
def test_any_spelling_of_any_loss_is_what_the_network_says(
    up: list[int], where: str, both: bool, order: bool, percent: bool
) -> None:
    first, second = up
    text = f"{first}%" if percent else str(first)
    sets = [f"links.r1-server.loss.up={second}"]
    sets += [f"{where}.loss={text}", f"{where}.loss.down=0"] if both else [f"{where}.loss.up={text}"]
    if order and where != "links.client-r1":
        sets.insert(0, "links.client-r1.loss.up=99")  # overridden by what follows
    found = said(*sets)
    assert isinstance(found, Assumptions), found
    plan = network_of(cell(*sets))
    through = 1.0
    for name, way in plan.path("1").up:
        through *= 1 - plan.link(name).params(way).loss
    assert found.loss == pytest.approx(1 - through)


HARMLESS = {
    "rate": ["paths.*.rate=3"],
    "jitter": ["paths.*.jitter=5ms"],
    "delay": ["paths.*.delay=200ms"],
    "checksum": ["client.mptcp.checksum=true"],
    "short numbers": ["client.mptcp.dsn_bytes=4"],
    "controller": ["client.tcp.congestion=olia", "server.tcp.congestion=lia"],
    "no sack": ["client.tcp.sack=false"],
    "no scale": ["client.tcp.window_scale=null"],
    "small windows": ["client.tcp.receive_buffer=4KB", "server.tcp.initial_window=1"],
    "timers": ["client.tcp.rto_min=20ms", "client.tcp.rto_initial=700ms", "server.tcp.rto_initial=2s"],
    "backlog": ["server.backlog=1"],
    "paths": ["client.paths={}", "server.paths={}"],
    "nagle at the server": ["server.tcp.nagle=true"],
    "window of 3": ["client.tcp.initial_window=3", "workload.request=14KB", "workload.arrivals=20/s"],
    "no further joins": ["server.mptcp.deny_join_initial=true", "client.paths={}", "server.paths={}"],
    "loss on both links": ["links.r1-server.loss.up=10"],
}


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["v0", "v1"])
@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_listed_as_harmless_is(name: str, profile: str) -> None:
    """The simulator lies within the exact 99.9 % interval of the closed form."""
    sets = [f"client.profile={profile}", "paths.*.loss.up=20", "connections=600", "workload.arrivals=100/s"]
    one = cell(*sets, "workload.response=1KB", *HARMLESS[name])
    form = closed_form(written(one))
    assert form is not None
    plan = network_of(one)
    outcome = simulate(plan, hosts_of(one, plan, 3), 3)
    assert not any(link["dropped"]["queue"] for link in outcome.links.values())
    rows = join(outcome.rows)
    for verdict in ("mptcp", "fallback", "reset", "hang"):
        count = sum(row["verdict"] == verdict for row in rows)
        low, high = exact_interval(count, len(rows))
        assert low <= getattr(form, verdict) <= high, (verdict, count, len(rows))


def test_a_loss_that_ends_in_timeouts_has_none() -> None:
    found = said("paths.*.loss.up=90")
    assert isinstance(found, Assumptions)
    assert found.predict() is None
    assert found.predict(0.2) is not None


def test_records_carry_the_assumptions_and_a_topology_file_is_not_read_again(tmp_path: Path) -> None:
    topology = (EXPERIMENT.parents[1] / "topologies" / "two_path.py").read_text()
    (tmp_path / "mine.py").write_text(topology)
    file = tmp_path / "one.yaml"
    file.write_text(EXPERIMENT.read_text().replace("name: two_path", "file: ./mine.py"))
    sets = (*PLAIN, "paths.1.loss.up=20", "connections=20")
    run_campaign(load_experiment(file, sets), net="sim", way="simulator", out=tmp_path / "out", jobs=1)
    (tmp_path / "mine.py").write_text("raise SystemExit('executed to read results')")
    results = load(tmp_path / "out")
    assert results.summary["fallback_expected"][0] == pytest.approx(0.2064, abs=1e-4)
    assert results.expected(0, 0.05) == predict("v0", 0.05, 1, 2, lone_after=1, syns=7)
