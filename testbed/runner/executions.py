"""Which runs an experiment consists of, and which of them are there already.

Decides names, seeds and sizes of runs, and when a finished run is used again: it has the same digest
(identity.py), the same seed, and was made by the same version of the code. An execution is one run of a
cell with all its tries: a repeat, or a part of it where connections are spread over several runs
(blocks.py). More values, cases, repeats or connections add executions and leave the others as they are.
Must not know how a run is executed, or write anything.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.runner.blocks import separable, split
from testbed.runner.experiment import Campaign, CellPlan
from testbed.runner.identity import cell_digest as digest_of
from testbed.runner.identity import code_version, record_digest, same_code, version_words
from testbed.runner.network import network_of
from testbed.runner.seeds import derive

TRIES = 3
GAP = 3  # parts that may be missing before others, in multiples of a repeat's: interrupted runs

Record = Mapping[str, Any]


def may_retry(record: Record, tries: int) -> bool:
    """Whether an invalid run, the last of `tries`, may be tried again with another seed.

    Only where the machine made it invalid. Repeating a simulated run, or one whose queue overflowed, would
    choose the runs by their outcome.
    """
    return tries < TRIES and bool(record.get("retry", record.get("net") != "sim"))


@dataclass(frozen=True, slots=True)
class Run:
    """One try of an execution. `attempt` counts from 1. `connections` is the size of this run."""

    plan: CellPlan
    repeat: int
    part: int
    attempt: int
    seed: int
    connections: int
    digest: str
    name: str


@dataclass(frozen=True, slots=True)
class Execution:
    """`base` is the name of its first try. `tries`: the records that are there, by the number of the try.
    `seed` is the experiment's."""

    plan: CellPlan
    repeat: int
    part: int
    connections: int
    digest: str
    base: str
    seed: int
    tries: Mapping[int, Record] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        return any(record["invalid"] is None for record in self.tries.values())

    def next_run(self, after: int = 0) -> Run | None:
        """The first try behind `after` that is not there; None where all have been used, or where the last
        one may not be repeated."""
        if self.tries and not may_retry(self.tries[max(self.tries)], len(self.tries)):
            return None
        missing = (attempt for attempt in range(after + 1, TRIES + 1) if attempt not in self.tries)
        attempt = next(missing, None)
        if attempt is None:
            return None
        seed = run_seed(self.seed, self.plan, self.repeat, attempt, self.part)
        return Run(
            self.plan,
            self.repeat,
            self.part,
            attempt,
            seed,
            self.connections,
            self.digest,
            self.name(attempt),
        )

    def name(self, attempt: int) -> str:
        """The directory of a try. A run that is there keeps the name that it has."""
        if attempt in self.tries:
            return str(self.tries[attempt]["run"])
        return self.base + (f".try{attempt}" if attempt > 1 else "")

    def listed(self) -> dict[str, Any]:
        """The entry of runs.json."""
        return {
            "names": [self.name(attempt) for attempt in range(1, TRIES + 1)],
            "cell": self.plan.index,
            "factors": dict(self.plan.factors),
            "expect": self.plan.cell.expect,
            "repeat": self.repeat,
            "part": self.part,
        }


@dataclass(slots=True)
class Planned:
    """All executions in the order of the file. `other`: versions of the code, and how many of the finished
    runs that they made would fit this experiment."""

    executions: list[Execution] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)


def run_seed(seed: int, plan: CellPlan, repeat: int, attempt: int, part: int = 1) -> int:
    """The run's own seed: from the experiment's `seed`, the factors, the repeat, the try and the part."""
    words = (dict(plan.factors), repeat, attempt)
    return derive(seed, *words) if part == 1 else derive(seed, *words, part)


def plan_runs(
    campaign: Campaign, net: str, there: Iterable[Record], commit: str, reuse_old: bool = False
) -> Planned:
    """`there`: the records of all finished runs in the directory. `reuse_old`: those of other versions of the
    code count as well; those of this one come first."""
    records = list(there)
    shelf = _Shelf(records, commit, reuse_old)
    names = _Names(record["run"] for record in records)
    planned = Planned(other=shelf.other)
    seed, repeats = campaign.experiment.seed, campaign.experiment.repeats
    for plan in campaign.cells:
        digest = digest_of(plan.cell, net)
        sizes = _sizes(campaign, plan, net)
        for repeat in range(1, repeats + 1):
            pieces = _pieces(plan, repeat, digest, sizes, seed, shelf)
            for part, piece in pieces.items():
                if piece.tries:
                    attempt, record = next(iter(piece.tries.items()))
                    base = str(record["run"]).removesuffix(f".try{attempt}")
                else:
                    base = _name(plan, repeat, repeats, part if len(pieces) > 1 else 0)
                    base = names.free(base, digest, run_seed(seed, plan, repeat, 1, part))
                planned.executions.append(
                    Execution(plan, repeat, part, piece.connections, digest, base, seed, piece.tries)
                )
    return planned


def _sizes(campaign: Campaign, plan: CellPlan, net: str) -> list[int] | None:
    """Connections of each part of a repeat in a new directory; None where they cannot be spread."""
    if not separable(plan.cell, network_of(plan.cell)):
        return None
    return split(plan.cell.connections, 1 if net == "sim" else campaign.experiment.blocks)


@dataclass(frozen=True, slots=True)
class _Piece:
    connections: int
    tries: Mapping[int, Record] = field(default_factory=dict)


def _pieces(
    plan: CellPlan, repeat: int, digest: str, usual: list[int] | None, seed: int, shelf: _Shelf
) -> dict[int, _Piece]:
    """The parts of one repeat, by number: those that are there, as far as they are wanted, then what is
    missing."""
    left = plan.cell.connections
    sizes = usual or [left]
    kept: dict[int, _Piece] = {}
    taken: set[int] = set()
    part = missed = 0
    while missed <= (GAP * len(sizes) if usual else 0):
        part += 1
        seeds = {n: run_seed(seed, plan, repeat, n, part) for n in range(1, TRIES + 1)}
        tries = shelf.tries(digest, seeds)
        if not tries:
            missed += 1
            continue
        missed = 0
        taken.add(part)
        count = int(next(iter(tries.values()))["settings"]["connections"])
        if count <= left:
            kept[part] = _Piece(count, tries)
            left -= count
    fresh = {part: size for part, size in enumerate(sizes, 1) if part not in taken}
    if taken <= kept.keys() and {part: kept[part].connections for part in kept} | fresh == dict(
        enumerate(sizes, 1)
    ):
        new = fresh
    else:  # the experiment has grown: the rest, in parts of about the usual size
        rest = split(left, -(-left // sizes[0])) if left else []
        free = (part for part in itertools.count(1) if part not in taken)
        new = dict(zip(free, rest, strict=False))
    both = kept | {part: _Piece(size) for part, size in new.items()}
    return {part: both[part] for part in sorted(both)}


class _Shelf:
    """The finished runs that may be used again, by digest and seed."""

    def __init__(self, records: Iterable[Record], commit: str, reuse_old: bool) -> None:
        self._found: dict[tuple[str, int], Record] = {}
        self._old: dict[tuple[str, int], Record] = {}
        self._reuse_old = reuse_old
        self.other: Counter[str] = Counter()
        for record in records:
            current = same_code(record, commit)
            digest = str(record["digest"]) if current and "digest" in record else record_digest(record)
            (self._found if current else self._old)[digest, record["seed"]] = record

    def tries(self, digest: str, seeds: Mapping[int, int]) -> dict[int, Record]:
        """Those with these seeds, by the number of the try."""
        found: dict[int, Record] = {}
        for attempt, seed in seeds.items():
            record = self._found.get((digest, seed))
            if record is None and (old := self._old.get((digest, seed))) is not None:
                self.other[version_words(old)] += 1
                record = old if self._reuse_old else None
            if record is not None:
                found[attempt] = record
        return found


class _Names:
    """Names of directories: those that are in use stay what they are."""

    def __init__(self, used: Iterable[str]) -> None:
        self._used = set(used)

    def free(self, base: str, digest: str, seed: int) -> str:
        """`base`, or `base` with a mark where another run has that name."""
        name = base
        if name in self._used:
            name = f"{base}-{derive(seed, digest, code_version()):016x}"[: len(base) + 7]
        self._used.add(name)
        return name


def _name(plan: CellPlan, repeat: int, repeats: int, part: int) -> str:
    words = [re.sub(r"[^A-Za-z0-9.]+", "_", str(value)).strip("_") for value in plan.factors.values()]
    slug = "-".join(words)[:48]
    name = f"{plan.index:03d}" + (f"-{slug}" if slug else "")
    name += f"-r{repeat}" if repeats > 1 else ""
    return name + (f"-p{part}" if part else "")
