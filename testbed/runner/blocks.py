"""How a cell becomes runs, and in which order a lab does them: parts, and blocks in random order.

A machine's load changes while a campaign runs. So a lab spreads the connections of a cell over several runs
(`blocks:`, 3 unless the experiment says otherwise), and runs block after block: each block holds one run of
every cell, in an order drawn from the seed. Load then falls on all cells alike, and the runs of a cell show
how much it matters. The simulator has no such load: one run, in the order of the file.

Decides which cells may be spread (`separable`), how large the parts are, and the order. Must not know what is
stored already (store.py), or how a run is executed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from testbed.link import parse_rule
from testbed.mptcp.config import ClientConfig
from testbed.plan import NetPlan
from testbed.runner.seeds import derive
from testbed.runner.spec import Cell, build
from testbed.workloads import Workload
from testbed.workloads.spec import MOST_SYNS

Item = TypeVar("Item")


def separable(cell: Cell, plan: NetPlan) -> bool:
    """Whether connections in several runs mean the same as in one.

    Not so for a bulk workload, whose connections compete; nor where something happens once in a run: a time
    at which a link changes, a drop of a certain connection, a Fast Open cookie that the first connection
    fetches, traffic that starts later or ends early.
    """
    if build(Workload, cell.workload).type == "bulk" or build(ClientConfig, cell.client).fast_open:
        return False
    for entry in cell.traffic:
        if entry.start or entry.bytes is not None or entry.syns < MOST_SYNS:
            return False
    for link in plan.links:
        for params in (link.forward, link.backward):
            if params.changes or params.blackouts or any(map(_once, params.drops)):
                return False
    return True


def _once(drop: str) -> bool:
    """Whether a drop rule counts over a whole run, not in each connection."""
    rule = parse_rule(drop)
    return rule.word == "packet" or rule.together or rule.connection is not None or rule.port is not None


def split(count: int, parts: int) -> list[int]:
    """`count` connections as at most `parts` sizes that differ by one at most, the larger first."""
    parts = max(1, min(parts, count))
    whole, rest = divmod(count, parts)
    return [whole + (index < rest) for index in range(parts)]


def in_blocks(items: Sequence[Item], cell_of: Callable[[Item], int], seed: int) -> list[Item]:
    """Block after block, each with the next item of every cell, in an order that the seed decides."""
    blocks: list[list[Item]] = []
    seen: dict[int, int] = {}
    for item in items:
        cell = cell_of(item)
        block = seen[cell] = seen.get(cell, -1) + 1
        if block == len(blocks):
            blocks.append([])
        blocks[block].append(item)
    for number, block_items in enumerate(blocks):
        random.Random(derive(seed, "order", number)).shuffle(block_items)
    return [item for block_items in blocks for item in block_items]
