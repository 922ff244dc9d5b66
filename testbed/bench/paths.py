"""Bulk over shaped paths, our stack and Linux's taking turns in the same lab.

Decides the network (two_path with what the user overrides), whether a path dies meanwhile (its router drops
everything from a moment on, so neither end is told), and what the paths could have carried: the payload
capacity. Fails on no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from testbed.bench.linux import available
from testbed.bench.turns import LEAST_EXPECTED, LEAST_SIZE, Turns, transfer
from testbed.errors import UserError
from testbed.net import Lab
from testbed.plan import NetPlan, load_topology, plan_from, with_overrides
from testbed.runner import parse_set
from testbed.units import parse_time

FRAME = 1514  # bytes on a link: what its rate counts
PAYLOAD = 1500 - 40 - 12 - 28  # less IPv4 and TCP headers, timestamps, and a DSS of 8-byte numbers


@dataclass(frozen=True)
class Arguments:
    """`size` in bytes per transfer. `dies`: a path and how many seconds after the start."""

    rounds: int = 3
    size: int = 16_000_000
    overrides: Mapping[str, object] = field(default_factory=dict)
    dies: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"--rounds {self.rounds}: 1 or more is expected")
        if self.size < LEAST_SIZE:
            raise UserError(f"--size {self.size}: {LEAST_EXPECTED}")

    @classmethod
    def of(cls, rounds: int, size: int, sets: Sequence[str], dies: str) -> Self:
        """From a command line's words. UserError names the one that is wrong."""
        try:
            path, _, moment = dies.partition("@")
            when = (path, parse_time(moment) / 1e9) if dies else None
        except UserError as error:
            raise UserError(f"--dies {dies}: expected PATH@TIME, as in 2@3s; {error}") from None
        return cls(rounds, size, dict(map(parse_set, sets)), when)

    def plan(self) -> NetPlan:
        plan = with_overrides(plan_from(load_topology("two_path")), self.overrides)
        if self.dies is not None:
            plan.path(self.dies[0])  # UserError names the known ones
        return plan


@dataclass
class Outcome(Turns):
    """`capacity`: payload bits per second, the sum over the paths."""

    capacity: float = 0.0


def payload_capacity(plan: NetPlan) -> float:
    """Bits of payload per second from client to server, all paths together: each at its slowest link."""
    total = 0.0
    for path in plan.paths:
        rates = [plan.link(name).params(way).rate for name, way in path.up]
        total += min((rate for rate in rates if rate is not None), default=0.0)
    return total * PAYLOAD / FRAME


def measure(arguments: Arguments, progress: Callable[[str], None] = lambda text: None) -> Outcome:
    """MachineError where no lab can be had, RunFailed when an end fails."""
    plan = arguments.plan()
    outcome = Outcome(capacity=payload_capacity(plan))
    ends = (plan.addresses("client"), plan.addresses("server"))
    kinds = {"ours": outcome.ours, **({"linux": outcome.linux} if available() else {})}
    with Lab(plan) as lab:
        for number in range(arguments.rounds):
            for kind, found in kinds.items():
                midway = None
                if arguments.dies is not None:
                    path, seconds = arguments.dies
                    midway = seconds, partial(_kill, lab, plan, path)
                try:
                    found.append(transfer(lab, kind, ends, arguments.size, 1 << 16, midway=midway))
                finally:
                    if arguments.dies is not None:
                        _revive(lab, plan, arguments.dies[0])
            said = ", ".join(f"{kind} {found[-1].goodput / 1e6:.2f}" for kind, found in kinds.items())
            progress(f"round {number + 1} of {arguments.rounds}: {said} Mbit/s")
    return outcome


def _router(plan: NetPlan, path: str) -> str:
    """A node that only this path crosses, between its ends."""
    link = plan.link(plan.path(path).up[0][0])
    return next(end.node for end in (link.a, link.b) if end.node != "client")


def _kill(lab: Lab, plan: NetPlan, path: str) -> None:
    lab.run(_router(plan, path), ["ip", "rule", "add", "pref", "1", "blackhole"])


def _revive(lab: Lab, plan: NetPlan, path: str) -> None:
    lab.run(_router(plan, path), ["ip", "rule", "del", "pref", "1"])
