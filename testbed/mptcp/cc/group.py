"""The controllers of one connection's subflows, so that coupled ones can see each other.

Decides which of them count: those in use. Each member keeps its own cwnd and last smoothed RTT; what is made
of them is decided in lia.py and olia.py. Read first: RFC 6356 §3.
"""

from __future__ import annotations

from typing import Protocol

SILENT = 1_000_000_000  # ns without an acknowledgement, and two round trips: the window is not in use


class Member(Protocol):
    """What the others may know of a controller: the window to take for its own, in bytes, srtt and the time
    of the last acknowledgement in ns."""

    group: Group | None
    srtt: int | None
    acked_at: int

    @property
    def steady(self) -> int: ...


class Group:
    """One for each connection. A controller joins when it is made; whoever ends the subflow lets it leave."""

    __slots__ = ("members",)

    def __init__(self) -> None:
        self.members: list[Member] = []

    def join(self, member: Member) -> None:
        if not any(one is member for one in self.members):
            self.members.append(member)

    def in_use(self) -> list[Member]:
        """Those that something was acknowledged on lately, as seen from the last of all acknowledgements. A
        backup or a dead path takes no share of anything, and must not slow down the others (RFC 6356 §2)."""
        now = max((one.acked_at for one in self.members), default=0)
        return [
            one
            for one in self.members
            if one.srtt is not None and now - one.acked_at <= max(SILENT, 2 * one.srtt)
        ]

    def leave(self, member: object) -> None:
        """Leaving twice, or without having joined, does nothing."""
        for one in self.members:
            if one is member:
                one.group = None
        self.members = [one for one in self.members if one is not member]
