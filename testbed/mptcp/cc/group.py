"""The controllers of one connection's subflows, so that coupled ones can see each other.

Decides nothing: it is a list. Each member keeps its own cwnd and last smoothed RTT; what is made of
them is decided in lia.py and olia.py. Read first: RFC 6356 §3.
"""

from __future__ import annotations

from typing import Protocol


class Member(Protocol):
    """What the others may know of a controller: the window to take for its own, in bytes, and srtt in ns."""

    group: Group | None
    srtt: int | None

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

    def leave(self, member: object) -> None:
        """Leaving twice, or without having joined, does nothing."""
        for one in self.members:
            if one is member:
                one.group = None
        self.members = [one for one in self.members if one is not member]
