"""What Fast Open is for, in a whole network: from the second time on answers come a round trip earlier."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.mptcp.config import (
    SPOKEN,
    ClientConfig,
    FastOpenAnswer,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
)
from testbed.results.statistics import wilson_interval
from testbed.sim import simulate
from testbed.workloads import RunOutcome, Workload
from tests.core.boxes import KEYS_LATER
from tests.sim.cells import ONE_PATH, SECOND, ends, hosts, network, why

ROUND_TRIP = 0.020
SENDING_A_REQUEST = 0.0004  # 300 bytes more or less at 10 Mbit/s, headers included


def run(
    profile: Profile,
    fast_open: bool,
    connections: int = 12,
    config: dict[str, Any] | None = None,
    **overrides: object,
) -> RunOutcome:
    workload = Workload(request=300, response=1_000, arrivals=2.0)
    client = ClientConfig(profile=profile, fast_open=fast_open, **(config or {}))
    answer = FastOpenAnswer.AT_ONCE
    server = ServerConfig(syn_cookies=SynCookies.OFF, fast_open=True, fast_open_answer=answer)
    return simulate(network(overrides), hosts(client, server, workload, connections, 1), 1)


def times(outcome: RunOutcome) -> list[float]:
    return [(int(str(one["done_ns"])) - int(str(one["opened_ns"]))) / SECOND for one, _ in ends(outcome)]


@pytest.mark.parametrize("profile", SPOKEN)
def test_a_round_trip_is_saved_by_every_connection_but_the_first(profile: Profile) -> None:
    plain, fast = run(profile, False), run(profile, True)
    verdict = "tcp" if profile is Profile.TCP else "mptcp"
    for client, server in ends(fast):
        assert server is not None
        assert client["verdict"] == server["verdict"] == verdict, why(client, server)
        assert client["intact"]
        assert server["intact"]
        assert client["fast_open"] == server["fast_open"]
    assert [client["fast_open"] for client, _ in ends(fast)] == ["cookie"] + ["accepted"] * 11
    assert [client["syn_data"] for client, _ in ends(fast)] == [0] + [300] * 11
    saved = [slow - quick for slow, quick in zip(times(plain), times(fast), strict=True)]
    assert abs(saved[0]) < SENDING_A_REQUEST
    assert all(abs(one - ROUND_TRIP) < SENDING_A_REQUEST for one in saved[1:]), saved


def test_losses_cost_no_connection() -> None:
    outcome = run(Profile.V1, True, **{"paths.*.loss.up": 20, "paths.*.loss.down": 20})
    for client, server in ends(outcome):
        assert client["intact"], why(client, server)


@pytest.mark.parametrize("profile", KEYS_LATER)
def test_keys_said_once_cost_as_many_connections_as_acks_are_lost(profile: Profile) -> None:
    """Repeated until a DATA_ACK comes, as the draft §3.1.2 has it, they cost none."""
    loss, rates = 20, {}
    for repeat in (True, False):
        config = {"mptcp": MptcpConfig(repeat_keys=repeat), "fast_open_pauses": False, "paths": ONE_PATH}
        outcome = run(profile, True, 250, config, **{"paths.*.loss.up": loss})
        taken = [pair for pair in ends(outcome) if pair[0]["fast_open"] == "accepted"]
        assert all(client["intact"] for client, _ in taken)
        low, high = wilson_interval(sum(one["verdict"] == "fallback" for one, _ in taken), len(taken), 0.999)
        rates[repeat] = low * 100, high * 100
    assert rates[True][0] == 0
    assert rates[False][0] <= loss <= rates[False][1]
    assert rates[True][1] < rates[False][0]
