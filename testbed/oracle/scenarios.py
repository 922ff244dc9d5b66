"""What else can happen to a connection than a plain transfer: one row for each.

Decides for each scenario the settings of both ends and what happens half-way. The half-way mark is the moment
when half of the bytes have arrived: a Linux end, or our client, holds still there until it is told to go on.
Scenarios that need several addresses have two cables. What must come out is consequences.py's. Knows nothing
of how programs are run.
Read first: RFC 8684 §3.2, §3.3.8, §3.4, §3.5, §3.7; ip-mptcp(8).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from testbed.oracle.cells import PAIRS, TRANSFER, Cell
from testbed.oracle.consequences import (
    announced,
    announced_port,
    backup,
    backup_by_server,
    backup_takes_over,
    checksum_fails,
    checksum_fails_on_one,
    echoed_only,
    fast_open,
    fastclose,
    fullmesh,
    path_dies,
    prio,
    prio_by_server,
    refused,
    removed,
    withdrawn,
)
from testbed.oracle.expected import Expected, transfer
from testbed.oracle.network import address, interface
from testbed.oracle.peers import Settings

DOOR = "DOOR"  # a port of the cell's own, besides the one that its server listens on


class Unsupported(Exception):
    """A stack has no way to do what a scenario asks of it."""


class Stage(Protocol):
    """A cell, as scenarios see it."""

    cell: Cell

    def path_manager(self, side: str, words: str) -> None:
        """`endpoint ...` in ip-mptcp's words, carried out at this end."""

    def break_checksum(self, side: str, cable: int = 0) -> None:
        """One mapping behind the half of the data for this side will have a wrong DSS checksum, or all that
        come by this cable."""

    def unplug(self, cable: int) -> None:
        """Nothing arrives over this cable any more, and nobody is told."""

    def abort(self, side: str) -> None:
        """The application goes away without closing."""


def _nothing(cell: Cell) -> Settings:
    return Settings()


@dataclass(frozen=True, slots=True)
class Scenario:
    question: str
    expect: Callable[[Cell], Expected]
    client: Callable[[Cell], Settings] = _nothing
    server: Callable[[Cell], Settings] = _nothing
    before: Callable[[Stage], None] | None = None
    midway: Callable[[Stage], None] | None = None
    actor: str = "client"  # the side that does something half-way
    paths: tuple[int, ...] = (2,)
    families: tuple[int, ...] = (4,)
    checksum: bool = False


def endpoint(cell: Cell, side: str, path: int, words: str) -> str:
    return f"{address(side, path, cell.family)} dev {interface(side, path)} {words}"


def with_endpoint(
    side: str, words: str, limits: str = "subflows 3 add_addr_accepted 0"
) -> Callable[[Cell], Settings]:
    """Settings of an end with its second address as an endpoint."""
    return lambda cell: Settings((endpoint(cell, side, 2, words),), limits)


def accepting(cell: Cell) -> Settings:
    return Settings(limits="subflows 3 add_addr_accepted 3")


# ── the plain transfer of the matrix ──


def _all_paths(cell: Cell) -> Settings:
    return Settings(tuple(endpoint(cell, "client", path, "subflow") for path in range(2, cell.paths + 1)))


def _in_blocks(cell: Cell) -> Settings:
    """Linux's client stands still when there is data behind the bad segment."""
    return Settings(block=10_000)


# ── half-way ──


def _client_forgets_its_endpoint(stage: Stage) -> None:
    stage.path_manager("client", "endpoint delete id 2")


def _client_forgets_its_first_address(stage: Stage) -> None:
    stage.path_manager("client", f"endpoint delete id 0 {address('client', 1, stage.cell.family)}")


def _server_forgets_its_endpoint(stage: Stage) -> None:
    stage.path_manager("server", "endpoint delete id 2")


def _makes_it_a_backup(side: str) -> Callable[[Stage], None]:
    return lambda stage: stage.path_manager(side, "endpoint change id 2 backup")


SCENARIOS: dict[str, Scenario] = {
    TRANSFER: Scenario("Does a transfer over all paths arrive?", transfer, client=_all_paths),
    "announced": Scenario(
        "The server announces its second address (ADD_ADDR): does the client echo it and join it?",
        announced,
        client=accepting,
        server=with_endpoint("server", "id 2 signal"),
        families=(4, 6),
    ),
    "announced-port": Scenario(
        "The announced address has a port of its own: is it joined there?",
        announced_port,
        client=accepting,
        server=with_endpoint("server", f"id 2 signal port {DOOR}"),
        families=(4, 6),
    ),
    "other-family": Scenario(
        "The server announces an address of the other family: is it joined?",
        announced,
        client=lambda cell: Settings(
            (endpoint(replace(cell, family=10 - cell.family), "client", 2, "id 2"),),
            "subflows 3 add_addr_accepted 3",
            both=True,
        ),
        server=lambda cell: Settings(
            (endpoint(replace(cell, family=10 - cell.family), "server", 2, "id 2 signal"),), both=True
        ),
        families=(4, 6),
    ),
    "announced-by-client": Scenario(
        "The client announces its second address: does the server echo it?",
        echoed_only("client"),
        client=with_endpoint("client", "id 2 signal"),
    ),
    "not-accepted": Scenario(
        "The client may accept no address: does it echo ADD_ADDR and stay with one subflow?",
        echoed_only("server"),
        server=with_endpoint("server", "id 2 signal"),
    ),
    "refused": Scenario(
        "The server takes no further subflow: is the join reset and the connection whole?",
        refused,
        client=with_endpoint("client", "id 2 subflow"),
        server=lambda cell: Settings(limits="subflows 0 add_addr_accepted 0"),
    ),
    "not-the-first": Scenario(
        "The server forbids joins to its first address (flag C) and announces another: which is joined?",
        announced,
        client=lambda cell: Settings(
            (endpoint(cell, "client", 2, "id 2 subflow"),), "subflows 3 add_addr_accepted 3"
        ),
        server=lambda cell: Settings(
            (endpoint(cell, "server", 2, "id 2 signal"),),
            deny_join_initial=True,
        ),
    ),
    "fullmesh": Scenario(
        "A fullmesh endpoint and an announced address: is every pair joined?",
        fullmesh,
        client=with_endpoint("client", "id 2 subflow fullmesh", "subflows 3 add_addr_accepted 3"),
        server=with_endpoint("server", "id 2 signal"),
    ),
    "removed": Scenario(
        "The client loses its second address half-way (REMOVE_ADDR): does the server close that subflow?",
        removed,
        client=with_endpoint("client", "id 2 subflow"),
        midway=_client_forgets_its_endpoint,
        families=(4, 6),
    ),
    "first-removed": Scenario(
        "The client loses its first address half-way (REMOVE_ADDR of id 0): does all go on over the second?",
        removed,
        client=with_endpoint("client", "id 2 subflow"),
        midway=_client_forgets_its_first_address,
    ),
    "withdrawn": Scenario(
        "The server takes its announced address back half-way: does the client close that subflow?",
        withdrawn,
        client=accepting,
        server=with_endpoint("server", "id 2 signal"),
        midway=_server_forgets_its_endpoint,
    ),
    "backup": Scenario(
        "The second subflow is a backup (flag B of MP_JOIN): does it stay idle?",
        backup,
        client=with_endpoint("client", "id 2 subflow backup"),
        families=(4, 6),
    ),
    "backup-by-server": Scenario(
        "The server announces a backup (flag B of its SYN/ACK): does the second subflow stay idle?",
        backup_by_server,
        client=accepting,
        server=with_endpoint("server", "id 2 signal backup"),
    ),
    "backup-takes-over": Scenario(
        "The second subflow is a backup and the first cable goes dead half-way: does it take over?",
        backup_takes_over,
        client=with_endpoint("client", "id 2 subflow backup"),
        midway=lambda stage: stage.unplug(1),
    ),
    "prio": Scenario(
        "The client makes the second subflow a backup half-way (MP_PRIO)",
        prio,
        client=with_endpoint("client", "id 2 subflow"),
        midway=_makes_it_a_backup("client"),
    ),
    "prio-by-server": Scenario(
        "The server makes the second subflow a backup half-way (MP_PRIO)",
        prio_by_server,
        client=accepting,
        server=with_endpoint("server", "id 2 signal"),
        midway=_makes_it_a_backup("server"),
        actor="server",
    ),
    "fastclose": Scenario(
        "The client aborts half-way (MP_FASTCLOSE): does the server hear why?",
        fastclose("client"),
        client=_all_paths,
        midway=lambda stage: stage.abort("client"),
        paths=(1, 2),
    ),
    "fastclose-by-server": Scenario(
        "The server aborts half-way (MP_FASTCLOSE): does the client hear why?",
        fastclose("server"),
        client=_all_paths,
        midway=lambda stage: stage.abort("server"),
        actor="server",
        paths=(1, 2),
    ),
    "checksum-fails": Scenario(
        "A DSS checksum is wrong on the only subflow (MP_FAIL): does the connection fall back and go on?",
        checksum_fails("server"),
        client=_in_blocks,
        before=lambda stage: stage.break_checksum("server"),
        paths=(1,),
        checksum=True,
    ),
    "checksum-fails-at-client": Scenario(
        "The same with data of the server",
        checksum_fails("client"),
        client=_in_blocks,
        before=lambda stage: stage.break_checksum("client"),
        paths=(1,),
        checksum=True,
    ),
    "checksum-fails-on-one": Scenario(
        "A DSS checksum is wrong on one of two subflows: is that one reset and all data whole?",
        checksum_fails_on_one("server"),
        client=with_endpoint("client", "id 2 subflow"),
        before=lambda stage: stage.break_checksum("server", cable=2),
        checksum=True,
    ),
    "checksum-fails-on-one-at-client": Scenario(
        "The same with data of the server",
        checksum_fails_on_one("client"),
        client=with_endpoint("client", "id 2 subflow"),
        before=lambda stage: stage.break_checksum("client", cable=2),
        checksum=True,
    ),
    "fast-open": Scenario(
        "The client sends data in its SYN (TCP Fast Open), with a cookie from a connection before",
        fast_open,
        client=lambda cell: Settings(fast_open=True),
        server=lambda cell: Settings(fast_open=True),
        paths=(1,),
        families=(4, 6),
    ),
    "path-dies": Scenario(
        "The second cable goes dead half-way: does all arrive over the first?",
        path_dies,
        client=with_endpoint("client", "id 2 subflow"),
        midway=lambda stage: stage.unplug(2),
        families=(4, 6),
    ),
    "first-path-dies": Scenario(
        "The first cable goes dead half-way: does all arrive over the second?",
        path_dies,
        client=with_endpoint("client", "id 2 subflow"),
        midway=lambda stage: stage.unplug(1),
    ),
}


def scenario_cells() -> list[Cell]:
    """Every scenario but the matrix's own, with every pair."""
    return [
        Cell(client, server, family, paths, scenario.checksum, scenario=name)
        for name, scenario in SCENARIOS.items()
        if name != TRANSFER
        for client, server in PAIRS
        for family, paths in itertools.product(scenario.families, scenario.paths)
    ]


def expected(cell: Cell) -> Expected:
    return SCENARIOS[cell.scenario].expect(cell)
