"""What a scheduler is shown of a subflow, and what it may answer.

A scheduler decides which subflow takes the next bytes; it must not know a connection, a segment or a data
sequence number. Whether a subflow is usable at all, and how many bytes it takes, was decided before.
Read first: RFC 8684 §3.3.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol


@dataclass(slots=True)
class Candidate:
    """One usable subflow with room for new data. Sizes in bytes, `srtt` in ns."""

    index: int  # of the subflow, in the order in which they were made
    srtt: int | None
    cwnd: int
    flight: int
    room: int  # how many new bytes it would take now, at least 1
    backup: bool = False
    mss: int = 1460


class Scheduler(Protocol):
    """One object for each connection, so it may remember what it chose."""

    meaning: ClassVar[str]  # one line for people
    source: ClassVar[str]  # the RFC or paper
    duplicates: ClassVar[bool]  # every byte goes to every subflow that has room for it

    def pick(self, candidates: Sequence[Candidate], queued: int) -> int | None:
        """The `index` of the subflow for the next of `queued` bytes, or None: none of these, rather wait.

        `candidates` come in the order of their indices and are never empty.
        """
