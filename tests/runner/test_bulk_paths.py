"""experiments/bulk_paths.yaml in a cut, and endpoints in an experiment: what uses which path.

Rates are those of virtual time; in a lab only who carried anything at all is looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import MachineError, UserError
from testbed.figures import demands
from testbed.net import check
from testbed.results import Results, load
from testbed.runner import choose_way, conclude, load_experiment, run_campaign
from testbed.runner.network import paths_of

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "bulk_paths.yaml"
ONE_CELL = ["vary={}", "workload.request=1MB", "figures=[]"]
BACKUP = (
    'client.paths={endpoints: ["10.0.2.1 id 7 subflow pair backup"], limits: "subflow 2 add_addr_accepted 1"}'
)


def go(out: Path, net: str, *sets: str) -> Results:
    campaign = load_experiment(EXPERIMENT, sets, demands())
    way = choose_way(campaign, net)
    finished = run_campaign(campaign, net=way.net, way=way.words, out=out)
    finished.check()
    conclude(finished.directory, campaign.experiment.figures)
    return load(finished.directory)


@pytest.mark.slow
def test_a_cut_of_the_experiment(tmp_path: Path) -> None:
    sets = ["client.tcp.congestion=cubic", "vary.paths.2.delay=[10ms]", "workload.request=3MB"]
    results = go(tmp_path / "out", "sim", *sets)
    assert set(results.connections["intact"]) == {True}
    assert set(results.connections["subflows"]) == {2}
    by = {
        (row["paths.2.rate"], row["client.mptcp.scheduler"]): row
        for row in results.summary.to_dict("records")
    }
    # Payload over 10 + 10 and 10 + 2 Mbit/s, slow start included; redundant: what the better path can do.
    for rate, name, low, high in (
        (10, "lowest_rtt", 16.0, 19.0),
        (10, "round_robin", 16.0, 19.0),
        (10, "redundant", 8.5, 9.5),
        (2, "lowest_rtt", 10.0, 11.5),
        (2, "redundant", 8.5, 9.5),
    ):
        assert low < by[rate, name]["goodput_mbit"] < high, (rate, name)
    assert by[10, "lowest_rtt"]["paths.1.share"] == pytest.approx(0.5, abs=0.03)
    assert by[2, "lowest_rtt"]["paths.1.share"] == pytest.approx(10 / 12, abs=0.03)
    for name in ("goodput_by_path.svg", "goodput_by_path.png", "report.html"):
        assert (tmp_path / "out" / name).stat().st_size > 10_000
    assert "path 2" in (tmp_path / "out" / "goodput_by_path.svg").read_text()


def hold_backup(results: Results) -> None:
    (settings,) = (record["settings"] for record in results.records)
    assert settings["client"]["paths"] == {
        "endpoints": ["10.0.2.1 id 7 subflow backup pair"],
        "limits": "subflow 2 add_addr_accepted 1",
    }
    first, second = results.paths.to_dict("records")
    assert (first["path"], first["backup"]) == ("1", False)
    assert (second["path"], second["backup"], second["client_id"]) == ("2", True, 7)
    assert (first["share"], second["share"]) == (1, 0)
    assert set(results.paths["ended"]) == {"closed"}


def test_a_backup_carries_nothing_while_the_first_path_works(tmp_path: Path) -> None:
    hold_backup(go(tmp_path / "out", "sim", *ONE_CELL, BACKUP))


@pytest.mark.lab
def test_endpoints_mean_the_same_in_a_lab(tmp_path: Path) -> None:
    try:
        check()
    except MachineError as error:
        pytest.skip(str(error))
    hold_backup(go(tmp_path / "out", "mininet", *ONE_CELL, BACKUP))


def test_endpoints_may_vary(tmp_path: Path) -> None:
    vary = 'vary.client.paths.endpoints=[[], ["10.0.2.1 subflow pair"]]'
    limits = 'server.paths={endpoints: ["10.1.2.1 signal"], limits: "subflow 1"}'
    results = go(tmp_path / "out", "sim", *ONE_CELL, vary, limits)
    alone, both = results.summary.to_dict("records")
    # With nothing said of it, the announced address is joined from the first one: a path without a name.
    assert alone["paths.10.0.1.1-10.1.2.1.share"] > 0.1
    assert alone["paths.2.share"] == both["paths.10.0.1.1-10.1.2.1.share"] == 0
    assert both["paths.2.share"] > 0.3


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["endpoints: [10.0.2.1 subflw]"], ":4: client.paths.endpoints: endpoint '10.0.2.1 subflw': subflw:"),
        (
            ["endpoints: [10.0.9.1 subflow]"],
            ":4: client.paths.endpoints: 10.0.9.1 is no address of client; it",
        ),
        (
            ["endpoints: [10.0.2.1 dev client-eth1 subflow, 10.0.1.1 dev eth0]"],
            ":4: client.paths.endpoints: dev eth0: 10.0.1.1 is the address of client-eth0",
        ),
        (["endpoints: 10.0.2.1"], ":4: client.paths.endpoints: expected a list of endpoints such as"),
        (
            ["limits: subflow many"],
            ":4: client.paths.limits: limits 'subflow many': subflow many: expected a",
        ),
        (["limits: {subflows: 2, addresses: 1}"], ":4: client.paths.limits: limits"),
        (["endpoint: []"], ":4: client.paths.endpoint: unknown key; did you mean endpoints?"),
        (["endpoints: []", "limits: {subflow: 99}"], ":5: client.paths.limits.*0 to 64"),
    ],
)
def test_wrong_words_are_named_with_their_place(tmp_path: Path, lines: list[str], said: str) -> None:
    file = tmp_path / "mine.yaml"
    text = ["topology: {name: two_path}", "client:", "  paths:", *(f"    {line}" for line in lines)]
    file.write_text("\n".join(text), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_experiment(file)
    head, _, tail = said.partition(".*")
    assert f"mine.yaml{head}" in str(caught.value)
    assert tail in str(caught.value)


def test_an_address_that_a_factor_gives_is_checked_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = "topology: {name: two_path}\nvary:\n  server.paths.endpoints: [[], [10.9.9.9 signal]]\n"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(
        UserError, match=r"mine\.yaml:3: server\.paths\.endpoints: 10\.9\.9\.9 is no address of"
    ):
        load_experiment(file)


def test_a_shared_bottleneck_counts_once_in_the_sum_of_rates() -> None:
    """Two paths through one link of 10 Mbit/s carry 10 together, two links of 10 carry 20."""
    for file, links in (("dumbbell.yaml", {"r1-r2"}), ("bulk_paths.yaml", {"client-r1", "client-r2"})):
        cell = load_experiment(EXPERIMENT.with_name(file), ["vary={}", "figures=[]"]).cells[0].cell
        paths = paths_of(cell)
        assert {path["bottleneck_up"] for path in paths.values()} == links
        assert {path["rate_up"] for path in paths.values()} == {10_000_000}
