"""What Fast Open is for, in a whole network: from the second time on answers come a round trip earlier."""

from __future__ import annotations

import pytest

from testbed.mptcp.config import ClientConfig, FastOpenAnswer, Profile, ServerConfig, SynCookies
from testbed.sim import simulate
from testbed.workloads import RunOutcome, Workload
from tests.sim.cells import SECOND, ends, hosts, network, why

ROUND_TRIP = 0.020
SENDING_A_REQUEST = 0.0004  # 300 bytes more or less at 10 Mbit/s, headers included


def run(profile: Profile, fast_open: bool, **overrides: object) -> RunOutcome:
    workload = Workload(request=300, response=1_000, arrivals=2.0)
    client = ClientConfig(profile=profile, fast_open=fast_open)
    answer = FastOpenAnswer.AT_ONCE
    server = ServerConfig(syn_cookies=SynCookies.OFF, fast_open=True, fast_open_answer=answer)
    return simulate(network(overrides), hosts(client, server, workload, 12, 1), 1)


def times(outcome: RunOutcome) -> list[float]:
    return [(int(str(one["done_ns"])) - int(str(one["opened_ns"]))) / SECOND for one, _ in ends(outcome)]


@pytest.mark.parametrize("profile", Profile)
def test_a_round_trip_is_saved_by_every_connection_but_the_first(profile: Profile) -> None:
    plain, fast = run(profile, False), run(profile, True)
    verdict = "tcp" if profile is Profile.TCP else "mptcp"
    for client, server in ends(fast):
        assert server is not None
        assert client["verdict"] == server["verdict"] == verdict, why(client, server)
        assert client["intact"]
        assert server["intact"]
    saved = [slow - quick for slow, quick in zip(times(plain), times(fast), strict=True)]
    assert abs(saved[0]) < SENDING_A_REQUEST
    assert all(abs(one - ROUND_TRIP) < SENDING_A_REQUEST for one in saved[1:]), saved


def test_losses_cost_no_connection() -> None:
    outcome = run(Profile.V1, True, **{"paths.*.loss.up": 20, "paths.*.loss.down": 20})
    for client, server in ends(outcome):
        assert client["intact"], why(client, server)
