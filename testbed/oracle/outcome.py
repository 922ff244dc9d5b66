"""What was seen of a cell at its two ends, and how it differs from what was expected.

Decides nothing but the comparison, in words for the report. Knows nothing of how a cell was run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from testbed.oracle.cells import Cell
from testbed.oracle.expected import FREE, FREE_OF_OURS, Expected, spelled, within

_NEXT_TO_NOTHING = 0.02  # of what went over all subflows


@dataclass(frozen=True, slots=True)
class End:
    """One end's own account. `checksum` None: it does not say. `flows`: its figures of each subflow."""

    stack: str
    verdict: str = ""
    intact: bool = False
    sent: int = 0
    received: int = 0
    subflows: int = 0
    checksum: bool | None = None
    error: str = ""
    seconds: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)
    flows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`problem`: why nothing can be said. `unsupported`: a stack has no way to do this yet."""

    cell: Cell
    ends: dict[str, End] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    unsupported: str = ""
    seconds: float = 0.0  # all of the cell, with the start of the programs
    goodput: float = 0.0  # bit/s each way

    @property
    def passed(self) -> bool:
        return not self.differences and not self.unsupported

    @property
    def state(self) -> str:
        return "unsupported" if self.unsupported else "failed" if self.differences else "passed"

    @property
    def subflows(self) -> int:
        return max((end.subflows for end in self.ends.values()), default=0)


def differences(
    cell: Cell, expected: Expected, ends: dict[str, End], size: int, names: frozenset[str]
) -> list[str]:
    """In words; empty where all is as expected. `names`: the counters that are compared."""
    found: list[str] = []
    for side, end in ends.items():
        found += [f"{side} ({end.stack}): {text}" for text in _of_end(cell, expected, side, end, size, names)]
    most = max(end.subflows for end in ends.values())
    if not within(most, expected.subflows):
        found.append(f"{most} subflows, expected {spelled(expected.subflows)}")
    return found


def _of_end(
    cell: Cell, expected: Expected, side: str, end: End, size: int, names: frozenset[str]
) -> list[str]:
    if end.error and not end.verdict:
        return [end.error]  # it never got so far as to say more
    found: list[str] = []
    if expected.whole:
        if end.error:
            found.append(end.error)
        if not end.intact:
            found.append("data damaged or missing")
        if (end.sent, end.received) != (size, size):
            found.append(f"{end.sent} bytes sent and {end.received} received, expected {size} each way")
        if end.verdict != expected.verdict:
            found.append(f"ended as {end.verdict or 'nothing'}, expected {expected.verdict}")
        if end.checksum is not None and end.checksum != cell.checksum:
            found.append(f"checksums {'on' if end.checksum else 'off'}")
    counts = expected.counts(side)
    free = FREE | FREE_OF_OURS if end.stack == "ours" else FREE
    for name in sorted((names | {*counts}) - free):
        value = end.counters.get(name, 0)
        if not within(value, counts.get(name, 0)):
            found.append(f"{name} {value}, expected {spelled(counts.get(name, 0))}")
    for cables in expected.idle:
        if end.flows and cables not in map(_cables, end.flows):
            found.append(f"no subflow on cables {cables[0]} - {cables[1]}")
    total = sum(flow["sent"] for flow in end.flows)
    for flow in end.flows:
        if _cables(flow) in expected.idle and flow["sent"] > total * _NEXT_TO_NOTHING:
            found.append(
                f"{flow['sent']} of {total} bytes on {flow['local']} - {flow['remote']}, expected none"
            )
    return found


def _cables(flow: dict[str, Any]) -> tuple[int, int]:
    """Of the client's and the server's address: 10.7.2.1 and fd00:7:2::1 are the client's on cable 2."""
    ends = sorted((flow["local"], flow["remote"]), key=lambda end: not end.endswith((".1", "::1")))
    client, server = (int(end.split(".")[2] if "." in end else end.split(":")[2]) for end in ends)
    return client, server
