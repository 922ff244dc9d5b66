"""Many cases: who ends how, per fault, and whether that is within the bounds.

Decides which cases run (those of one number, in order, until enough packets were sent), what is counted, and
when a count exceeds its bound. The same number gives the same cases with any number of processes.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp, lgamma, log, log1p

from testbed.mptcp.config import SynCookies
from tests.fuzz.bounds import BOUNDS
from tests.fuzz.case import draw
from tests.fuzz.faults import FAULTS, Kind
from tests.fuzz.play import Failure, play

ENDS = ("clean", "fallback", "error", "hang", "cookie", "abort")
FIRST_OF = 1_000_000  # case seeds per campaign seed
BY_CHANCE = 0.001  # a count is too high where chance brings it about less often than this, at the bound


@dataclass(frozen=True)
class Result:
    """One case, small enough to travel between processes."""

    seed: int
    kind: Kind
    acted: frozenset[str]
    end: str
    reason: str
    packets: int
    stall: int
    cookies: bool
    failure: Failure | None


@dataclass
class Tally:
    """`ends`: by the one fault that is not the network's, "network" (none was) or "mixed" (several were)."""

    cases: int = 0
    packets: int = 0
    stall: tuple[int, int] = (0, 0)  # the longest, with its case, of those that completed
    ends: dict[str, Counter[str]] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)  # connections by fault of the network
    cookies: Counter[str] = field(default_factory=Counter)
    failures: list[Result] = field(default_factory=list)

    def add(self, one: Result) -> None:
        self.cases += 1
        self.packets += one.packets
        if one.failure is not None:
            self.failures.append(one)
            return
        others = sorted(name for name in one.acted if FAULTS[name].kind is not Kind.NETWORK)
        label = "mixed" if len(others) > 1 else others[0] if others else "network"
        self.ends.setdefault(label, Counter())[one.end] += 1
        if label == "network":
            self.hits.update(one.acted)
            if one.end in ("clean", "fallback"):
                self.stall = max(self.stall, (one.stall, one.seed))
            if one.cookies:
                self.cookies[one.end] += 1

    def shares(self) -> Iterator[tuple[str, int, int, float]]:
        """(label, connections that count, errors among them, bound in percent); aborts and cookies aside."""
        for label in (*FAULTS, "mixed"):
            ends = self.ends.get(label)
            if ends is not None:
                count = sum(ends[end] for end in ("clean", "fallback", "error", "hang"))
                yield label, count, ends["error"] + ends["hang"], BOUNDS.get(label, 0.0)
        if self.cookies:
            yield "cookie", self.cookies.total(), self.cookies["cookie"], BOUNDS.get("cookie", 0.0)

    def too_high(self) -> list[str]:
        """Shares that are above their bounds by more than chance explains."""
        found = []
        for label, count, errors, bound in self.shares():
            if errors and at_least(errors, count, bound / 100) < BY_CHANCE:
                found.append(f"{label}: {errors} of {count} connections ended in an error, bound {bound:g} %")
        return found

    def table(self) -> str:
        lines = [
            f"{'fault':<18}{'cases':>7}"
            + "".join(f"{end:>10}" for end in ENDS)
            + f"{'error %':>9}{'bound %':>9}"
        ]
        shares = {label: (count, errors, bound) for label, count, errors, bound in self.shares()}
        for label in ("network", *FAULTS, "mixed"):
            ends = self.ends.get(label)
            if ends is None:
                continue
            count, errors, bound = shares.get(label, (0, 0, 0.0))
            share = f"{100 * errors / count if count else 0:>9.2f}{bound:>9.2f}" if label != "network" else ""
            lines.append(
                f"{label:<18}{ends.total():>7}" + "".join(f"{ends[end]:>10}" for end in ENDS) + share
            )
        if self.cookies:
            count, errors, bound = shares["cookie"]
            lines.append(
                f"with SYN cookies, only the network's faults: {count}, refused by a server without state: "
                f"{errors} ({100 * errors / count:.2f} %, bound {bound:g} %)"
            )
        acted = ", ".join(f"{name} {self.hits[name]}" for name in FAULTS if self.hits[name])
        lines.append(f"of the network's faults acted, in so many of those connections: {acted}")
        stall, seed = self.stall
        lines.append(f"longest time without progress over such a network: {stall / 1e9:.1f} s (case {seed})")
        return "\n".join(lines)


def at_least(errors: int, count: int, share: float) -> float:
    """The probability of that many errors or more among `count`, at this share (binomial distribution)."""
    if not 0 < share < 1:
        return 1.0 if share >= 1 or errors == 0 else 0.0
    ways = [lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1) for k in range(errors)]
    fewer = sum(exp(way + k * log(share) + (count - k) * log1p(-share)) for k, way in enumerate(ways))
    return max(0.0, 1.0 - fewer)


def run_case(seed: int) -> Result:
    case = draw(seed)
    outcome = play(case)
    return Result(
        seed,
        outcome.kind,
        outcome.acted,
        outcome.end,
        outcome.reason,
        outcome.packets,
        outcome.stall,
        case.server.syn_cookies is SynCookies.ALWAYS or case.crowd > 0,
        outcome.failure,
    )


def campaign(
    number: int,
    *,
    packets: int | None = None,
    cases: int | None = None,
    jobs: int = 1,
    on_result: Callable[[Result, Tally], None] | None = None,
) -> Tally:
    """The cases number * 1,000,000, + 1, ... until `packets` were sent or `cases` were run."""
    first = number * FIRST_OF
    seeds = range(first, first + min(cases if cases is not None else FIRST_OF, FIRST_OF))
    tally = Tally()

    def take(results: Iterator[Result]) -> Tally:
        for result in results:
            tally.add(result)
            if on_result is not None:
                on_result(result, tally)
            if packets is not None and tally.packets >= packets:
                break
        return tally

    if jobs == 1:
        return take(map(run_case, seeds))
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        return take(pool.imap(run_case, seeds, chunksize=16))
