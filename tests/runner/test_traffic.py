"""`traffic:` in an experiment: who competes with whom, what cannot be meant, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.cli.show import summary_table
from testbed.errors import MachineError, UserError
from testbed.figures import demands
from testbed.mptcp.config import Profile
from testbed.net import check
from testbed.results import Results, load
from testbed.runner import choose_way, conclude, load_experiment, run_campaign
from testbed.runner.network import hosts_of, network_of
from testbed.workloads.serving import ENDLESS

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "dumbbell.yaml"
HEAD = "topology: {name: dumbbell, rivals: 3}\nworkload: {type: bulk}\ntraffic:\n"


def experiment(folder: Path, *entries: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(HEAD + "".join(f"  - {entry}\n" for entry in entries), encoding="utf-8")
    return file


def test_patterns_pair_by_rank(tmp_path: Path) -> None:
    first = "{from: tcp1, to: sink3, client: {profile: v1, tcp: {congestion: lia}}, start: 1s, bytes: 10MB}"
    (plan,) = load_experiment(experiment(tmp_path, first, "{from: 'tcp[23]', to: 'sink[12]'}")).cells
    specs = hosts_of(plan.cell, network_of(plan.cell), seed=7)
    assert [spec.name for spec in specs if not spec.background] == ["client", "server"]
    rivals = [spec for spec in specs if spec.background]
    names = [(spec.name, spec.role) for spec in rivals]
    assert names[:2] == [("tcp1", "client"), ("sink3", "server")]
    assert [name for name, _ in names[2:]] == ["tcp2", "sink1", "tcp3", "sink2"]
    one, sink, other = rivals[:3]
    assert (one.addresses, one.remote) == (("10.3.1.1",), ("10.4.3.1",))
    assert one.client is not None
    assert other.client is not None
    assert sink.server is not None
    assert (one.client.profile, one.client.tcp.congestion) == (Profile.V1, "lia")
    assert sink.server.tcp == one.client.tcp
    assert (one.workload.start, one.workload.request) == (10**9, 10_000_000)
    assert (other.client.profile, other.workload.request) == (Profile.TCP, ENDLESS)
    assert len({spec.seed for spec in specs}) == len(specs)


def test_written_out_it_reads_back_as_the_same(tmp_path: Path) -> None:
    campaign = load_experiment(experiment(tmp_path, "{from: tcp*, to: sink*}"))
    again = tmp_path / "again.yaml"
    again.write_text(campaign.text(), encoding="utf-8")
    assert [plan.cell for plan in load_experiment(again).cells] == [plan.cell for plan in campaign.cells]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{from: tpc1, to: sink1}", "traffic[0].from: no host is called tpc1; did you mean tcp1?"),
        ("{from: tcp1, to: zink*}", "traffic[0].to: no host is called zink*"),
        ("{from: client, to: sink1}", "traffic[0].from: client has the role client"),
        ("{from: tcp1, to: server}", "traffic[0].to: server has the role server"),
        ("{from: r1, to: sink1}", "traffic[0].from: r1 has the role router"),
        ("{from: tcp1, to: tcp1}", "traffic[0].from: tcp1 would send to itself"),
        ("{from: tcp*, to: sink1}", "traffic[0].from: tcp* is tcp1, tcp2, tcp3, and sink1 is sink1: as many"),
        ("{from: tcp1}", "traffic[0].to: is missing"),
        ("{form: tcp1, to: sink1}", "traffic[0].form: unknown key; did you mean from?"),
        ("{from: tcp1, to: sink1, start: 3}", "traffic[0].start: expected a time with its unit"),
        ("{from: tcp1, to: sink1, bytes: 0}", "traffic[0].bytes: expected greater than or equal to 1"),
        ("{from: tcp1, to: sink1, client: {profile: kernel}}", "traffic[0].client.profile: expected tcp, v0"),
        (
            "{from: tcp1, to: sink1, client: {tcp: {congestoin: lia}}}",
            "traffic[0].client.tcp.congestoin: unknown key; did you mean congestion?",
        ),
        (
            "{from: tcp1, to: sink1, client: {paths: {endpoints: [10.0.1.1 subflow]}}}",
            "traffic[0].client.paths.endpoints: 10.0.1.1 is no address of tcp1; it has 10.3.1.1",
        ),
        ("tcp1", "traffic: expected keys and values below it, not 'tcp1'"),
    ],
)
def test_what_cannot_be_meant_is_named_before_anything_starts(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_experiment(experiment(tmp_path, entry))
    assert f"mine.yaml:4: {said}" in str(caught.value)


FLOOD = """\
topology: {name: flood, clients: 2}
traffic:
  - {from: attacker, to: server, ENTRY}
workload: {request: 300B, response: 5KB, arrivals: 50/s, timeout: 4s, start: 500ms}
server: {backlog: 64}
connections: 20
"""


def flood(folder: Path, entry: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(FLOOD.replace("ENTRY", entry), encoding="utf-8")
    return file


def test_a_flood_is_a_host_that_sends_syns(tmp_path: Path) -> None:
    (plan,) = load_experiment(
        flood(tmp_path, "syn_flood: 700/s, syns: 5000, start: 1s, client: {profile: v0}")
    ).cells
    (spec,) = [spec for spec in hosts_of(plan.cell, network_of(plan.cell), seed=7) if spec.background]
    assert spec.flood is not None
    assert (spec.flood.rate, spec.flood.most, spec.flood.victim) == (700, 5000, "server")
    assert (spec.name, spec.role, spec.remote) == ("attacker", "client", ("10.1.1.1",))
    assert spec.client is not None
    assert (spec.client.profile, spec.workload.start) == (Profile.V0, 10**9)


def test_a_floods_rate_may_vary(tmp_path: Path) -> None:
    file = flood(tmp_path, "client: {profile: v1}")
    with pytest.raises(UserError, match="server has the role server, and traffic goes between hosts without"):
        load_experiment(file)
    campaign = load_experiment(file, ["vary={traffic.attacker.syn_flood: [0, 100/s, 1000]}"])
    assert [dict(plan.factors) for plan in campaign.cells] == [
        {"traffic.attacker.syn_flood": rate} for rate in (0, 100, 1000)
    ]
    again = tmp_path / "again.yaml"
    again.write_text(campaign.text(), encoding="utf-8")
    assert [plan.cell for plan in load_experiment(again).cells] == [plan.cell for plan in campaign.cells]
    (fixed,) = load_experiment(file, ["traffic.attacker.syn_flood=50"]).cells
    assert fixed.cell.traffic[0].syn_flood == 50
    with pytest.raises(UserError, match="traffic is a list and has no item from atacker"):
        load_experiment(file, ["vary={traffic.atacker.syn_flood: [0, 100]}"])
    with pytest.raises(UserError, match="varied here and fixed at"):
        load_experiment(flood(tmp_path, "syn_flood: 1"), ["vary={traffic.attacker.syn_flood: [0, 100]}"])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("syn_flood: fast", "syn_flood: expected SYNs per second such as 1000/s, up to 100000/s, not 'fast'"),
        ("syn_flood: 1000000/s", "syn_flood: expected SYNs per second"),
        ("syn_flood: -1", "syn_flood: expected SYNs per second"),
        ("syn_flood: 10/s, bytes: 1MB", "bytes: means nothing beside syn_flood"),
        ("syn_flood: 10/s, syns: 0", "syns: expected greater than or equal to 1"),
        ("syn_flood: 10/s, syns: 2000000", "syns: expected less than or equal to 1000000"),
        ("syn_flood: 10/s, client: {profile: kernel}", "client.profile: expected tcp, v0, draft or v1"),
        ("syn_floot: 10/s", "syn_floot: unknown key; did you mean syn_flood?"),
    ],
)
def test_what_no_flood_can_be_is_named(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_experiment(flood(tmp_path, entry))
    assert f"mine.yaml:3: traffic[0].{said}" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("from: attacker, to: client1", "to: client1 has the role client, and a flood goes to a server"),
        ("from: client1, to: server", "from: client1 has the role client, and traffic goes between hosts"),
        ("from: attacker, to: nobody", "to: no host is called nobody; known here: server"),
    ],
)
def test_a_flood_goes_from_a_free_host_to_a_server(tmp_path: Path, words: str, said: str) -> None:
    file = flood(tmp_path, "syn_flood: 10/s")
    file.write_text(file.read_text().replace("from: attacker, to: server", words), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_experiment(file)
    assert f"mine.yaml:3: traffic[0].{said}" in str(caught.value)


def flooded(folder: Path, net: str) -> Results:
    """A backlog of 64 is full at once: without cookies nobody else is served, with them everybody is."""
    campaign = load_experiment(
        flood(folder, "syn_flood: 400/s, client: {profile: v1}"),
        ["vary.server.syn_cookies=[off, always]", "fidelity.calibrate=false"],
    )
    way = choose_way(campaign, net)
    finished = run_campaign(campaign, net=way.net, way=way.words, out=folder / "out")
    finished.check()
    results = load(finished.directory)
    silent, stateless = results.summary.to_dict("records")
    assert (silent["connections"], silent["hang"]) == (40, 40)
    assert (stateless["connections"], stateless["mptcp"]) == (40, 40)
    for record in results.records:
        (attack,) = record["traffic"]
        assert (attack["from"], attack["to"], attack["profile"]) == ("attacker", "server", "v1")
        assert attack["syns"] >= attack["synacks"] > 0
    assert (silent["server_half_open_peak"], stateless["server_half_open_peak"]) == (64, 0)
    assert silent["server_connections_peak"] >= 64 > stateless["server_connections_peak"] > 0
    assert "SYNs/s  SYN/ACKs/SYN  half-open" in summary_table(results).splitlines()[0]
    return results


def test_a_flood_and_what_cookies_save(tmp_path: Path) -> None:
    results = flooded(tmp_path, "sim")
    silent, stateless = results.summary.to_dict("records")
    assert stateless["synacks_per_syn"] == pytest.approx(1, abs=0.02)
    assert silent["synacks_per_syn"] < 0.2
    assert (silent["served"], stateless["served"], stateless["served_rate"]) == (0, 40, 1.0)
    for cell in (silent, stateless):
        assert cell["syns_per_second"] == pytest.approx(400, rel=0.001)
    assert not any(record["warnings"] for record in results.records)


@pytest.mark.lab
def test_a_flood_in_a_lab(tmp_path: Path) -> None:
    try:
        check()
    except MachineError as error:
        pytest.skip(str(error))
    results = flooded(tmp_path, "mininet")
    for cell in results.summary.to_dict("records"):
        assert cell["server_memory_mb"] > cell["server_memory_growth_mb"] >= 0
        assert cell["server_memory_mb"] > 5, "there is no Python process that small"


def test_a_host_competes_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r":5: traffic\[1\]\.to: sink1 takes part in traffic\[0\] already"):
        load_experiment(experiment(tmp_path, "{from: tcp*, to: sink*}", "{from: tcp2, to: sink1}"))


def test_a_pattern_is_checked_in_every_cell(tmp_path: Path) -> None:
    file = experiment(tmp_path, "{from: tcp*, to: sink*}")
    with pytest.raises(UserError, match=r"traffic\[0\]\.from: no host is called tcp\*; this topology has"):
        load_experiment(file, ["topology={name: dumbbell}", "vary={topology.rivals: [1, 0]}"])


def go(out: Path, net: str, *sets: str) -> Results:
    campaign = load_experiment(EXPERIMENT, sets, demands())
    way = choose_way(campaign, net)
    finished = run_campaign(campaign, net=way.net, way=way.words, out=out)
    finished.check()
    conclude(finished.directory, campaign.experiment.figures)
    return load(finished.directory)


def hold(results: Results, rivals: int) -> None:
    """One measured connection; of each rival what it got, in the record and in the table."""
    (row,) = results.connections.to_dict("records")
    assert (row["client_address"], row["verdict"], row["intact"]) == ("10.0.1.1", "mptcp", True)
    assert len(results.paths) == 2
    (record,) = results.records
    assert record["invalid"] is None
    assert [(rival["from"], rival["to"]) for rival in record["traffic"]] == [
        (f"tcp{number}", f"sink{number}") for number in range(1, rivals + 1)
    ]
    assert all(rival["bytes"] > 0 for rival in record["traffic"])
    rates = [rival["goodput_mbit"] for rival in record["traffic"]]
    (cell,) = results.summary.to_dict("records")
    assert cell["traffic_mbit"] == pytest.approx(sum(rates), rel=1e-4)
    assert cell["rival_mbit"] == pytest.approx(sum(rates) / rivals, rel=1e-4)
    assert cell["rival_ratio"] == pytest.approx(row["goodput_mbit"] * rivals / sum(rates), rel=1e-4)
    head = summary_table(results).splitlines()[0]
    assert "traffic Mbit/s  each Mbit/s  client / each" in head
    page = (results.directory / "report.html").read_text(encoding="utf-8")
    assert "client / each" in page


def test_what_rivals_got_stands_beside_what_was_measured(tmp_path: Path) -> None:
    sets = ["vary={topology.rivals: [2]}", "workload.request=500KB", "workload.start=1s"]
    results = go(tmp_path / "out", "sim", *sets)
    hold(results, 2)
    assert 7.5 < results.summary["traffic_mbit"][0] + results.summary["goodput_mbit"][0] < 10


def test_a_rival_that_came_too_late_is_a_warning(tmp_path: Path) -> None:
    late = "traffic=[{from: tcp1, to: sink1}, {from: tcp2, to: sink2, start: 9min}]"
    sets = ["vary={}", "topology.rivals=2", "workload.request=100KB", late]
    results = go(tmp_path / "out", "sim", *sets)
    (record,) = results.records
    assert [rival["from"] for rival in record["traffic"]] == ["tcp1"]
    words = "traffic from tcp2 to sink2: nothing arrived while the measured clients ran"
    assert record["warnings"] == [words]


@pytest.mark.slow
def test_coupled_subflows_take_the_share_of_one_tcp(tmp_path: Path) -> None:
    ratios = go(tmp_path / "out", "sim", "vary.topology.rivals=[4]").summary.set_index(
        "client.tcp.congestion"
    )["rival_ratio"]
    assert ratios["lia"] == pytest.approx(1, abs=0.25)
    assert ratios["olia"] == pytest.approx(1, abs=0.25)
    assert ratios["newreno"] > 1.6


@pytest.mark.lab
def test_rivals_compete_in_a_lab_as_well(tmp_path: Path) -> None:
    try:
        check()
    except MachineError as error:
        pytest.skip(str(error))
    sets = ["vary={topology.rivals: [1]}", "workload.request=1MB", "workload.start=1s"]
    hold(go(tmp_path / "out", "mininet", *sets), 1)
