"""MP_FASTCLOSE: RFC 8684 §3.5 (option R, on a RST) and RFC 6824 §3.5 (on an ACK, answered by a RST)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import Profile
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import ACK, RST, MpFastclose
from tests.core.multipath import CLIENT, MPTCP_PROFILES, has, multipath, open_subflows, transfer
from tests.pair import SECOND

OLD = (Profile.V0, Profile.DRAFT)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("who", ["client", "server"])
def test_an_abort_ends_every_subflow_on_both_sides(profile: Profile, who: str) -> None:
    pair = multipath(profile=profile)
    open_subflows(pair)
    (pair.client if who == "client" else pair.server).abort()
    pair.run()
    for side in (pair.client, pair.server):
        closed = side.closed()
        assert closed is not None
        assert (closed.clean, closed.verdict) == (False, Verdict.RESET)
        assert side.report().closed_by == "fastclose"
        assert len(side.endpoint) == 0
    aborting, other = (pair.client, pair.server) if who == "client" else (pair.server, pair.client)
    assert aborting.report().reason is Reason.ABORTED
    assert other.report().reason is Reason.FASTCLOSE_RECEIVED
    assert aborting.endpoint.counters["MPFastcloseTx"] == 1
    assert other.endpoint.counters["MPFastcloseRx"] >= 1


def test_v1_says_it_on_the_reset_of_every_subflow() -> None:
    pair = multipath()
    open_subflows(pair)
    pair.client.abort()
    resets = [segment for segment in pair.segments("up") if segment.flags & RST]
    assert len(resets) == 2
    assert all(has(segment, MpFastclose) for segment in resets)


@pytest.mark.parametrize("profile", OLD)
def test_older_profiles_say_it_on_an_ack_of_one_subflow(profile: Profile) -> None:
    pair = multipath(profile=profile)
    open_subflows(pair)
    pair.client.abort()
    (said,) = [segment for segment in pair.segments("up") if has(segment, MpFastclose)]
    assert said.flags == ACK
    assert sum(bool(segment.flags & RST) for segment in pair.segments("up")) == 1


@pytest.mark.parametrize("profile", OLD)
def test_it_is_repeated_three_times_and_then_given_up(profile: Profile) -> None:
    pair = multipath(profile=profile)
    open_subflows(pair)
    pair.lose = lambda way, number, segment: way == "down"
    pair.client.abort()
    pair.run(until=pair.now + 60 * SECOND)
    said = [segment for segment in pair.segments("up") if has(segment, MpFastclose)]
    assert len(said) == 3
    assert len(pair.client.endpoint) == 0


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("flags", [ACK, RST | ACK])
def test_a_wrong_key_does_not_end_the_connection(profile: Profile, flags: int) -> None:
    """On a RST its subflow still dies."""
    pair = multipath(profile=profile)
    open_subflows(pair)
    last = [segment for segment in pair.segments("up") if segment.src == CLIENT[1]][-1]
    forged = replace(last, flags=flags, payload=b"", options=(*last.options[:1], MpFastclose(12345)))
    pair.deliver(pair.server, forged)
    assert pair.server.closed() is None
    transfer(pair, bytes(50_000))
