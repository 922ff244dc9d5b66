"""Experiment files: what they become, and what is said of a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import UserError
from testbed.figures import demands
from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, SynCookies, ThirdAck
from testbed.runner import load_experiment
from testbed.runner.document import parse
from testbed.runner.network import hosts_of, network_of
from testbed.runner.spec import build

GOOD = """\
question: Why?
topology: {name: two_path, bw: 10, delay: 10ms}
vary:
  client.profile: [v0, v1]
  paths.*.loss.up: [0, 5%, 20]
client: {third_ack: piggyback, syn_retries: 1, tcp: {rto_min: 1s, mss: 1KB}}
server: {syn_cookies: off, profiles: [v1, tcp]}
workload: {type: request, request: 300B, response: 10KB, arrivals: 40/s}
connections: 30
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    file = tmp_path / "why.yaml"
    file.write_text(GOOD)
    return file


def test_cells_are_the_product_in_the_order_of_the_file(experiment: Path) -> None:
    campaign = load_experiment(experiment)
    seen = [tuple(plan.factors.values()) for plan in campaign.cells]
    assert seen == [("v0", 0), ("v0", 5), ("v0", 20), ("v1", 0), ("v1", 5), ("v1", 20)]


def test_a_cell_becomes_a_network_and_two_hosts(experiment: Path) -> None:
    cell = load_experiment(experiment).cells[4].cell
    plan = network_of(cell)
    client, server = hosts_of(cell, plan, seed=7)
    assert client.client is not None
    assert server.server is not None
    assert client.client.profile is Profile.V1
    assert client.client.third_ack is ThirdAck.PIGGYBACK
    assert client.client.tcp.rto_min == 10**9
    assert client.client.tcp.mss == 1000
    assert server.server.syn_cookies is SynCookies.OFF
    assert server.server.profiles == (Profile.V1, Profile.TCP)
    assert (client.workload.response, client.workload.arrivals) == (10_000, 40.0)
    assert client.seed != server.seed
    assert client.addresses == tuple(path.client_address for path in plan.paths)
    assert len(client.addresses) == len(server.addresses) == 2
    ups = [plan.link(path.up[0][0]).params(path.up[0][1]) for path in plan.paths]
    assert [params.loss for params in ups] == [0.05, 0.05]


def test_defaults_are_those_of_the_dataclasses(experiment: Path) -> None:
    campaign = load_experiment(experiment, ["client={}", "server={}", "vary={}"])
    assert build(ClientConfig, campaign.experiment.client) == ClientConfig()
    assert build(ServerConfig, campaign.experiment.server) == ServerConfig()


def test_resolved_reads_back_as_the_same(experiment: Path, tmp_path: Path) -> None:
    campaign = load_experiment(experiment, ["seed=9", "paths.1.delay.down=15ms"])
    again = tmp_path / "again.yaml"
    again.write_text(campaign.text())
    other = load_experiment(again)
    assert other.resolved() == campaign.resolved()
    assert [plan.cell for plan in other.cells] == [plan.cell for plan in campaign.cells]


def test_a_figure_that_will_not_fit_is_refused_before_anything_runs(experiment: Path) -> None:
    sets = ["figures=[fallback_by_loss]"]
    load_experiment(experiment, sets, demands())
    for fixed in ("paths.*.loss.up=5", "vary={}"):
        with pytest.raises(UserError, match=r"figures: fallback_by_loss needs one varied loss"):
            load_experiment(experiment, [*sets, fixed], demands())


def test_set_overrides_and_fixes_a_factor(experiment: Path) -> None:
    campaign = load_experiment(
        experiment, ["client.profile=draft", "vary.paths.*.loss.up=[3, 7]", "vary.connections=5"]
    )
    assert [dict(plan.factors) for plan in campaign.cells] == [
        {"paths.*.loss.up": 3, "connections": 5},
        {"paths.*.loss.up": 7, "connections": 5},
    ]
    assert {plan.cell.connections for plan in campaign.cells} == {5}


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        (9, "conections: 30", ["conections: unknown key", "did you mean connections?"]),
        (9, "connections: many", ["connections: expected a whole number"]),
        (9, "connections: 0", ["connections: expected", "greater than or equal to 1"]),
        (9, "workload: {type: bulk}", ["workload: stands here twice", "line 8"]),
        (9, "figures: [fallbak_by_loss]", ["figures: no figure", "did you mean fallback_by_loss?"]),
        (9, "figures: [case_matrix]", ["figures: case_matrix needs cases", "--set figures=[]"]),
        (8, "workload: {arrivals: 40/min}", ["workload.arrivals: expected a frequency such as 40/s"]),
        (8, "workload: {request: 3 parsecs}", ["workload.request: expected a size such as 300B"]),
        (8, "workload: {timeout: 3}", ["workload.timeout: expected a time with its unit"]),
        (8, "workload: {type: ftp}", ["workload.type: expected request, http or bulk"]),
        (7, "server: {profiles: [v2]}", ["server.profiles: expected tcp, v0, draft, v1 or kernel", "'v2'"]),
        (7, "server: {sin_cookies: off}", ["server.sin_cookies: unknown key", "syn_cookies"]),
        (6, "client: {tcp: {nagle: maybe}}", ["client.tcp.nagle: expected true or false"]),
        (
            6,
            "client: {tcp: {congestion: vegas}}",
            ["client.tcp.congestion: expected newreno, cubic", "'vegas'"],
        ),
        (6, "client: {fast_open: maybe}", ["client.fast_open: expected true or false", "'maybe'"]),
        (6, "client: {fast_opn: true}", ["client.fast_opn: unknown key", "did you mean fast_open?"]),
        (6, "client: {mptcp: {repeat_keys: once}}", ["client.mptcp.repeat_keys: expected true or false"]),
        (7, "server: {fast_open_cookie: 5}", ["server.fast_open_cookie: expected 4, 6, 8", "not 5"]),
        (7, "server: {fast_open_answer: soon}", ["server.fast_open_answer: expected auto", "'soon'"]),
        (7, "server: {fast_open_pending: -1}", ["server.fast_open_pending: expected", "or equal to 0"]),
        (6, "client: {mptcp: {scheduler: fast}}", ["client.mptcp.scheduler: expected lowest_rtt", "'fast'"]),
        (6, "client: {tcp: [1]}", ["client.tcp: expected keys and values"]),
        (
            6,
            "client: {tcp: {receive_buffer: 0}}",
            ["client.tcp.receive_buffer: expected", "expected 1460B to 1GiB"],
        ),
        (6, "client: {tcp: {send_buffer: 0}}", ["client.tcp.send_buffer: expected", "expected 1B to 1GiB"]),
        (6, "client: {mptcp: {draft_version: 99}}", ["client.mptcp.draft_version: expected", "to 15"]),
        (5, "  paths.*.loss.up: [0, 120]", ["paths.*.loss.up: 120 %"]),
        (5, "  paths.*.los.up: [0]", ["paths.*.los.up:", "loss"]),
        (5, "  paths.9.loss.up: [0]", ["paths.9.loss.up: two_path has no path '9'"]),
        (5, "  paths.*.drop.up: [thrid_ack]", ["thrid_ack", "third_ack"]),
        (5, "  paths.*.loss.up: 5", ["vary.paths.*.loss.up: expected a list"]),
        (5, "  paths.*.loss.up: [5, 5%]", ["stands here twice"]),
        (4, "  client.profile: [v9]", ["client.profile: expected tcp, v0, draft, v1 or kernel"]),
        (4, "  client.third_ack: [bare]", ["is varied here and fixed at", ":6"]),
        (4, "  seed: [1, 2]", ["vary.seed: cannot be varied"]),
        (2, "topology: {name: tow_path}", ["topology: unknown topology 'tow_path'", "two_path"]),
        (2, "topology: {name: two_path, bandwidth: 3}", ["topology:", "unknown parameter 'bandwidth'"]),
        (2, "topology: {}", ["topology: expected name:"]),
        (1, "question: [", ["not YAML"]),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: int, text: str, words: list[str]) -> None:
    lines = GOOD.splitlines()
    lines[line - 1 :] = [text, *lines[line:]]
    if line == 9 and "connections" not in text:
        lines.insert(9, "connections: 3")
    file = tmp_path / "bad.yaml"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as caught:
        load_experiment(file, figures=demands())
    message = str(caught.value)
    # A broken flow sequence is only noticed on the next line.
    assert message.startswith((f"{file}:{line}: ", f"{file}:{line + 1}: ")), message
    for word in words:
        assert word in message, message


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD.replace("connections", "conections").replace("300B", "many"))
    with pytest.raises(UserError) as caught:
        load_experiment(file)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("connections", "expected KEY=VALUE"),
        ("connections=[", "not YAML"),
        ("connections=0", "--set connections=0: connections: expected"),
        ("connections.x=1", "has no keys below it"),
        ("vary.client.profile=[v7]", "client.profile: expected"),
    ],
)
def test_a_bad_set_is_named(experiment: Path, assignment: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_experiment(experiment, [assignment])
    assert words in str(caught.value)


def test_a_missing_file_names_its_neighbours(experiment: Path) -> None:
    with pytest.raises(UserError, match=r"wy\.yaml: no such file.*why\.yaml"):
        load_experiment(experiment.with_name("wy.yaml"))


def test_off_is_a_word_and_true_is_not() -> None:
    data = parse("a: off\nb: true\nc: 1e3\nd: 0x10\ne: no\nf:\n", "x").data
    assert data == {"a": "off", "b": True, "c": 1000.0, "d": 16, "e": "no", "f": None}


def test_a_topology_file_stands_beside_its_experiment(experiment: Path) -> None:
    beside = Path(__file__).parents[2] / "topologies" / "two_path.py"
    (experiment.parent / "mine.py").write_text(beside.read_text())
    text = GOOD.replace("name: two_path", "file: mine.py")
    experiment.write_text(text)
    assert len(network_of(load_experiment(experiment).cells[0].cell).paths) == 2
