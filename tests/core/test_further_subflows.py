"""What goes wrong on one of several subflows ends that one, and what comes after a fallback is refused.

Read first: RFC 8684 §3.2, §3.3.5, §3.3.8, §3.7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig, TcpConfig, ThirdAck
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import ACK, RST, SYN, AddAddr, Dss, MpFail, MpJoinSyn, MpPrio, MpTcpRst, Segment
from tests.core.boxes import exchange, find, option
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    closed_subflows,
    forged,
    has,
    multipath,
    open_subflows,
    transfer,
    usable,
)
from tests.pair import CLIENT_PORT, PORT, SECOND, Pair

Change = Callable[[Dss], Dss | None]


def without_ack(dss: Dss) -> Dss | None:
    return replace(dss, data_ack=None, data_ack_8=False) if dss.dsn is not None else None


def without_mapping(dss: Dss) -> Dss | None:
    plain = replace(dss, dsn=None, dsn_8=False, ssn=0, length=0, checksum=None, data_fin=False)
    return plain if plain.data_ack is not None else None


def without_both(dss: Dss) -> Dss | None:
    return None


def with_checksum(dss: Dss) -> Dss | None:
    return replace(dss, checksum=7) if dss.dsn is not None else dss


def without_checksum(dss: Dss) -> Dss | None:
    return replace(dss, checksum=None)


def infinite(dss: Dss) -> Dss | None:
    return replace(dss, length=0) if dss.dsn is not None else dss


def on_the_second_path(way: str, change: Change) -> Callable[[str, int, Segment], Segment]:
    """A middlebox that changes the DSS of further segments there."""

    def rewrite(which: str, number: int, segment: Segment) -> Segment:
        if which != way or segment.flags & SYN or not {segment.src, segment.dst} <= {CLIENT[1], SERVER[1]}:
            return segment
        changed = [change(one) if isinstance(one, Dss) else one for one in segment.options]
        return replace(segment, options=tuple(one for one in changed if one is not None))

    return rewrite


FAILURES = [
    ("down", without_ack, False, Reason.NO_DATA_ACK, 6),
    ("down", without_both, False, Reason.NO_DATA_ACK, 6),
    ("up", with_checksum, False, Reason.CHECKSUM_UNEXPECTED, 1),
    ("up", without_checksum, True, Reason.CHECKSUM_MISSING, 1),
    ("up", infinite, False, Reason.INFINITE_MAPPING_RECEIVED, 1),
]


@pytest.mark.parametrize(("way", "change", "checksum", "reason", "code"), FAILURES)
@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_the_second_subflow_fails_alone(
    profile: Profile, way: str, change: Change, checksum: bool, reason: Reason, code: int
) -> None:
    """Reset, with the reason that RFC 8684 §3.6 has for it; its data comes again on the first."""
    pair = multipath(profile=profile, client={"mptcp": MptcpConfig(checksum=checksum)})
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    pair.rewrite = on_the_second_path(way, change)
    noticed = pair.client if way == "down" else pair.server
    back = "up" if way == "down" else "down"
    if reason is Reason.CHECKSUM_UNEXPECTED and profile is not Profile.V1:
        transfer(pair, bytes(200_000))
        assert usable(pair.server) == 2  # RFC 6824 ignores the field
        return
    transfer(pair, bytes(range(250)) * 800)
    assert [one.reason for one in closed_subflows(noticed)] == [reason]
    (reset, *_) = [one for one in pair.segments(back) if one.flags & RST]
    assert reset.src in (CLIENT[1], SERVER[1])
    codes = [one.reason for one in reset.options if isinstance(one, MpTcpRst)]
    assert codes == ([code] if profile is Profile.V1 else [])
    pair.client.close()
    pair.server.close()
    pair.run()
    for side in (pair.client, pair.server):
        assert side.report().verdict is Verdict.MPTCP
        assert side.closed().clean  # type: ignore[union-attr]


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_data_without_mappings_from_the_start(profile: Profile) -> None:
    """On a subflow that was never confirmed: reset at once (RFC 8684 §3.7)."""
    pair = multipath(profile=profile, rewrite=on_the_second_path("up", without_both))
    open_subflows(pair)
    transfer(pair, bytes(range(250)) * 800)
    assert [one.reason for one in closed_subflows(pair.server)] == [Reason.NO_MAPPING]


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_data_without_mappings_later(profile: Profile) -> None:
    """A mapping may still come, so it waits: at most for a window of data (RFC 8684 §3.3.1). A sender that
    puts everything on every path gets there."""
    server = {"tcp": TcpConfig(receive_buffer=20_000)}
    client = {"mptcp": MptcpConfig(scheduler="redundant")}
    pair = multipath(profile=profile, client=client, server=server)
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    pair.rewrite = on_the_second_path("up", without_mapping)
    transfer(pair, bytes(range(250)) * 2_000)
    assert [one.reason for one in closed_subflows(pair.server)] == [Reason.MAPPING_NEVER_CAME]


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_mp_fail_that_is_no_answer_to_a_reset(profile: Profile) -> None:
    """With several subflows it belongs on a RST; on an ACK it ends its subflow all the same."""
    pair = multipath(profile=profile)
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    pair.deliver(pair.server, forged(pair, "up", 2, MpFail(5)))
    assert [one.reason for one in closed_subflows(pair.server)] == [Reason.MP_FAIL_RECEIVED]
    assert pair.server.endpoint.counters["MPFailRx"] == 1
    transfer(pair, bytes(50_000))


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_no_join_after_a_fallback(profile: Profile) -> None:
    """One subflow, for good (RFC 8684 §3.7)."""
    pair = multipath(1, profile)
    open_subflows(pair, 1)
    pair.run(until=pair.now + SECOND)
    token = pair.server.report().local_token
    assert token is not None
    pair.deliver(pair.server, forged(pair, "up", 1, MpFail(5)))
    assert pair.server.report().verdict is Verdict.FALLBACK
    join = MpJoinSyn(False, 1, token, 9)
    syn = Segment(CLIENT[0], SERVER[0], CLIENT_PORT + 9, PORT, 7, 0, SYN, 65_535, (join,))
    pair.deliver(pair.server, syn)
    (answer,) = [one for one in pair.segments("down") if one.dport == CLIENT_PORT + 9]
    assert answer.flags == RST | ACK
    assert pair.server.endpoint.counters["MPJoinRejected"] == 1


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_mp_prio_with_an_address(profile: Profile) -> None:
    """RFC 6824's 4-byte form names another subflow; RFC 8684 has none, and it is ignored."""
    pair = multipath(profile=profile)
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    before = pair.server.report().paths[1].bytes_sent
    pair.deliver(pair.server, forged(pair, "up", 1, MpPrio(True, 1)))
    pair.server.send(bytes(200_000))
    pair.run(until=lambda: len(pair.client.received()) == 200_001)
    used = pair.server.report().paths[1].bytes_sent - before
    assert (used > 0) is (profile is Profile.V1)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_no_more_than_two_signals_in_a_row(profile: Profile) -> None:
    """An old sender would take three for a loss (RFC 8684 §3.3.5)."""
    pair = multipath(4, profile)
    open_subflows(pair, 4)
    said = [(one.time, has(one.segment, AddAddr)) for one in pair.crossings if one.way == "down"]
    times = [time for time, announces in said if announces]
    assert len(times) >= 3
    for first, third in zip(times, times[2:], strict=False):
        assert third - first >= 15_000_000 or profile is not Profile.V1


def test_a_v1_client_and_a_v0_server() -> None:
    """The 4-byte SYN is not RFC 6824's: plain TCP, and no second try with the older form."""
    for profile in (Profile.V1, Profile.DRAFT):
        pair = Pair(
            client=ClientConfig(profile=profile), server=ServerConfig(profiles=(Profile.V0, Profile.TCP))
        )
        exchange(pair)
        assert sum(bool(one.flags & SYN) for one in pair.segments("up")) == 1
        assert find(pair, "down", Dss) == []
        assert pair.client.report().reason is Reason.NO_CAPABLE_IN_SYNACK


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_data_on_the_third_packet(profile: Profile) -> None:
    """The draft and RFC 8684 may send it there; RFC 6824 has no room (§3.6)."""
    pair = Pair(client=ClientConfig(profile=profile, third_ack=ThirdAck.PIGGYBACK))
    pair.connect()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    third = pair.segments("up")[1]
    assert bool(third.payload) is (profile is not Profile.V0)
    assert option(third, Dss) is None
    assert pair.server.report().verdict is Verdict.MPTCP
