"""The datapath as fast as it goes: one connection over plain cables, our stack and Linux's taking turns.

Decides the lab (nothing shapes, no wires), the order (each round has both, so that a busy minute meets both)
and the figures: goodput of each, the ratio round by round, CPU time of each end. Fails on no number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.bench.linux import available
from testbed.bench.turns import LEAST_EXPECTED, LEAST_SIZE, Transfer, Turns, transfer
from testbed.errors import UserError
from testbed.net import Lab
from testbed.plan import load_topology, plan_from


@dataclass(frozen=True)
class Arguments:
    """`size` in bytes per transfer of Linux, `own_size` of ours. `gso_max_size` 0: single packets."""

    rounds: int = 5
    size: int = 1 << 30
    own_size: int = 1 << 28
    paths: int = 2
    gso_max_size: int = 1 << 16
    profile: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"--rounds {self.rounds}: 1 or more is expected")
        if not 1 <= self.paths <= 8:
            raise UserError(f"--paths {self.paths}: 1 to 8 is expected")
        for option, size in (("--size", self.own_size), ("--linux-size", self.size)):
            if size < LEAST_SIZE:
                raise UserError(f"{option} {size}: {LEAST_EXPECTED}")


@dataclass
class Outcome(Turns):
    profiled: Transfer | None = None


def measure(arguments: Arguments, progress: Callable[[str], None] = lambda text: None) -> Outcome:
    """MachineError where no lab can be had, RunFailed when an end fails."""
    plan = plan_from(load_topology("cables", paths=arguments.paths))
    outcome = Outcome()
    gso = arguments.gso_max_size
    with Lab(plan) as lab:
        ends = (plan.addresses("client"), plan.addresses("server"))
        for number in range(arguments.rounds):
            outcome.ours.append(transfer(lab, "ours", ends, arguments.own_size, gso))
            if available():
                outcome.linux.append(transfer(lab, "linux", ends, arguments.size, gso))
            both = ", ".join(
                f"{name} {found[-1].goodput / 1e9:.3f} Gbit/s"
                for name, found in (("ours", outcome.ours), ("Linux", outcome.linux))
                if found
            )
            progress(f"round {number + 1} of {arguments.rounds}: {both}")
        if arguments.profile:
            size = min(arguments.own_size, 1 << 26)
            outcome.profiled = transfer(lab, "ours", ends, size, gso, profile=True)
    return outcome
