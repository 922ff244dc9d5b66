"""How long a lab takes to come up and go down, beside plain Mininet with the very same class.

Decides the class (a router and its hosts, every link shaped), the sides (our lab; Mininet with TCLink, which
shapes as far as this kernel can; Mininet with Link, which does not), and the order: each round has them all,
every second one backwards. A side is a process of its own: its start and stop alone are one figure, the whole
process with Python and all imports is the other. A lab's own processes with their imports are in both, as is
its look at what the machine allows. What the kernel tidies up behind them is in neither. Fails on no number.
"""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed import net
from testbed.bench.turns import spread
from testbed.errors import MachineError, UserError
from testbed.interpreter import child_environment, script

MOST_HOSTS = 200
_CLASS = """
from mininet.topo import Topo

class Star(Topo):
    def build(self):
        names = ["client", "server", *(f"h{{number}}" for number in range(1, {hosts} - 1))]
        hosts = [self.addHost(name) for name in names]
        router = self.addHost("r1", role="router")
        for number, host in enumerate(hosts, 1):
            near, far = {{"ip": f"10.0.{{number}}.1/24"}}, {{"ip": f"10.0.{{number}}.254/24"}}
            self.addLink(host, router, params1=near, params2=far, bw=10, delay="5ms")

topos = {{"star": Star}}
"""
LAB, SHAPED, PLAIN = "lab", "Mininet, TCLink", "Mininet, Link"


@dataclass(frozen=True)
class Arguments:
    """`hosts` besides the router."""

    rounds: int = 7
    hosts: int = 19

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UserError(f"--rounds {self.rounds}: 1 or more is expected")
        if not 2 <= self.hosts <= MOST_HOSTS:
            raise UserError(f"--hosts {self.hosts}: 2 to {MOST_HOSTS} is expected")


@dataclass(frozen=True)
class Turn:
    """Seconds. `whole`: of the process, with Python and all imports; `cpu` of it and all that it started.
    `errors`: settings that Mininet was refused, and went on."""

    up: float
    down: float
    errors: int
    whole: float
    cpu: float

    @property
    def both(self) -> float:
        return self.up + self.down


@dataclass
class Outcome:
    hosts: int
    turns: dict[str, list[Turn]] = field(default_factory=lambda: {LAB: [], SHAPED: [], PLAIN: []})

    def ratios(self, other: str, of: Callable[[Turn], float]) -> list[float]:
        return [of(a) / of(b) for a, b in zip(self.turns[LAB], self.turns[other], strict=True)]


def measure(arguments: Arguments, progress: Callable[[str], None] = lambda text: None) -> Outcome:
    """MachineError where no lab can be had, or no Mininet."""
    way = net.check()
    outcome = Outcome(arguments.hosts)
    with tempfile.TemporaryDirectory(prefix="testbed-") as place:
        file = Path(place) / "star.py"
        file.write_text(_CLASS.format(hosts=arguments.hosts))
        sides = _commands(str(file), way)
        for number in range(arguments.rounds):
            for side in sides if number % 2 else reversed(sides):
                outcome.turns[side].append(_turn(side, sides[side]))
            last = ", ".join(f"{side} {turns[-1].both:.2f} s" for side, turns in outcome.turns.items())
            progress(f"round {number + 1} of {arguments.rounds}: {last}")
    return outcome


def _commands(file: str, way: str) -> dict[str, Sequence[str]]:
    private = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    private += ["--map-root-user"] if way == "user" else []
    plain = [*private, *script(Path(net.__file__).with_name("plain.py"), file, "star")]
    ours = script(Path(__file__).with_name("once.py"), file)
    return {LAB: ours, SHAPED: [*plain, "TCLink"], PLAIN: [*plain, "Link"]}


def _turn(side: str, command: Sequence[str]) -> Turn:
    environment = {"SETUPTOOLS_USE_DISTUTILS": "stdlib", **child_environment()}  # as labs have it
    used, began = _cpu(), time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False
    )
    whole, cpu = time.perf_counter() - began, _cpu() - used
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[-1]
        raise MachineError(f"{side} did not start: {said}; apt-get install mininet net-tools")
    return Turn(**json.loads(done.stdout), whole=whole, cpu=cpu)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summary(outcome: Outcome) -> list[str]:
    """The ratios first, then what they are made of."""
    lines = [
        f"{outcome.hosts + 1} nodes, {outcome.hosts} shaped links, up and down: "
        f"median and range of {len(outcome.turns[LAB])} rounds"
    ]
    for other in (SHAPED, PLAIN):
        alone, whole = (
            "{:.2f} ({:.2f}..{:.2f})".format(*spread(outcome.ratios(other, of)))
            for of in (lambda turn: turn.both, lambda turn: turn.whole)
        )
        lines.append(f"ratio {alone} of {other}; {whole} with Python's start and all imports of each")
    for side, turns in outcome.turns.items():
        parts: Mapping[str, Callable[[Turn], float]] = {
            "up": lambda turn: turn.up,
            "down": lambda turn: turn.down,
            "whole process": lambda turn: turn.whole,
            "CPU": lambda turn: turn.cpu,
        }
        words = [
            "{} {:.2f} s ({:.2f}..{:.2f})".format(name, *spread(list(map(of, turns))))
            for name, of in parts.items()
        ]
        refused = f"; {turns[-1].errors} errors of tc, unheeded" if turns[-1].errors else ""
        lines.append(f"{side:<15} {', '.join(words)}{refused}")
    return lines
