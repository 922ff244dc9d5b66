"""ADD_ADDR, REMOVE_ADDR and MP_PRIO: what they mean and when they are sent.

Decides what a signal does to the connection. Which addresses are announced and which subflows wanted is
decided in paths/; the book itself is address_book.py.
Read first: RFC 8684 §3.3.8, §3.4; RFC 6824 §3.4 for the forms of v0 and the draft.
"""

from __future__ import annotations

import hmac as constant_time
from dataclasses import replace

from testbed.mptcp.address_book import MOST_KNOWN, Announced
from testbed.mptcp.connection import Connection, Mode
from testbed.mptcp.join import Place, extra_subflows
from testbed.mptcp.keys import add_addr_hmac
from testbed.mptcp.martian import can_talk
from testbed.mptcp.paths import (
    Announce,
    Flag,
    Join,
    Known,
    LocalEndpoint,
    View,
    endpoint_of,
    endpoints_of,
    wanted,
)
from testbed.mptcp.paths import Subflow as PathSubflow
from testbed.mptcp.reasons import Reason
from testbed.mptcp.subflow import Subflow
from testbed.mptcp.wire import AddAddr, MpPrio, Option, RemoveAddr

IN_A_ROW = 2  # announcements at a time: more look like duplicate ACKs (RFC 8684 §3.3.5)
MOST_SIGNALS = 8  # that wait on one subflow: a flood of announcements is not echoed without end


def view_of(conn: Connection, addresses: tuple[bytes, ...]) -> View:
    """The connection as the path manager sees it. `addresses`: of this host."""
    book = conn.book
    return View(
        role="client" if conn.role == "client" else "server",
        local=conn.local[0],
        local_port=conn.local[1],
        remote=conn.remote[0],
        remote_port=conn.remote[1],
        addresses=addresses,
        subflows=tuple(
            PathSubflow(sub.tcb.local[0], sub.local_id, sub.tcb.remote[0], sub.tcb.remote[1], sub.remote_id)
            for sub in conn.subflows
            if sub.alive
        ),
        extra=extra_subflows(conn),
        announced=tuple(Known(number, one.address, one.port) for number, one in book.announced.items()),
        peer=tuple(Known(number, address, port) for number, (address, port) in book.known.items()),
        attempted=frozenset(book.tried),
        deny_join_initial=book.deny_join_initial,
        settled=book.settled,
        initial_again=book.initial_again,
    )


def place_of(conn: Connection, addresses: tuple[bytes, ...], address: bytes, port: int) -> Place:
    """What a peer that joins an address of ours is told of it (RFC 8684 §3.2)."""
    endpoint = endpoint_of(conn.paths, view_of(conn, addresses), address, port)
    if endpoint is None:
        return Place(0, False)
    number = 0 if address == conn.local[0] else endpoint.id
    return Place(number, Flag.BACKUP in endpoint)


def plan(conn: Connection, now: int, addresses: tuple[bytes, ...]) -> list[Join]:
    """Ask the path manager: announcements are begun here, the joins that it wants are given back."""
    book = conn.book
    book.plan_due = False
    if conn.finished or conn.mode is not Mode.MPTCP or conn.remote_key is None or conn.failed:
        return []
    if not conn.peer_dss_seen or (conn.role == "client" and not conn.confirmed):
        # An announcement may leave no room for a DATA_ACK, and is taken for one: a join that answers it
        # would come before the first DSS.
        return []
    book.begin(now, conn.first.tcb.rtt.rto)
    joins: list[Join] = []
    for action in wanted(conn.paths, view_of(conn, addresses)):
        number = action.id if isinstance(action, Announce) else action.local_id
        if number in book.withdrawn:
            continue
        if isinstance(action, Announce):
            waiting = sum(one.at is not None for one in book.announced.values())
            at = now + waiting // IN_A_ROW * (conn.first.tcb.rtt.srtt or 0)
            book.announced[action.id] = Announced(action.address, action.port, at=at)
        else:
            book.tried.add((action.local, action.remote, action.port))
            joins.append(action)
    announce(conn, now)
    if joins and conn.sender.nxt == conn.sender.first:
        conn.first.tcb.ack_now = True  # the peer wants to have seen a DSS before it is joined
    return joins


def announce(conn: Connection, now: int) -> None:
    """Send what is due. RFC 6824 §3.4.1 has no echo, and wants it on all subflows."""
    for number, one in conn.book.due(now):
        open_now = [sub for sub in conn.subflows if sub.established]
        for sub in open_now if not conn.speech.sha256 else open_now[:1]:
            _signal(conn, sub, add_addr_option(conn, number, one), "AddAddrTx")
        if not conn.speech.sha256:
            one.at = None


def add_addr_option(conn: Connection, number: int, one: Announced) -> AddAddr:
    if not conn.speech.sha256:
        return AddAddr(0, number, one.address, one.port or None)
    assert conn.local_key is not None
    assert conn.remote_key is not None
    mac = add_addr_hmac(conn.local_key, conn.remote_key, number, one.address, one.port)
    return AddAddr(1, number, one.address, one.port or None, hmac=mac)


def withdraw(conn: Connection, now: int, numbers: tuple[int, ...]) -> None:
    """Addresses of ours are gone: tell the peer, close their subflows (RFC 8684 §3.4.2)."""
    conn.book.withdrawn.update(numbers)
    for number in numbers:
        conn.book.announced.pop(number, None)
    for sub in [one for one in conn.subflows if one.local_id in numbers and one.alive]:
        conn.context.count("RmSubflow")
        conn.reset_subflow(now, sub, Reason.ADDRESS_REMOVED)
    for sub in conn.subflows:
        if sub.established:
            _signal(conn, sub, RemoveAddr(numbers), "RmAddrTx")
            return


def add_endpoint(conn: Connection, endpoint: LocalEndpoint, addresses: tuple[bytes, ...]) -> None:
    """An endpoint is new or back: what its words ask for is wanted (again)."""
    book, place = conn.book, (endpoint.address, endpoint.port)
    others = list(endpoints_of(conn.paths, view_of(conn, addresses)))
    before = next((one for one in others if (one.address, one.port) == place), None)
    if before is not None:
        others.remove(before)
        endpoint = replace(endpoint, id=endpoint.id or before.id)
    conn.paths = replace(conn.paths, endpoints=(*others, endpoint))
    initial = endpoint.address == conn.local[0]
    book.withdrawn -= {one.id for one in conn.paths.endpoints or () if one.address == endpoint.address}
    book.withdrawn -= {0} if initial else set()
    book.initial_again = book.initial_again or initial
    book.tried = {one for one in book.tried if one[0] != endpoint.address}
    book.plan_due = True


def set_backup(conn: Connection, sub: Subflow, backup: bool) -> None:
    """Ask the peer to use this subflow only when no other works, or to use it again (RFC 8684 §3.3.8)."""
    sub.backup_here = backup
    conn.assign_due = True
    _signal(conn, sub, MpPrio(backup), "MPPrioTx")


def _signal(conn: Connection, sub: Subflow, option: Option, counter: str) -> None:
    if conn.mode is not Mode.MPTCP:
        return
    if len(sub.signals) < MOST_SIGNALS:
        sub.signals.append(option)
        conn.context.count(counter)
    else:
        conn.context.count(f"{counter}Drop")


def _is_peers(conn: Connection, address: bytes) -> bool:
    """False for multicast, unspecified, broadcast and our own addresses, and for loopback from outside."""
    ours = conn.local[0]
    own = address == ours and ours != conn.remote[0]
    return not own and can_talk(ours, address)


def take_add_addr(conn: Connection, sub: Subflow, option: AddAddr) -> None:
    """An announcement, or the echo of ours. A wrong HMAC is silently ignored (RFC 8684 §3.4.1)."""
    book, port = conn.book, option.port or 0
    if port:
        conn.context.count("PortAdd")
    if option.echo:
        conn.context.count("EchoAdd")
        ours = book.announced.get(option.address_id)
        if ours is not None and (ours.address, ours.port) == (option.address, port):
            ours.at = None
        return
    if (option.version == 1) is not conn.speech.sha256:
        conn.context.count("AddAddrDrop")
        return
    if conn.speech.sha256:
        assert conn.local_key is not None
        assert conn.remote_key is not None
        mac = add_addr_hmac(conn.remote_key, conn.local_key, option.address_id, option.address, port)
        if option.hmac is None or not constant_time.compare_digest(option.hmac, mac):
            conn.context.count("AddAddrDrop")
            return
    if not _is_peers(conn, option.address):
        conn.context.count("AddAddrDrop")
        return
    conn.context.count("AddAddr")
    known = book.known.get(option.address_id)
    if known is None and len(book.known) < MOST_KNOWN:
        book.known[option.address_id] = (option.address, port)
        book.plan_due = True
    elif known != (option.address, port):
        conn.context.count("AddAddrDrop")  # an ID means one address (RFC 8684 §3.4.1)
        return
    if conn.speech.sha256:
        echo = AddAddr(1, option.address_id, option.address, option.port, echo=True)
        _signal(conn, sub, echo, "EchoAddTx")


def take_remove_addr(conn: Connection, now: int, option: RemoveAddr) -> None:
    """The peer's addresses are gone; an unknown ID is ignored (RFC 8684 §3.4.2)."""
    conn.context.count("RmAddr")
    if 0 in option.address_ids:
        conn.book.deny_join_initial = True  # nobody is there any more
    for number in option.address_ids:
        known = conn.book.known.pop(number, None)
        if known is not None:
            conn.book.plan_due = True
            conn.book.tried = {one for one in conn.book.tried if one[1] != known[0]}
        for sub in [one for one in conn.subflows if one.remote_id == number and one.alive]:
            conn.context.count("RmSubflow")
            conn.reset_subflow(now, sub, Reason.ADDRESS_REMOVED)


def take_prio(conn: Connection, sub: Subflow, option: MpPrio) -> None:
    """RFC 6824 §3.3.8 may name another address; RFC 8684 §3.3.8 means the subflow that it comes on."""
    conn.context.count("MPPrioRx")
    conn.assign_due = True
    if option.address_id is None:
        sub.backup_there = option.backup
    elif not conn.speech.sha256:
        for other in conn.subflows:
            if other.remote_id == option.address_id:
                other.backup_there = option.backup
