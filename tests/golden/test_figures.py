"""What two paths have to carry: near all of their payload capacity, whatever their rates and RTTs.

Payload capacity: what is left of a link's rate when every packet is full and carries timestamps and a DSS
with numbers of 8 bytes. What a path that dies may cost is in tests/core/test_subflows.py.
"""

from __future__ import annotations

import pytest

from testbed.mptcp.config import ClientConfig, MptcpConfig, ServerConfig, TcpConfig
from testbed.mptcp.paths import PathsConfig
from testbed.sim import simulate
from testbed.workloads import Workload
from tests.sim.cells import ONE_PATH, ends, hosts, network

pytestmark = pytest.mark.slow
FRAME = 1514  # bytes on a link: what its rate counts
PAYLOAD = 1500 - 40 - 12 - 28
SIZE = 16_000_000
PLENTY = 8_000_000  # bytes of buffer


def goodput(
    rates: tuple[float, ...],
    delays: tuple[float, ...],
    *,
    size: int = SIZE,
    buffer: int = PLENTY,
    queue: int = 100,
    controller: str = "cubic",
    scheduler: str = "lowest_rtt",
    paths: PathsConfig | None = None,
) -> float:
    """Mbit/s from the client's SYN to the last byte at the server. Delays are one way, in ms."""
    tcp = TcpConfig(congestion=controller, receive_buffer=buffer, send_buffer=buffer)
    mptcp = MptcpConfig(scheduler=scheduler)
    chosen = paths or PathsConfig()
    overrides: dict[str, object] = {"paths.*.queue": queue}
    for number, (rate, delay) in enumerate(zip(rates, delays, strict=True), start=1):
        overrides |= {f"paths.{number}.rate": rate, f"paths.{number}.delay": f"{delay}ms"}
    outcome = simulate(
        network(overrides),
        hosts(
            ClientConfig(tcp=tcp, mptcp=mptcp, paths=chosen),
            ServerConfig(tcp=tcp, mptcp=mptcp, paths=chosen),
            Workload(type="bulk", request=size, response=0),
            1,
            1,
        ),
        1,
    )
    client, server = ends(outcome)[0]
    assert server is not None
    assert server["intact"]
    return float(size * 8e3 / (server["done_ns"] - client["opened_ns"]))


def capacity(*rates: float) -> float:
    return sum(rates) * PAYLOAD / FRAME


@pytest.mark.parametrize("controller", ["cubic", "newreno"])
def test_one_path_of_50_mbit_s(controller: str) -> None:
    assert goodput((50,), (10,), controller=controller, paths=ONE_PATH) >= 0.95 * capacity(50)


@pytest.mark.parametrize("controller", ["cubic", "newreno"])
@pytest.mark.parametrize(
    ("rates", "delays", "least"),
    [
        ((10, 10), (10, 10), 0.97),
        ((15, 5), (10, 10), 0.95),
        ((10, 10), (1, 25), 0.95),
        ((10, 10), (25, 1), 0.95),
    ],
)
def test_two_paths_together(
    rates: tuple[int, int], delays: tuple[int, int], least: float, controller: str
) -> None:
    assert goodput(rates, delays, controller=controller) >= least * capacity(*rates)


@pytest.mark.parametrize(
    ("rates", "delays"),
    [((10, 10), (10, 50)), ((10, 1), (10, 100)), ((5, 15), (10, 40)), ((20, 2), (10, 25)), ((50, 1), (1, 5))],
)
@pytest.mark.parametrize("scheduler", ["lowest_rtt", "round_robin"])
def test_two_paths_are_never_worse_than_the_better_one(
    rates: tuple[int, int], delays: tuple[int, int], scheduler: str
) -> None:
    """With a buffer of twice what both paths carry in the longest round trip, a queue of one included."""
    queue = 50
    longest = max(
        2 * delay / 1e3 + queue * FRAME * 8 / (rate * 1e6) for rate, delay in zip(rates, delays, strict=True)
    )
    buffer = int(2 * sum(rates) * 1e6 / 8 * longest)
    words = {"size": 4_000_000, "buffer": buffer, "queue": queue}
    alone = max(
        goodput((rate,), (delay,), paths=ONE_PATH, **words)  # type: ignore[arg-type]
        for rate, delay in zip(rates, delays, strict=True)
    )
    both = goodput(rates, delays, scheduler=scheduler, **words)  # type: ignore[arg-type]
    assert both >= 0.99 * alone
