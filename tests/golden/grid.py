"""The grid of the golden table: networks, buffers, controllers and schedulers, each run once.

Decides what is in the table and how a row is written. `python -m tests.golden.grid` writes goodput.txt
anew; what changed is then read in the diff, as code is.

A cell: goodput in Mbit/s, the second path's share of what was sent in percent, and what was sent twice in
percent of the transfer.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.config import ClientConfig, MptcpConfig, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.sched import SCHEDULERS
from testbed.sim import simulate
from testbed.workloads import Workload
from tests.sim.cells import ends, hosts, network

TABLE = Path(__file__).with_name("goodput.txt")
SIZE = 1_000_000  # bytes from client to server
QUEUE = 50  # packets

RATES = ((10, 10), (10, 2))  # Mbit/s of path 1 and path 2
RTTS = ((20, 20), (20, 100), (100, 20))  # ms, without queues
LOSSES = ((0, 0), (0, 1))  # percent, up
BUFFERS = (64, 256, 1000)  # kB, of the receiver


class Key(NamedTuple):
    """What a row is about."""

    rates: tuple[int, int]
    rtts: tuple[int, int]
    losses: tuple[int, int]
    buffer: int
    controller: str


def keys() -> list[Key]:
    return [Key(*one) for one in itertools.product(RATES, RTTS, LOSSES, BUFFERS, sorted(CONTROLLERS))]


def row(key: Key) -> str:
    pairs = (f"{a:>3} {b:>3}" for a, b in (key.rates, key.rtts, key.losses))
    words = [*pairs, f"{key.buffer:>6}", f"{key.controller:<10}"]
    return "   ".join([*words, *(_cell(key, scheduler) for scheduler in sorted(SCHEDULERS))])


def header() -> list[str]:
    first = "Mbit/s   RTT ms    loss %       kB   controller"
    cells = "   ".join(f"{scheduler:^17}" for scheduler in sorted(SCHEDULERS))
    units = "   ".join(["Mbit/s  2nd twice"] * len(SCHEDULERS))
    return [f"{first}   {cells}".rstrip(), f"{'':<{len(first)}}   {units}"]


def _cell(key: Key, scheduler: str) -> str:
    tcp = TcpConfig(congestion=key.controller, receive_buffer=key.buffer * 1000, send_buffer=2_000_000)
    mptcp = MptcpConfig(scheduler=scheduler)
    overrides = {"paths.*.queue": QUEUE}
    for path, rate, rtt, loss in zip("12", key.rates, key.rtts, key.losses, strict=True):
        overrides |= {f"paths.{path}.rate": rate, f"paths.{path}.delay": f"{rtt / 2}ms"}
        overrides[f"paths.{path}.loss.up"] = loss
    outcome = simulate(
        network(overrides),
        hosts(
            ClientConfig(tcp=tcp, mptcp=mptcp),
            ServerConfig(tcp=tcp, mptcp=mptcp, syn_cookies=SynCookies.OFF),
            Workload(type="bulk", request=SIZE, response=0),
            1,
            1,
        ),
        1,
    )
    client, server = ends(outcome)[0]
    assert server is not None
    assert client["intact"]
    assert client["verdict"] == server["verdict"] == "mptcp"
    sent = [path["bytes_sent"] for path in client["paths"]] + [0]
    goodput = SIZE * 8e3 / (server["done_ns"] - client["opened_ns"])
    total = sum(sent)
    return f"{goodput:>6.2f} {100 * sent[1] / total:>4.0f} {100 * (total - SIZE) / SIZE:>5.0f}"


def written() -> dict[str, str]:
    """The rows of goodput.txt, by what they are about."""
    lines = TABLE.read_text().splitlines()[len(header()) :]
    return dict(zip(map(str, keys()), lines, strict=True))


def _rows(some: Iterable[Key]) -> Iterator[str]:
    with ProcessPoolExecutor() as workers:
        yield from workers.map(row, some, chunksize=4)


def main() -> None:
    rows = []
    for line in _rows(keys()):
        rows.append(line)
        print(f"\r{len(rows)} of {len(keys())}", end="", file=sys.stderr, flush=True)
    TABLE.write_text("\n".join([*header(), *rows]) + "\n")
    print(f"\n{TABLE}", file=sys.stderr)


if __name__ == "__main__":
    main()
