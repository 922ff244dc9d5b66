"""The two applications at their edges: sizes, uploads, a peer that falls silent, arrivals."""

from __future__ import annotations

import itertools
import statistics

import pytest

from testbed.mptcp.config import Profile, SynCookies
from testbed.workloads import Workload
from tests.sim.cells import SECOND, ends, run_cell, why


@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize(
    ("request_size", "response_size"), [(1, 1), (7, 100), (8, 0), (0, 1), (5, 300_000), (300_000, 5)]
)
def test_sizes(request_size: int, response_size: int, cookies: SynCookies) -> None:
    outcome = run_cell(
        Profile.V1,
        cookies=cookies,
        workload=Workload(request=request_size, response=response_size, arrivals=2.0),
        connections=4,
    )
    assert outcome.invalid is None
    for client, server in ends(outcome):
        assert server is not None
        for row in (client, server):
            assert (row["verdict"], row["intact"]) == ("mptcp", True), why(client, server)
            assert row["done_ns"] is not None
        assert (client["bytes_sent"], client["bytes_received"]) == (request_size, response_size)
        assert (server["bytes_sent"], server["bytes_received"]) == (response_size, request_size)


def test_neither_sends_anything() -> None:
    outcome = run_cell(Profile.V1, workload=Workload(request=0, response=0), connections=2)
    for client, server in ends(outcome):
        assert server is not None
        assert client["verdict"] == server["verdict"] == "mptcp", why(client, server)
        assert client["intact"]
        assert server["intact"]
        assert client["first_byte_ns"] is None


def test_several_bulk_connections_at_once() -> None:
    outcome = run_cell(Profile.V1, workload=Workload(type="bulk", request=1, response=400_000), connections=5)
    opened = {client["opened_ns"] for client, _ in ends(outcome)}
    assert opened == {0}
    assert all(client["intact"] for client, _ in ends(outcome))
    assert outcome.invalid is None  # a bulk transfer may fill its queue


def test_arrivals_are_poisson() -> None:
    """Mean and standard deviation of the gaps are both 1 / rate (within four standard errors)."""
    outcome = run_cell(
        Profile.TCP, workload=Workload(arrivals=50.0, request=1, response=1), connections=1_000
    )
    opened = [int(str(client["opened_ns"])) for client, _ in ends(outcome)]
    gaps = [(later - earlier) / SECOND for earlier, later in itertools.pairwise(opened)]
    mean, spread = statistics.mean(gaps), statistics.stdev(gaps)
    assert abs(mean - 0.02) < 4 * 0.02 / len(gaps) ** 0.5
    assert abs(spread - 0.02) < 4 * 0.02 * (2 / len(gaps)) ** 0.5
    again = run_cell(Profile.V1, workload=Workload(arrivals=50.0, request=1, response=1), connections=100)
    assert [client["opened_ns"] for client, _ in ends(again)] == opened[:100], (
        "arrivals depend on the seed alone"
    )


def test_each_connection_has_its_own_port() -> None:
    outcome = run_cell(Profile.V1, connections=50)
    assert len({client["local_port"] for client, _ in ends(outcome)}) == 50
    assert [client["connection"] for client, _ in ends(outcome)] == list(range(50))


def test_client_gives_up_on_a_silent_server() -> None:
    """The response never comes: hang at the client, at its deadline; the server hears of it by a reset."""
    outcome = run_cell(
        Profile.V1,
        overrides={"paths.1.drop.down": ("packet:3-100000",)},
        workload=Workload(timeout=5 * SECOND, response=1_000_000),
    )
    ((client, server),) = ends(outcome)
    assert (client["verdict"], client["reason"], client["closed_by"]) == ("hang", "no_progress", "fastclose")
    assert client["done_ns"] is None
    assert not client["intact"]
    assert server is not None
    assert (server["verdict"], server["intact"]) == ("reset", True)


def test_server_gives_up_on_a_silent_client() -> None:
    """Only the first half of the request comes, and then nothing, not even the client's reset."""
    outcome = run_cell(
        Profile.V1,
        overrides={"paths.1.drop.up": ("packet:10-100000",)},
        workload=Workload(timeout=5 * SECOND, request=20_000),
    )
    ((client, server),) = ends(outcome)
    assert client["verdict"] == "hang"
    assert server is not None
    assert (server["verdict"], server["reason"]) == ("hang", "no_progress")
    assert 0 < int(str(server["bytes_received"])) < 20_000
    assert not server["intact"]
