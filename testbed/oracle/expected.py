"""What must come out of a cell: how it ends, how many subflows there are at the most, what each end counts.

Decides all of it from the cell alone, so that it can be read and tested without running anything. Counters
carry Linux's names, and the same are asked of our stack. A counter that is not named must stay 0, but for
those in FREE, which depend on the order in which two CPUs happen to do things, and when.
Read first: RFC 8684 §3.1, §3.2, §3.4; the kernel's net/mptcp/mib.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.oracle.cells import Cell

# Reordering between paths, shared windows and reinjection after it: neither right nor wrong by number.
FREE = frozenset({"OFOQueue", "OFOQueueTail", "OFOMerge", "DuplicateData", "MPTCPRetrans", "NoDSSInWindow"})
FREE |= {"WinProbe", "SndWndShared", "RcvWndShared", "RcvWndConflict", "RcvWndConflictUpdate"}
# Ours is stale with the first RTO, which 200 ms without the CPU are enough for; Linux's after four in a row.
FREE_OF_OURS = frozenset({"SubflowStale", "SubflowRecover"})
MANY = 1 << 30

Count = int | tuple[int, int]  # exactly, or from the first to the last
Counts = Mapping[str, Count]


@dataclass(frozen=True, slots=True)
class Expected:
    """`whole`: both directions arrived byte for byte and closed in order. `subflows`: at the most at once.

    `idle`: subflows that carry next to nothing: on which cables (1 is the first) the client's and the
    server's address are.
    """

    whole: bool = True
    verdict: str = "mptcp"
    subflows: Count = 1
    client: Counts = field(default_factory=dict)
    server: Counts = field(default_factory=dict)
    idle: tuple[tuple[int, int], ...] = ()

    def counts(self, side: str) -> Counts:
        return self.client if side == "client" else self.server


def transfer(
    cell: Cell,
    *,
    joins: int | None = None,
    client: Counts | None = None,
    server: Counts | None = None,
    subflows: Count | None = None,
    **others: object,
) -> Expected:
    """A handshake, `joins` further subflows opened by the client, and what the caller adds."""
    joins = cell.paths - 1 if joins is None else joins
    ours: dict[str, Count] = {"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1}
    theirs: dict[str, Count] = {"MPCapableSYNRX": 1, "MPCapableACKRX": 1}
    if joins:
        ours |= {"MPJoinSynTx": joins, "MPJoinSynAckRx": joins}
        theirs |= {"MPJoinSynRx": joins, "MPJoinAckRx": joins}
    if cell.cookies:  # every SYN is answered statelessly, the joins' too
        theirs |= {"SyncookiesSent": 1 + joins, "SyncookiesRecv": 1 + joins}
    return Expected(
        subflows=1 + joins if subflows is None else subflows,
        client={**ours, **(client or {})},
        server={**theirs, **(server or {})},
        **others,  # type: ignore[arg-type]
    )


def within(value: int, count: Count) -> bool:
    first, last = (count, count) if isinstance(count, int) else count
    return first <= value <= last


def spelled(count: Count) -> str:
    if isinstance(count, int):
        return str(count)
    first, last = count
    return f"{first} or more" if last >= MANY else f"{first} to {last}"
