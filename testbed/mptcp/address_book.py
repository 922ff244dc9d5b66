"""The addresses that both ends of a connection have told each other of, by address ID.

Holds them and what the path manager has already tried; decides only when an ADD_ADDR without an echo is
due again. What is announced and joined is decided in paths/, what a signal means in addresses.py.
Read first: RFC 8684 §3.4.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.mptcp.config import SECOND

ECHO_TIMEOUT = 2 * SECOND  # first wait for an echo; doubled each time (RFC 8684 §3.4.1 leaves it open)
ANNOUNCEMENTS = 3  # of one address, the first included
SETTLE_RTOS = 2  # how long a peer may take to announce its addresses
MOST_KNOWN = 256  # IDs are one byte: there cannot be more


@dataclass(slots=True)
class Announced:
    """An address of ours that the peer was told of. `at`: when it is told again, None once it echoed."""

    address: bytes
    port: int
    at: int | None = None
    times: int = 0


class AddressBook:
    __slots__ = (
        "announced",
        "deny_join_initial",
        "initial_again",
        "known",
        "plan_due",
        "settle_at",
        "settled",
        "tried",
        "withdrawn",
    )

    def __init__(self) -> None:
        self.announced: dict[int, Announced] = {}  # ours, by ID
        self.known: dict[int, tuple[bytes, int]] = {}  # the peer's: address, port or 0
        self.tried: set[tuple[bytes, bytes, int]] = set()  # local, remote, port: joins begun
        self.withdrawn: set[int] = set()  # IDs of ours that the peer was told to forget
        self.deny_join_initial = False  # the peer's C flag (RFC 8684 §3.1)
        self.initial_again = False  # the first subflow's own pair of addresses may be joined
        self.plan_due = False  # something happened that the path manager wants to know of
        self.settle_at: int | None = None  # until then announcements of the peer are waited for
        self.settled = False

    def begin(self, now: int, rto: int) -> None:
        """The connection is fully established."""
        if self.settle_at is None and not self.settled:
            self.settle_at = now + SETTLE_RTOS * rto

    def due(self, now: int) -> list[tuple[int, Announced]]:
        """Announcements to be made (again) now; books them as made."""
        ready = [
            (number, one) for number, one in self.announced.items() if one.at is not None and now >= one.at
        ]
        for _, one in ready:
            one.times += 1
            one.at = now + (ECHO_TIMEOUT << one.times - 1) if one.times < ANNOUNCEMENTS else None
        return ready

    def deadline(self) -> int | None:
        if not self.announced:
            return self.settle_at
        times = [one.at for one in self.announced.values() if one.at is not None]
        if self.settle_at is not None:
            times.append(self.settle_at)
        return min(times, default=None)

    def timed_out(self, now: int) -> None:
        if self.settle_at is not None and now >= self.settle_at:
            self.settle_at = None
            self.settled = self.plan_due = True
