"""Several clients at one server: each opens its connections, and each row is joined to its own."""

from __future__ import annotations

from pathlib import Path

from testbed.results import load
from testbed.runner import choose_way, conclude, load_experiment, run_campaign

TEXT = """\
topology: {name: flood, clients: 3}
client: {profile: v1}
workload: {request: 300B, response: 5KB, arrivals: 50/s}
connections: 4
"""


def test_all_clients_of_a_topology_take_part(tmp_path: Path) -> None:
    file = tmp_path / "flood.yaml"
    file.write_text(TEXT)
    campaign = load_experiment(file)
    way = choose_way(campaign, "sim")
    finished = run_campaign(campaign, net=way.net, way=way.words, out=tmp_path / "out")
    finished.check()
    conclude(finished.directory, ())
    connections = load(finished.directory).connections
    assert connections["client_address"].value_counts().to_dict() == dict.fromkeys(
        ("10.0.1.1", "10.0.3.1", "10.0.5.1"), 4
    )
    assert set(connections["verdict"]) == {"mptcp"}
    assert connections["intact"].all()
    assert len(set(connections["opened_ns"])) == 12, "arrivals are each client's own"
