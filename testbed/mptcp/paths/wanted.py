"""Which subflows and announcements a connection should have and does not have yet.

Decides by the rules of Linux's in-kernel path manager: `subflow` endpoints join the peer's initial address,
`fullmesh` ones all of its addresses, `signal` ones are announced, an accepted announcement is joined from
the initial address where no other endpoint answers it (one of the other family from the first endpoint of
that family), limits bound it all. Our
own word is `pair`: the k-th such endpoint joins the k-th address that the peer announced, so that two hosts
with two addresses each get two paths that share nothing. Must not know connections, timers or packets: the
caller says what is, carries out what is wanted, and asks again when something changed.
Read first: RFC 8684 §3.1 (the C flag), §3.4.1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from testbed.mptcp.paths.endpoints import Flag, LocalEndpoint, PathsConfig, numbered


class Subflow(NamedTuple):
    """One that is there or under way, the first included. Ids 0: the initial addresses."""

    local: bytes
    local_id: int
    remote: bytes
    port: int  # the remote one
    remote_id: int


class Known(NamedTuple):
    """An address that one side announced. `port` 0: that of the first subflow."""

    id: int
    address: bytes
    port: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """A connection as the path manager sees it."""

    role: Literal["client", "server"]
    local: bytes  # of the first subflow, as the next three
    local_port: int
    remote: bytes
    remote_port: int
    addresses: tuple[bytes, ...] = ()  # all of this host's, in the order of its paths
    subflows: tuple[Subflow, ...] = ()
    extra: int = 0  # how many besides the first, whoever opened them, those under way included
    announced: tuple[Known, ...] = ()  # to the peer
    peer: tuple[Known, ...] = ()  # by the peer, and not removed since
    attempted: frozenset[tuple[bytes, bytes, int]] = frozenset()  # joins once tried: local, remote, port
    deny_join_initial: bool = False  # the peer's C flag
    initial_again: bool = False  # the first subflow's local address was gone and is back
    settled: bool = False  # the peer had time to announce its addresses: `pair` waits no longer


@dataclass(frozen=True, slots=True)
class Join:
    """Open a subflow. `port`: the remote one."""

    local: bytes
    local_id: int
    remote: bytes
    port: int
    remote_id: int
    backup: bool


@dataclass(frozen=True, slots=True)
class Announce:
    """Send ADD_ADDR. With a port of its own, joins come to that port."""

    id: int
    address: bytes
    port: int


def endpoints_of(config: PathsConfig, view: View) -> tuple[LocalEndpoint, ...]:
    """The endpoints as configured, or what stands in for them: the host's further addresses."""
    if config.endpoints is not None:
        return config.endpoints
    flags = Flag.SUBFLOW | Flag.PAIR if view.role == "client" else Flag.SIGNAL
    loopback = ipaddress.ip_address(view.local).is_loopback
    return numbered(
        [
            LocalEndpoint(address, flags=flags)
            for address in dict.fromkeys(view.addresses)
            if address != view.local
            and len(address) == len(view.local)
            and ipaddress.ip_address(address).is_loopback == loopback
        ]
    )


def endpoint_of(config: PathsConfig, view: View, address: bytes, port: int = 0) -> LocalEndpoint | None:
    """The endpoint that a local address is: its id and whether it is `backup`."""
    for endpoint in endpoints_of(config, view):
        if endpoint.address == address and endpoint.port in (0, port):
            return endpoint
    return None


def wanted(config: PathsConfig, view: View) -> list[Join | Announce]:
    """In the order to carry out; nothing once all of it was carried out (joins that failed: `attempted`)."""
    endpoints = endpoints_of(config, view)
    if not endpoints and not view.peer:
        return []  # asked three times a connection
    return [*_announcements(endpoints, view), *_Joins(config, endpoints, view).chosen()]


def withdrawn(config: PathsConfig, view: View) -> list[int]:
    """Ids that the peer was told, by ADD_ADDR or in a join, and whose endpoint is there no longer."""
    told = {known.id for known in view.announced} | {one.local_id for one in view.subflows}
    return sorted(told - {0} - {endpoint.id for endpoint in endpoints_of(config, view)})


def _announcements(endpoints: tuple[LocalEndpoint, ...], view: View) -> Iterator[Announce]:
    done = {known.id for known in view.announced}
    for endpoint in endpoints:
        initial = endpoint.address == view.local and endpoint.port in (0, view.local_port)
        if Flag.SIGNAL in endpoint and not initial and endpoint.id not in done:
            yield Announce(endpoint.id, endpoint.address, endpoint.port)


class _Joins:
    """The joins of one call: counts what the limits still allow while it chooses."""

    def __init__(self, config: PathsConfig, endpoints: tuple[LocalEndpoint, ...], view: View) -> None:
        self.view = view
        self.limits = config.limits
        self.endpoints = endpoints
        self.initial = Known(0, view.remote, view.remote_port)
        announced = [known for known in sorted(set(view.peer)) if known.id]
        self.peer = [known._replace(port=known.port or view.remote_port) for known in announced]
        self.used = {(one.local, one.remote, one.port) for one in view.subflows} | view.attempted
        reached = {(remote, port) for _, remote, port in self.used}
        if not view.initial_again:
            # the first subflow counts as tried even after its end
            self.used |= {(view.local, view.remote, view.remote_port)}
        others = [known for known in self.peer if not self._is_initial(known)]
        self.accepted = {known.id for known in others if known[1:] in reached}
        self.room = config.limits.subflows - view.extra

    def chosen(self) -> Iterator[Join]:
        for local, local_id, remote, backup in self._candidates():
            if self.room <= 0:
                return
            place = local, remote.address, remote.port
            if place in self.used or len(local) != len(remote.address):
                continue
            if not self._permitted(remote):
                continue
            self.used.add(place)
            self.room -= 1
            yield Join(local, local_id, remote.address, remote.port, remote.id, backup)

    def _candidates(self) -> Iterator[tuple[bytes, int, Known, bool]]:
        """Every join that endpoints and announcements ask for, limits and repetitions aside."""
        for endpoint in self.endpoints:
            if Flag.SUBFLOW in endpoint and Flag.PAIR not in endpoint:
                yield self._from(endpoint, self.initial)
        yield from self._pairs()
        for known in self.peer:
            yield from self._answers(known)

    def _answers(self, known: Known) -> Iterator[tuple[bytes, int, Known, bool]]:
        meshed = [one for one in self.endpoints if Flag.FULLMESH in one]
        if meshed:
            yield from (self._from(one, known) for one in meshed)
        elif self._only_announced():
            busy = {local for local, _, _ in self.used if local != self.view.local}
            for one in self.endpoints:
                if Flag.SUBFLOW in one and Flag.PAIR not in one and one.address not in busy:
                    yield self._from(one, known)
        elif len(known.address) != len(self.view.local):
            for one in self.endpoints:
                if len(one.address) == len(known.address):
                    yield self._from(one, known)
                    return
        elif not any(Flag.PAIR in one for one in self.endpoints):
            backup = any(Flag.BACKUP in one for one in self.endpoints if one.address == self.view.local)
            yield self.view.local, 0, known, backup

    def _pairs(self) -> Iterator[tuple[bytes, int, Known, bool]]:
        """Each `pair` endpoint with the peer's address of the same rank, by id, the initial ones aside.

        A gap among the ids may be an announcement that is still on its way, which would change the ranks:
        that is waited for, and so is an address that is missing at the end. Then the initial one serves.
        """
        ids = {known.id for known in self.peer}
        for size in (4, 16):
            theirs = [one for one in self.peer if len(one.address) == size and not self._is_initial(one)]
            mine = [
                one
                for one in self.endpoints
                if Flag.PAIR in one and len(one.address) == size and one.address != self.view.local
            ]
            joined = {local for local, _, _ in self.used}
            for rank, endpoint in enumerate(mine):
                if endpoint.address in joined:
                    continue
                if rank < len(theirs):
                    known = theirs[rank]
                    if self.view.settled or ids.issuperset(range(1, known.id)):
                        yield self._from(endpoint, known)
                elif self.view.settled:
                    yield self._from(endpoint, self.initial)

    def _from(self, endpoint: LocalEndpoint, remote: Known) -> tuple[bytes, int, Known, bool]:
        number = 0 if endpoint.address == self.view.local else endpoint.id
        return endpoint.address, number, remote, Flag.BACKUP in endpoint

    def _permitted(self, remote: Known) -> bool:
        if self._is_initial(remote):
            return not self.view.deny_join_initial
        if remote.id not in self.accepted:
            most = self.limits.add_addr_accepted or self._only_announced()
            if len(self.accepted) >= most:
                return False
            self.accepted.add(remote.id)
        return True

    def _is_initial(self, known: Known) -> bool:
        return known[1:] == self.initial[1:]

    def _only_announced(self) -> bool:
        """The initial address is denied and no announcement is accepted: `subflow` endpoints would never be
        of use. Then Linux joins one announced address from them.
        """
        return self.view.deny_join_initial and not self.limits.add_addr_accepted
