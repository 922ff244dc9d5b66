"""The ways to run a cell, as functions of one job: in the simulator, or in a Mininet lab.

Decides what each way is told. The rooms behind them are imported when they are needed, so that the
simulator runs where a lab's parts are missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from testbed.capture import CaptureWriter, Interface
from testbed.mptcp.config import SECOND
from testbed.mptcp.wire import Segment, encode
from testbed.plan import NetPlan
from testbed.runner.fidelity import Fidelity, judge, judge_queues, too_late
from testbed.runner.network import base_rtt, hosts_of, network_of
from testbed.runner.spec import Cell
from testbed.workloads import HostSpec, RunOutcome

MARGIN = 60.0  # seconds a lab may need beyond what its applications can take


@dataclass(frozen=True, slots=True)
class Job:
    """One run to do. `directory` is the run's own, for logs and captures; `temporary`: gone with the lab."""

    cell: Cell
    seed: int
    directory: Path
    capture: bool = False
    links: str = "userspace"
    fidelity: Fidelity = field(default_factory=Fidelity)
    temporary: bool = False


Backend = Callable[[Job], RunOutcome]

BACKENDS = {"sim": "testbed.runner.backends:sim", "mininet": "testbed.runner.backends:mininet"}


def sim(job: Job) -> RunOutcome:
    """In virtual time, here and now."""
    from testbed.sim import simulate

    plan = network_of(job.cell)
    hosts = hosts_of(job.cell, plan, job.seed)
    if not job.capture:
        return _with_queues(simulate(plan, hosts, job.seed), job.fidelity)
    with ExitStack() as files:
        captures, sink = _captures(plan, job.directory, files)
        outcome = simulate(plan, hosts, job.seed, capture=sink)
    return _with_queues(replace(outcome, captures=captures), job.fidelity)


def _with_queues(outcome: RunOutcome, thresholds: Fidelity) -> RunOutcome:
    """The outcome with what its queues dropped judged. Alone, that is no reason for another try."""
    full = judge_queues(outcome.links, thresholds)
    if full is None:
        return outcome
    machine = outcome.invalid is not None and outcome.retry
    return replace(outcome, invalid="; ".join(filter(None, (outcome.invalid, full))), retry=machine)


def _captures(
    plan: NetPlan, directory: Path, files: ExitStack
) -> tuple[list[str], Callable[[int, str, str, Segment, str | None], None]]:
    """One capture per shaped link, as in a lab: what enters it, with what it drops marked."""
    names = [link.name for link in plan.links if link.shaped]
    writers = {}
    for name in names:
        file = files.enter_context((directory / f"{name}.pcapng").open("wb"))
        writers[name] = CaptureWriter(file, [Interface(name)])

    def sink(time: int, link: str, way: str, segment: Segment, dropped: str | None) -> None:
        if link in writers:
            writers[link].packet(time, encode(segment), dropped)

    return [f"{name}.pcapng" for name in names], sink


def mininet(job: Job) -> RunOutcome:
    """In a lab of its own, in real time."""
    from testbed.net import run_in_lab

    plan = network_of(job.cell)
    hosts = hosts_of(job.cell, plan, job.seed)
    outcome = run_in_lab(
        plan,
        hosts,
        job.seed,
        directory=job.directory,
        capture=job.capture,
        timeout=_longest(hosts),
        temporary=job.temporary,
    )
    reasons = [why for why in (outcome.invalid, judge(outcome.fidelity, job.fidelity)) if why]
    floods = {host.name for host in hosts if host.flood is not None}
    late = too_late(outcome.fidelity, job.fidelity, base_rtt(plan), floods)
    return _with_queues(replace(outcome, invalid="; ".join(reasons) or None, late=late), job.fidelity)


def _longest(hosts: tuple[HostSpec, ...]) -> float:
    """Seconds after which a run cannot end well any more: all arrivals, then the last connection's limit.

    The sum of n exponential gaps is below n + 10 sqrt(n) + 20 mean gaps but for one run in 10^9.
    """
    client = next(host for host in hosts if host.role == "client" and not host.background)
    workload, count = client.workload, client.connections
    arrivals = (count + 10 * math.sqrt(count) + 20) / workload.arrivals if workload.type != "bulk" else 0.0
    return arrivals + (workload.start + workload.limit) / SECOND + MARGIN
