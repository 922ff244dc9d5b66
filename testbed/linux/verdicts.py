"""How a connection of Linux's went, in the words of this project: verdict, reason, who closed it.

Decides the best reason that Linux lets one see. It tells of each socket that MPTCP is gone and of the whole
network namespace, by counters, why: so the moment of the fallback narrows it down, then the counters.
Pure. Read first: testbed/mptcp/reasons.py; the kernel's net/mptcp/mib.h.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.mptcp.reasons import Reason, Verdict

# Why a connection that had begun with MPTCP went on without. The first that was counted is taken.
LATE: tuple[tuple[str, Reason], ...] = (
    ("DataCsumErr", Reason.CHECKSUM_FAILED),
    ("MPFailRx", Reason.MP_FAIL_RECEIVED),
    ("InfiniteMapRx", Reason.INFINITE_MAPPING_RECEIVED),
    ("DSSCorruptionFallback", Reason.MAPPING_CONTRADICTS),
    ("SimultConnectFallback", Reason.SIMULTANEOUS_OPEN),
    ("MPFallbackTokenInit", Reason.TOKEN_COLLISION),
)
TIMED_OUT = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)


@dataclass(frozen=True, slots=True)
class End:
    verdict: Verdict
    reason: Reason
    closed_by: str


def client_fallback(
    *, early: bool, syn_retransmits: int, syn_retries: int, counted: Mapping[str, int]
) -> Reason:
    """`early`: the handshake ended without MPTCP, after so many SYNs had gone again."""
    if early:
        return Reason.SYN_RETRIES_EXHAUSTED if syn_retransmits > syn_retries else Reason.NO_CAPABLE_IN_SYNACK
    return _late(counted, Reason.NO_DATA_ACK)


def server_fallback(*, early: bool, blamed: int, counted: Mapping[str, int]) -> Reason:
    """`early`: what was accepted was plain TCP; `blamed` of those before were put down to their third ACK.
    Behind SYN cookies Linux does not count: there it was a SYN without MP_CAPABLE only if none had any."""
    if not early:
        return _late(counted, Reason.NO_MAPPING)
    if counted.get("MPCapableFallbackACK", 0) > blamed:
        return Reason.THIRD_ACK_WITHOUT_CAPABLE
    if counted.get("SyncookiesRecv", 0) and counted.get("MPCapableSYNRX", 0):
        return Reason.COOKIE_WITHOUT_KEY
    return Reason.NO_CAPABLE_IN_SYN


def _late(counted: Mapping[str, int], usual: Reason) -> Reason:
    return next((reason for counter, reason in LATE if counted.get(counter, 0)), usual)


def running(reason: Reason) -> Verdict:
    """Of a connection that goes on, or ended in good order; `reason` is its fallback's."""
    if reason is Reason.NONE:
        return Verdict.MPTCP
    return Verdict.TCP if reason is Reason.NO_CAPABLE_IN_SYN else Verdict.FALLBACK


def clean(reason: Reason) -> End:
    return End(running(reason), reason, "data_fin" if reason is Reason.NONE else "fin")


def broken(error: int, *, connected: bool, fallback: Reason, counted: Mapping[str, int]) -> End:
    """A connection that ended with an errno."""
    if error in TIMED_OUT:
        return End(Verdict.HANG, Reason.DATA_TIMED_OUT if connected else Reason.CONNECT_TIMED_OUT, "timeout")
    if connected and fallback is Reason.NONE and counted.get("MPFastcloseRx", 0):
        return End(Verdict.RESET, Reason.FASTCLOSE_RECEIVED, "fastclose")
    return End(Verdict.RESET, Reason.RST_RECEIVED, "rst")
