"""What else can happen to a connection than a plain transfer: one row for each.

Decides for each scenario the settings of both ends, what happens half-way, and what must come out. The half-
way mark is the moment when half of the bytes have arrived: a Linux end holds still there until it is told to
go on. Scenarios that need several addresses have two cables. Knows nothing of how programs are run.
Read first: RFC 8684 §3.2, §3.3.8, §3.4, §3.5, §3.7; ip-mptcp(8).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from testbed.oracle.cells import PAIRS, TRANSFER, Cell
from testbed.oracle.expected import MANY, Expected, transfer
from testbed.oracle.network import address, interface
from testbed.oracle.peers import Settings


class Unsupported(Exception):
    """A stack has no way to do what a scenario asks of it."""


class Stage(Protocol):
    """A cell, as scenarios see it."""

    cell: Cell

    def path_manager(self, side: str, words: str) -> None:
        """`endpoint ...` in ip-mptcp's words, carried out at this end."""

    def break_checksum(self, side: str) -> None:
        """One segment behind the half of the data for this side will have a wrong DSS checksum."""

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


# ── half-way ──


def _client_forgets_its_endpoint(stage: Stage) -> None:
    stage.path_manager("client", "endpoint delete id 2")


def _client_forgets_its_first_address(stage: Stage) -> None:
    stage.path_manager("client", f"endpoint delete id 0 {address('client', 1, stage.cell.family)}")


def _server_forgets_its_endpoint(stage: Stage) -> None:
    stage.path_manager("server", "endpoint delete id 2")


def _client_makes_it_a_backup(stage: Stage) -> None:
    stage.path_manager("client", "endpoint change id 2 backup")


# ── what must come out ──

_ANNOUNCED_CLIENT = {"AddAddr": 1, "EchoAddTx": 1}
_ANNOUNCED_SERVER = {"AddAddrTx": 1, "EchoAdd": 1}
# Whether the dead subflow is found stale, and whether its end is still heard of, is a matter of time.
_ANY_RESET = dict.fromkeys(("MPRstTx", "MPRstRx"), (0, MANY))
_DEAD = {**_ANY_RESET, "SubflowStale": (0, MANY), "SubflowRecover": (0, MANY)}
# Which end answers MP_FAIL with its own, and which sees plain data first, may differ: RFC 8684 §3.7.
_FALLEN_BACK = {
    **dict.fromkeys(("DssFallback", "MPFailTx", "MPFailRx", "InfiniteMapRx"), (0, 1)),
    "InfiniteMapTx": (0, MANY),  # Linux says it once, we until it has been acknowledged
}
# Linux resets a subflow now and then that it closes with data on it that came by the other one as well.
_LATE_RESET = dict.fromkeys(("MPRstTx", "MPRstRx"), (0, 1))


def _announced(cell: Cell) -> Expected:
    return transfer(cell, joins=1, client=_ANNOUNCED_CLIENT, server=_ANNOUNCED_SERVER)


def _announced_port(cell: Cell) -> Expected:
    if cell.family == 6 and cell.server == "linux":
        # 30 bytes and 12 of padded timestamps are more than the 40 there are: Linux gives up.
        return transfer(cell, joins=0, server={"AddAddrTxDrop": 1})
    return transfer(
        cell,
        joins=1,
        client={**_ANNOUNCED_CLIENT, "PortAdd": 1, "MPJoinPortSynAckRx": 1},
        server={**_ANNOUNCED_SERVER, "PortAdd": 1, "MPJoinPortSynRx": 1, "MPJoinPortAckRx": 1},
    )


SCENARIOS: dict[str, Scenario] = {
    TRANSFER: Scenario("Does a transfer over all paths arrive?", transfer, client=_all_paths),
    "announced": Scenario(
        "The server announces its second address (ADD_ADDR): does the client echo it and join it?",
        _announced,
        client=accepting,
        server=with_endpoint("server", "id 2 signal"),
        families=(4, 6),
    ),
    "announced-port": Scenario(
        "The announced address has a port of its own: is it joined there?",
        _announced_port,
        client=accepting,
        server=with_endpoint("server", "id 2 signal port 20999"),
        families=(4, 6),
    ),
    "other-family": Scenario(
        "The server announces an address of the other family: is it joined?",
        _announced,
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
    "not-accepted": Scenario(
        "The client may accept no address: does it echo ADD_ADDR and stay with one subflow?",
        lambda cell: transfer(cell, joins=0, client=_ANNOUNCED_CLIENT, server=_ANNOUNCED_SERVER),
        server=with_endpoint("server", "id 2 signal"),
    ),
    "refused": Scenario(
        "The server takes no further subflow: is the join reset and the connection whole?",
        lambda cell: transfer(
            cell,
            joins=0,
            client={"MPJoinSynTx": 1, "MPJoinSynAckRx": (0, 1), "MPRstRx": (0, 1), "MPRstTx": (0, 1)},
            server={"MPJoinSynRx": 1, "MPJoinRejected": (0, 1), "MPRstTx": (0, 1), "MPRstRx": (0, 1)},
        ),
        client=with_endpoint("client", "id 2 subflow"),
        server=lambda cell: Settings(limits="subflows 0 add_addr_accepted 0"),
    ),
    "not-the-first": Scenario(
        "The server forbids joins to its first address (flag C) and announces another: which is joined?",
        _announced,
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
        lambda cell: transfer(cell, joins=2, client=_ANNOUNCED_CLIENT, server=_ANNOUNCED_SERVER),
        client=with_endpoint("client", "id 2 subflow fullmesh", "subflows 3 add_addr_accepted 3"),
        server=with_endpoint("server", "id 2 signal"),
    ),
    "removed": Scenario(
        "The client loses its second address half-way (REMOVE_ADDR): does the server close that subflow?",
        lambda cell: transfer(
            cell, client={"RmAddrTx": 1, "RmSubflow": 1}, server={"RmAddr": 1, "RmSubflow": (0, 1)}
        ),
        client=with_endpoint("client", "id 2 subflow"),
        midway=_client_forgets_its_endpoint,
        families=(4, 6),
    ),
    "first-removed": Scenario(
        "The client loses its first address half-way (REMOVE_ADDR of id 0): does all go on over the second?",
        lambda cell: transfer(
            cell, client={"RmAddrTx": 1, "RmSubflow": 1}, server={"RmAddr": 1, "RmSubflow": (0, 1)}
        ),
        client=with_endpoint("client", "id 2 subflow"),
        midway=_client_forgets_its_first_address,
    ),
    "withdrawn": Scenario(
        "The server takes its announced address back half-way: does the client close that subflow?",
        lambda cell: transfer(
            cell,
            client={**_ANNOUNCED_CLIENT, "RmAddr": 1, "RmSubflow": (0, 1)},
            server={**_ANNOUNCED_SERVER, "RmAddrTx": 1, "RmSubflow": 1},
        ),
        client=accepting,
        server=with_endpoint("server", "id 2 signal"),
        midway=_server_forgets_its_endpoint,
    ),
    "backup": Scenario(
        "The second subflow is a backup (flag B of MP_JOIN): does it stay idle?",
        lambda cell: transfer(cell, server={"MPJoinSynBackupRx": 1}, idle=(2,)),
        client=with_endpoint("client", "id 2 subflow backup"),
        families=(4, 6),
    ),
    "backup-takes-over": Scenario(
        "The second subflow is a backup and the first cable goes dead half-way: does it take over?",
        lambda cell: transfer(cell, client=_DEAD, server={**_DEAD, "MPJoinSynBackupRx": 1}),
        client=with_endpoint("client", "id 2 subflow backup"),
        midway=lambda stage: stage.unplug(1),
    ),
    "prio": Scenario(
        "The second subflow becomes a backup half-way (MP_PRIO)",
        lambda cell: transfer(
            cell, client={"MPPrioTx": 1, **_LATE_RESET}, server={"MPPrioRx": 1, **_LATE_RESET}
        ),
        client=with_endpoint("client", "id 2 subflow"),
        midway=_client_makes_it_a_backup,
    ),
    "fastclose": Scenario(
        "The client aborts half-way (MP_FASTCLOSE): does the server hear why?",
        lambda cell: transfer(
            cell,
            whole=False,
            client={"MPFastcloseTx": (1, MANY), **_ANY_RESET},  # MP_TCPRST may ride on the same RST
            server={"MPFastcloseRx": (1, MANY), **_ANY_RESET},
        ),
        client=_all_paths,
        midway=lambda stage: stage.abort("client"),
        paths=(1, 2),
    ),
    "checksum-fails": Scenario(
        "A DSS checksum is wrong on the only subflow (MP_FAIL): does the connection fall back and go on?",
        lambda cell: transfer(
            cell,
            verdict="fallback",
            client={**_FALLEN_BACK, "MPFailRx": 1, "InfiniteMapTx": (1, MANY)},
            server={**_FALLEN_BACK, "MPFailTx": 1, "DataCsumErr": 1},
        ),
        client=lambda cell: Settings(
            block=10_000
        ),  # Linux's client deadlocks with data behind the bad segment
        before=lambda stage: stage.break_checksum("server"),
        paths=(1,),
        checksum=True,
    ),
    "checksum-fails-on-one": Scenario(
        "A DSS checksum is wrong on one of two subflows: is that one reset and all data whole?",
        lambda cell: transfer(
            cell,
            client={"MPFailRx": 1, "MPRstRx": 1},
            server={"DataCsumErr": 1, "MPFailTx": 1, "MPRstTx": 1},
        ),
        client=with_endpoint("client", "id 2 subflow"),
        before=lambda stage: stage.break_checksum("server"),
        checksum=True,
    ),
    "fast-open": Scenario(
        "The client sends data in its SYN (TCP Fast Open), with a cookie from a connection before",
        lambda cell: Expected(
            client={"MPCapableSYNTX": 2, "MPCapableSYNACKRX": 2, "TCPFastOpenActive": 1},
            server={
                "MPCapableSYNRX": 2,
                "MPCapableACKRX": 2,
                "TCPFastOpenPassive": 1,
                "TCPFastOpenCookieReqd": 1,
            },
        ),
        client=lambda cell: Settings(fast_open=True),
        server=lambda cell: Settings(fast_open=True),
        paths=(1,),
    ),
    "path-dies": Scenario(
        "The second cable goes dead half-way: does all arrive over the first?",
        lambda cell: transfer(cell, client=_DEAD, server=_DEAD),
        client=with_endpoint("client", "id 2 subflow"),
        midway=lambda stage: stage.unplug(2),
        families=(4, 6),
    ),
    "first-path-dies": Scenario(
        "The first cable goes dead half-way: does all arrive over the second?",
        lambda cell: transfer(cell, client=_DEAD, server=_DEAD),
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
