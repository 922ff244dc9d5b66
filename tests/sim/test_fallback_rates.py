"""Fallback and reset rates in the simulator against the closed form: two ways to the same number.

Each cell must lie within the exact (Clopper-Pearson) 99.9 % interval.
"""

from __future__ import annotations

import pytest
from scipy.stats import beta

from testbed.model.fallback import predict
from testbed.mptcp.config import Profile
from testbed.workloads import Workload
from tests.sim.cells import MSS, ends, run_cell, verdict, why


def holds(count: int, total: int, probability: float, confidence: float = 0.999) -> bool:
    """Whether the exact interval around count/total covers `probability`."""
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low <= probability <= high


def rates(
    profile: Profile, loss: float, segments: int, connections: int, seed: int, response: int = 10_000
) -> dict[str, int]:
    request = 300 if segments == 1 else (segments - 1) * MSS + 10
    outcome = run_cell(
        profile,
        overrides={"paths.1.loss.up": loss},
        workload=Workload(request=request, response=response, arrivals=20.0),
        connections=connections,
        seed=seed,
    )
    assert outcome.invalid is None
    found = {"mptcp": 0, "fallback": 0, "reset": 0, "hang": 0, "by_syn": 0}
    for client, server in ends(outcome):
        found[verdict(client, server)] += 1
        found["by_syn"] += client["reason"] == "syn_retries_exhausted"
        if verdict(client, server) not in ("reset", "hang"):
            assert client["intact"], why(client, server)
        if verdict(client, server) == "hang":
            assert client["connected_ns"] is None, why(client, server)
    return found


@pytest.mark.parametrize("loss", [0, 5, 20])
@pytest.mark.parametrize("profile", [Profile.V0, Profile.DRAFT, Profile.V1])
def test_one_segment(profile: Profile, loss: float) -> None:
    connections = 100 if loss == 0 else 400
    found = rates(profile, loss, 1, connections, seed=11)
    wanted = predict(str(profile), loss / 100, 1)
    assert holds(found["fallback"], connections, wanted.fallback), found
    assert holds(found["by_syn"], connections, wanted.by_syn), found
    assert found["reset"] == found["hang"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("loss", [1, 2, 5, 10, 20])
@pytest.mark.parametrize("segments", [1, 10])
@pytest.mark.parametrize("profile", [Profile.V0, Profile.DRAFT, Profile.V1])
def test_many(profile: Profile, segments: int, loss: float) -> None:
    # What happens is decided on the way up: a short answer is enough.
    found = rates(profile, loss, segments, 2_000, seed=23, response=500)
    wanted = predict(str(profile), loss / 100, segments, lone_after=1, syns=7)
    assert holds(found["fallback"], 2_000, wanted.fallback), (found, wanted)
    assert holds(found["reset"], 2_000, wanted.reset), (found, wanted)
    # All seven SYNs lost: one connection in 78,000 at 20 %, so now and then one of these 60,000.
    assert holds(found["hang"], 2_000, (loss / 100) ** 7), found


def test_the_interval_itself() -> None:
    """Known exact 95 % intervals: 0 in 100 ends at 3.62 %; 10 in 100 is 4.90 % to 17.62 %."""
    assert holds(0, 100, 0.0362, 0.95)
    assert not holds(0, 100, 0.0363, 0.95)
    assert holds(10, 100, 0.0491, 0.95)
    assert not holds(10, 100, 0.0489, 0.95)
    assert not holds(10, 100, 0.1763, 0.95)
