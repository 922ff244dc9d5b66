"""What loss recovery is worth on one path whose queue overflows: nothing is sent again that was not lost.

Read first: RFC 6675 §5, RFC 9937 §6.2; tests/sim/cells.py.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, TcpConfig
from testbed.sim import simulate
from testbed.workloads import Workload
from tests.sim.cells import SECOND, ends, hosts, network, why

FRAME = 1_514


@pytest.mark.parametrize(
    ("mbit", "size", "congestion", "share"),
    [(10, 1_000_000, "cubic", 0.92), (10, 1_000_000, "newreno", 0.85), (50, 10_000_000, "cubic", 0.95)],
)
@pytest.mark.parametrize("profile", [Profile.TCP, Profile.V1])
def test_one_path(profile: Profile, mbit: int, size: int, congestion: str, share: float) -> None:
    """20 ms, a queue of 100 packets, slow start's overshoot included; share of what the frames can carry."""
    tcp = TcpConfig(congestion=congestion)
    workload = Workload(type="bulk", request=1, response=size)
    client, server = hosts(ClientConfig(profile=profile, tcp=tcp), ServerConfig(tcp=tcp), workload, 1, 1)
    client = replace(client, addresses=client.addresses[:1], remote=client.remote[:1])
    server = replace(server, addresses=server.addresses[:1], remote=server.remote[:1])
    setup = {"bw": mbit, "queue": 100, "delay": "10ms"}
    overrides = {f"paths.1.{key}.{way}": value for key, value in setup.items() for way in ("up", "down")}
    outcome = simulate(network(overrides), (client, server), 1)
    ((near, far),) = ends(outcome)
    assert far is not None
    assert near["intact"], why(near, far)
    lost = outcome.links["client-r1/backward"]["dropped"]["queue"]
    assert lost > 0
    assert far["retransmits"] == lost
    seconds = (int(str(near["done_ns"])) - int(str(near["opened_ns"]))) / SECOND
    payload = 1_460 - 12 - (24 if profile is Profile.V1 else 0)
    assert size * 8 / seconds >= share * mbit * 1_000_000 * payload / FRAME
