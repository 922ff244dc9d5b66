"""`client.bind`: the first subflow goes where it is told, and what can have no effect is an error."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import UserError
from testbed.records import finished_runs
from testbed.results import load
from testbed.runner import load_experiment, run_campaign
from testbed.runner.experiment import Campaign
from testbed.runner.network import hosts_of, network_of

TEXT = """\
topology: {name: n_paths, paths: 3}
workload: {type: bulk, request: 200KB, response: 0}
"""
WIFI_LTE = TEXT.replace("name: n_paths, paths: 3", "name: wifi_lte")


def experiment(path: Path, *sets: str, text: str = TEXT) -> Campaign:
    (path / "one.yaml").write_text(text)
    return load_experiment(path / "one.yaml", sets)


def taken(path: Path, *sets: str, text: str = TEXT) -> list[tuple[str, str]]:
    """(subflow, path) of one connection, in the order of opening; and that both ends agree."""
    campaign = experiment(path, *sets, text=text)
    out = path / "out"
    run_campaign(campaign, net="sim", way="simulator", out=out, jobs=1, fresh=True).check()
    results = load(out)
    assert results.connections["intact"].all()
    return [(str(row["subflow"]), row["path"]) for _, row in results.paths.iterrows()]


def warnings(path: Path) -> list[str]:
    return [text for _, record in finished_runs(path / "out") for text in record["warnings"]]


def test_plain_tcp_over_lte(tmp_path: Path) -> None:
    for words in ("[lte]", "lte", "10.0.2.1"):
        assert taken(tmp_path, "client.profile=tcp", f"client.bind={words}", text=WIFI_LTE) == [("0", "lte")]
    assert taken(tmp_path, "client.profile=tcp", text=WIFI_LTE) == [("0", "wifi")]


@pytest.mark.parametrize("profile", ["tcp", "v0", "v1"])
@pytest.mark.parametrize(
    "order", [order for count in (1, 2, 3) for order in itertools.permutations("123", count)], ids="".join
)
def test_any_order_of_any_paths(tmp_path: Path, order: tuple[str, ...], profile: str) -> None:
    """The first word is the first subflow's path, the others are used too, and no other path is."""
    sets = [f"client.profile={profile}", "server.paths.limits=subflow 8 add_addr_accepted 0"]
    sets += [f"client.paths.limits=subflow {len(order) - 1}"]
    found = taken(tmp_path, *sets, f"client.bind=[{', '.join(order)}]")
    assert found[0] == ("0", order[0])
    (plan,) = experiment(tmp_path, *sets, f"client.bind=[{', '.join(order)}]").cells
    network = network_of(plan.cell)
    addresses = [network.path(name).client_address for name in order]
    client, server = hosts_of(plan.cell, network, 1)
    assert list(client.addresses) == addresses
    assert client.remote[: len(order)] == tuple(network.path(name).server_address for name in order)
    assert server.addresses[: len(order)] == client.remote[: len(order)]
    if profile != "tcp":
        assert sorted(path for _, path in found) == sorted(order)
        assert not warnings(tmp_path)
    else:
        assert len(found) == 1
    assert taken(tmp_path, *sets, f"client.bind=[{', '.join(addresses)}]") == found


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["client.bind=[5g]"], "client.bind: '5g' is neither a path nor an address of client; expected"),
        (["client.bind=[10.9.9.9]"], "client.bind: '10.9.9.9' is neither"),
        (["client.bind=[10.1.1.1]"], "client.bind: '10.1.1.1' is neither"),  # the server's
        (["client.bind=[lte, lte]"], "client.bind: 'lte' is a path or an address that is in the list"),
        (["client.bind=[lte, 10.0.2.1]"], "client.bind: '10.0.2.1' is a path or an address that is"),
        (["client.bind={lte: 1}"], "client.bind: expected paths or addresses such as"),
        (["client.bind=[true]"], "client.bind: expected paths or addresses such as"),
        (["client.bnd=lte"], r"client.bnd: unknown key; did you mean bind\?"),
        (
            ["client.profile=tcp", 'client.paths.endpoints=["10.0.2.1 subflow"]'],
            "client.paths.endpoints: has no effect: client.profile is tcp",
        ),
        (
            ["server.profiles=tcp", 'client.paths.endpoints=["10.0.2.1 subflow"]'],
            "client.paths.endpoints: has no effect: server.profiles is tcp",
        ),
        (
            ["server.profiles=tcp", 'server.paths.endpoints=["10.1.2.1 signal"]'],
            "server.paths.endpoints: has no effect: server.profiles is tcp",
        ),
        (
            ["client.bind=wifi", 'client.paths.endpoints=["10.0.2.1 subflow"]'],
            "10.0.2.1 is no address of client; it has 10.0.1.1 by client.bind",
        ),
        (["vary.client.bind=[lte, 5g]"], "vary.client.bind: '5g' is neither|client.bind: '5g' is neither"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_its_place(tmp_path: Path, sets: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        experiment(tmp_path, *sets, text=WIFI_LTE)
    assert "--set" in str(caught.value)


@pytest.mark.parametrize("profile", ["tcp", "v1"])
@pytest.mark.parametrize("served", ["tcp", "v1, tcp"])
@pytest.mark.parametrize("end", ["client", "server"])
def test_no_endpoints_are_never_an_error(tmp_path: Path, profile: str, served: str, end: str) -> None:
    sets = f"client.profile={profile}", f"server.profiles=[{served}]", f"{end}.paths.endpoints=[]"
    assert experiment(tmp_path, *sets).cells


def test_crossed_paths_are_a_warning(tmp_path: Path) -> None:
    found = taken(tmp_path, 'client.paths.endpoints=["10.0.2.1 subflow"]', text=WIFI_LTE)
    assert ("1", "10.0.2.1-10.1.1.1") in found
    (warning, *_) = warnings(tmp_path)
    assert warning.startswith("crossed paths: 1 subflow from 10.0.2.1 to 10.1.1.1, ")
    taken(tmp_path, "client.bind=[lte]", "server.paths.endpoints=[]", text=WIFI_LTE)
    assert not warnings(tmp_path)


def test_it_may_vary_and_is_written_as_it_is_read(tmp_path: Path) -> None:
    campaign = experiment(tmp_path, 'vary.client.bind=[wifi, [lte], "lte, wifi"]', text=WIFI_LTE)
    assert [plan.factors["client.bind"] for plan in campaign.cells] == ["wifi", "lte", "lte, wifi"]
    (tmp_path / "again.yaml").write_text(campaign.text())
    again = load_experiment(tmp_path / "again.yaml")
    assert again.text().split("\n", 1)[1] == campaign.text().split("\n", 1)[1]
    run_campaign(campaign, net="sim", way="simulator", out=tmp_path / "out", jobs=1).check()
    firsts = load(tmp_path / "out").paths.query("subflow == 0")
    assert list(firsts["path"]) == ["wifi", "lte", "lte"]


def test_several_clients_bind_by_the_paths_own_number(tmp_path: Path) -> None:
    text = TEXT.replace("n_paths, paths: 3", "flood, clients: 2")
    campaign = experiment(tmp_path, "client.bind=[2]", "client.profile=tcp", text=text)
    (plan,) = campaign.cells
    network = network_of(plan.cell)
    hosts: dict[str, Any] = {host.name: host for host in hosts_of(plan.cell, network, 1)}
    assert hosts["client1"].addresses == ("10.0.2.1",)
    assert hosts["client2"].addresses == ("10.0.4.1",)


ENDPOINT = "paths: {endpoints: [1.2.3.4 subflow]}"


def test_competing_hosts_bind_too(tmp_path: Path) -> None:
    text = """\
topology: {name: dumbbell}
traffic: [{from: tcp1, to: sink1, client: {bind: [ADDRESS]}}]
workload: {type: bulk}
"""
    (tmp_path / "one.yaml").write_text(text.replace("ADDRESS", "1.2.3.4"))
    with pytest.raises(UserError, match=r"traffic\[0\].client.bind: '1.2.3.4' is no address of tcp1"):
        load_experiment(tmp_path / "one.yaml")
    (tmp_path / "one.yaml").write_text(text.replace("bind: [ADDRESS]", ENDPOINT))
    with pytest.raises(UserError, match=r"traffic\[0\].client.paths.endpoints: has no effect"):
        load_experiment(tmp_path / "one.yaml")
