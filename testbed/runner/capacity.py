"""What this machine can carry: bulk over two paths in a lab, faster and faster, until a run would not count.

Decides the rates that are tried, and what it takes to carry one: an experiment's default `fidelity:`, wires
punctual to 2 ms, and nearly the goodput that the same run has in virtual time, where no core is ever busy.
Each step is a run as any experiment has it. Also the links that `testbed doctor --calibrate` measures. Must
not print.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import RunFailed
from testbed.link import LinkParams
from testbed.runner.backends import Job, mininet, sim
from testbed.runner.calibrate import measured
from testbed.runner.fidelity import MILLISECOND, Fidelity
from testbed.runner.spec import Cell
from testbed.workloads import RunOutcome

RATES = (10, 20, 40, 60, 80, 100, 150, 200, 300, 400)  # Mbit/s of each path
TRIES = 2
SECONDS = 2  # of bulk
DELAY = 10  # ms, one way
PUNCTUAL = 2 * MILLISECOND
LEAST_SHARE = 0.9  # of the simulator's goodput
LINKS = {
    "slow": LinkParams(rate=1_000_000, queue=20, delay=50 * MILLISECOND),
    "lossy": LinkParams(rate=10_000_000, queue=100, delay=10 * MILLISECOND, loss=0.01),
    "fast": LinkParams(rate=100_000_000, queue=100, delay=MILLISECOND),
    "any rate": LinkParams(delay=5 * MILLISECOND),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One rate (Mbit/s of each of two paths): goodput in Mbit/s and as a share of the simulator's, the wires'
    lateness (p99) in ms, the share of all cores, and why the rate is not carried ('' where it is)."""

    rate: int
    goodput: float
    share: float
    lateness: float
    cpu: float
    broken: str


def calibrate_links(say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Entries as in calibration.json, of links of several kinds."""
    return measured({(params, params): [name] for name, params in LINKS.items()}, Fidelity(), 1, say)


def carried_rates(watch: Callable[[Step], None], rates: Sequence[int] = RATES) -> list[Step]:
    """Steps up to the first rate that fails twice. MachineError where no lab can be had."""
    steps: list[Step] = []
    for rate in rates:
        for _ in range(TRIES):
            step = _try(rate)
            if not step.broken:
                break
        steps.append(step)
        watch(step)
        if step.broken:
            break
    return steps


def _try(rate: int) -> Step:
    cell = _cell(rate)
    with tempfile.TemporaryDirectory(prefix="testbed-") as place:
        fidelity = Fidelity(wire_lateness_p99=PUNCTUAL)
        job = Job(cell, rate, Path(place), fidelity=fidelity, temporary=True)
        outcome = mininet(job)
        goodput, ideal = _goodput(outcome), _goodput(sim(job))
    share = goodput / ideal
    slow = f"{share:.0%} of the goodput that these paths allow" if share < LEAST_SHARE else ""
    figures = outcome.fidelity
    return Step(
        rate,
        goodput / 1e6,
        share,
        figures["wire_lateness_p99_us"] / 1e3,
        figures["machine_cpu_share"],
        outcome.invalid or slow,
    )


def _cell(rate: int) -> Cell:
    size = 2 * rate * 1_000_000 // 8 * SECONDS
    window = 3 * (2 * rate * 1_000_000 // 8) * 2 * DELAY // 1000 + 500_000  # with full queues at low rates
    return Cell.model_validate(
        {
            "topology": {"name": "two_path", "bw": rate, "delay": f"{DELAY}ms"},
            "client": {"tcp": {"send_buffer": f"{2 * window}B"}},
            "server": {"syn_cookies": "off", "tcp": {"receive_buffer": f"{window}B"}},
            "workload": {"type": "bulk", "request": f"{size}B", "response": "0B"},
        }
    )


def _goodput(outcome: RunOutcome) -> float:
    """Bits per second between the first SYN and the last byte."""
    row: Any = next((row for row in outcome.rows if row.get("bytes_sent")), None)
    if row is None or row["done_ns"] is None:
        raise RunFailed(f"the transfer did not end: {outcome.invalid or outcome.rows}")
    return float(row["bytes_sent"] * 8e9 / (row["done_ns"] - row["opened_ns"]))
