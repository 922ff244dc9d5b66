"""The ways to run a cell, as functions of one job: in the simulator, or in a Mininet lab.

Decides what each way is told. The rooms behind them are imported when they are needed, so that the
simulator runs where a lab's parts are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.mptcp.config import SECOND
from testbed.runner.network import hosts_of, network_of
from testbed.runner.spec import Cell
from testbed.workloads import HostSpec, RunOutcome

MARGIN = 60.0  # seconds a lab may need beyond what its applications can take


@dataclass(frozen=True, slots=True)
class Job:
    """One run to do. `directory` is the run's own, for logs and captures."""

    cell: Cell
    seed: int
    directory: Path
    capture: bool = False
    links: str = "userspace"


Backend = Callable[[Job], RunOutcome]

BACKENDS = {"sim": "testbed.runner.backends:sim", "mininet": "testbed.runner.backends:mininet"}


def sim(job: Job) -> RunOutcome:
    """In virtual time, here and now."""
    from testbed.sim import simulate

    plan = network_of(job.cell)
    return simulate(plan, hosts_of(job.cell, plan, job.seed), job.seed, capture=None, until=None)


def mininet(job: Job) -> RunOutcome:
    """In a lab of its own, in real time."""
    from testbed.net import run_in_lab

    plan = network_of(job.cell)
    hosts = hosts_of(job.cell, plan, job.seed)
    return run_in_lab(
        plan, hosts, job.seed, directory=job.directory, capture=job.capture, timeout=_longest(hosts)
    )


def _longest(hosts: tuple[HostSpec, ...]) -> float:
    """Seconds after which a run cannot end well any more."""
    client = next(host for host in hosts if host.role == "client")
    arrivals = client.connections / client.workload.arrivals if client.workload.type == "request" else 0.0
    return 2 * arrivals + client.workload.timeout / SECOND + MARGIN
