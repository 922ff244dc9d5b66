"""What each scenario must show at both ends, besides what every transfer shows.

Decides counts, subflows and verdicts, as functions of the cell. A count that may vary has its reason beside
it. Knows nothing of how a scenario is set up: that is scenarios.py's. Read first: expected.py; RFC 8684 §3.4,
§3.5, §3.7.
"""

from __future__ import annotations

from collections.abc import Callable

from testbed.oracle.cells import Cell
from testbed.oracle.expected import MANY, Count, Counts, Expected, transfer

Expectation = Callable[[Cell], Expected]

TELLS = {"AddAddrTx": 1, "EchoAdd": 1}  # an address
IS_TOLD = {"AddAddr": 1, "EchoAddTx": 1}
# Linux resets a subflow now and then that it closes with data on it that came by the other one as well.
_LATE_RESET: Counts = dict.fromkeys(("MPRstTx", "MPRstRx"), (0, 1))
# A RST for every subflow, of which those that cross each other and those on a dead cable are not counted.
_ANY_RESET: Counts = dict.fromkeys(("MPRstTx", "MPRstRx"), (0, MANY))
# Whether the dead subflow is found stale, and whether its end is still heard of, is a matter of time.
_DEAD: Counts = {**_ANY_RESET, "SubflowStale": (0, MANY), "SubflowRecover": (0, MANY)}
# Which end answers MP_FAIL with its own, and which sees plain data first, may differ: RFC 8684 §3.7.
_FALLEN_BACK: Counts = {
    **dict.fromkeys(("DssFallback", "MPFailTx", "MPFailRx", "InfiniteMapRx"), (0, 1)),
    "InfiniteMapTx": (0, MANY),  # Linux says it once, we until it has been acknowledged
}


def _at(side: str, here: Counts, there: Counts) -> tuple[Counts, Counts]:
    """The client's and the server's: `here` is what `side` counts."""
    return (here, there) if side == "client" else (there, here)


def announced(cell: Cell) -> Expected:
    return transfer(cell, joins=1, client=IS_TOLD, server=TELLS)


def announced_port(cell: Cell) -> Expected:
    if cell.family == 6 and cell.server == "linux":
        # 30 bytes and 12 of padded timestamps are more than the 40 there are: Linux gives up.
        return transfer(cell, joins=0, server={"AddAddrTxDrop": 1})
    return transfer(
        cell,
        joins=1,
        client={**IS_TOLD, "PortAdd": 1, "MPJoinPortSynAckRx": 1},
        server={**TELLS, "PortAdd": 1, "MPJoinPortSynRx": 1, "MPJoinPortAckRx": 1},
    )


def echoed_only(teller: str) -> Expectation:
    client, server = _at(teller, TELLS, IS_TOLD)
    return lambda cell: transfer(cell, joins=0, client=client, server=server)


def fullmesh(cell: Cell) -> Expected:
    return transfer(cell, joins=2, client=IS_TOLD, server=TELLS)


def refused(cell: Cell) -> Expected:
    """Linux's server completes the handshake and resets then: its client has two subflows for a moment."""
    either: Count = (0, 1)
    return transfer(
        cell,
        joins=0,
        subflows=(1, 2) if cell.pair == "linux-linux" else 1,
        client={"MPJoinSynTx": 1, "MPJoinSynAckRx": either, "MPRstRx": either, "MPRstTx": either},
        server={"MPJoinSynRx": 1, "MPJoinRejected": either, "MPRstTx": either, "MPRstRx": either},
    )


def removed(cell: Cell) -> Expected:
    return transfer(cell, client={"RmAddrTx": 1, "RmSubflow": 1}, server={"RmAddr": 1, "RmSubflow": (0, 1)})


def withdrawn(cell: Cell) -> Expected:
    return transfer(
        cell,
        client={**IS_TOLD, "RmAddr": 1, "RmSubflow": (0, 1)},
        server={**TELLS, "RmAddrTx": 1, "RmSubflow": 1},
    )


def backup(cell: Cell) -> Expected:
    return transfer(cell, server={"MPJoinSynBackupRx": 1}, idle=((2, 1),))


def backup_by_server(cell: Cell) -> Expected:
    client = {**IS_TOLD, "MPJoinSynAckBackupRx": 1}
    near = 2 if cell.client == "linux" else 1  # the address that its route gives, or the initial one
    return transfer(cell, joins=1, client=client, server=TELLS, idle=((near, 2),))


def backup_takes_over(cell: Cell) -> Expected:
    return transfer(cell, client=_DEAD, server={**_DEAD, "MPJoinSynBackupRx": 1})


def path_dies(cell: Cell) -> Expected:
    return transfer(cell, client=_DEAD, server=_DEAD)


def prio(cell: Cell) -> Expected:
    return transfer(cell, client={"MPPrioTx": 1, **_LATE_RESET}, server={"MPPrioRx": 1, **_LATE_RESET})


def prio_by_server(cell: Cell) -> Expected:
    client = {**IS_TOLD, "MPPrioRx": 1, **_LATE_RESET}
    return transfer(cell, joins=1, client=client, server={**TELLS, "MPPrioTx": 1, **_LATE_RESET})


def fastclose(sender: str) -> Expectation:
    """MP_TCPRST may ride on the same RST."""
    here: Counts = {"MPFastcloseTx": (1, MANY), **_ANY_RESET}
    there: Counts = {"MPFastcloseRx": (1, MANY), **_ANY_RESET}
    client, server = _at(sender, here, there)
    return lambda cell: transfer(cell, whole=False, client=client, server=server)


def checksum_fails(at: str) -> Expectation:
    here: Counts = {**_FALLEN_BACK, "MPFailTx": 1, "DataCsumErr": 1}
    there: Counts = {**_FALLEN_BACK, "MPFailRx": 1, "InfiniteMapTx": (1, MANY)}
    client, server = _at(at, here, there)
    return lambda cell: transfer(cell, verdict="fallback", client=client, server=server)


def checksum_fails_on_one(at: str) -> Expectation:
    client, server = _at(at, {"DataCsumErr": 1, "MPFailTx": 1, "MPRstTx": 1}, {"MPFailRx": 1, "MPRstRx": 1})
    return lambda cell: transfer(cell, client=client, server=server)


def fast_open(cell: Cell) -> Expected:
    """Our client resets the connection before as soon as the SYN/ACK has brought a cookie."""
    whole = 2 if cell.client == "linux" else 1
    cookies = {"TCPFastOpenPassive": 1, "TCPFastOpenCookieReqd": 1}
    return Expected(
        client={"MPCapableSYNTX": 2, "MPCapableSYNACKRX": whole, "TCPFastOpenActive": 1},
        server={"MPCapableSYNRX": 2, "MPCapableACKRX": whole, **cookies},
    )
