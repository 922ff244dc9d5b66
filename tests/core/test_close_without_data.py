"""A client that closes without having sent a byte: nothing but its keys and its DATA_FIN can be lost.

Both ends close cleanly within two retransmission timeouts, whether the third ACK is lost, the DATA_FIN, or
both, with SYN cookies and without.
Read first: RFC 8684 §3.1, §3.3.3; draft-paasch-mptcp-syncookies-02 §3.1.2.
"""

from __future__ import annotations

import pytest

from testbed.mptcp.config import Profile, SynCookies, ThirdAck
from testbed.mptcp.events import Event, PeerFinished
from testbed.mptcp.reasons import Verdict
from testbed.mptcp.wire import FIN, Dss, MpCapable, Segment
from tests.core.boxes import BOTH_COOKIES, MPTCP, option, pair_of
from tests.pair import MILLISECOND, SECOND, Pair, Side

RTT = 20 * MILLISECOND
RTO = 200 * MILLISECOND

LOST = [(), (2,), (3,), (2, 3)]  # ordinals of the client's packets; the SYN is 1


def closing(profile: Profile, cookies: SynCookies, lost: tuple[int, ...], **more: object) -> Pair:
    """The client closes as soon as it is connected, the server once it has heard that."""

    def lose(way: str, number: int, segment: Segment) -> bool:
        return way == "up" and number in lost

    def close(side: Side, event: Event) -> None:
        if isinstance(event, PeerFinished):
            side.close(event.connection)

    pair = pair_of(profile, cookies, lose=lose, **more)
    pair.server.on_event = close
    pair.connect()
    pair.run(until=lambda: pair.client.connected())
    pair.client.close()
    return pair


def carries_data_fin(segment: Segment) -> bool:
    dss = option(segment, Dss)
    return dss is not None and dss.data_fin


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", [Profile.TCP, *MPTCP])
def test_both_ends_close_cleanly_within_two_timeouts(
    profile: Profile, cookies: SynCookies, lost: tuple[int, ...]
) -> None:
    pair = closing(profile, cookies, lost)
    began = pair.now
    ends = (pair.client, pair.server)
    pair.run(until=lambda: all(side.closed() is not None for side in ends), limit=10 * SECOND)
    assert pair.now - began <= 2 * RTO + 4 * RTT
    for side in ends:
        end = side.closed()
        assert end is not None
        assert end.clean
        if not lost and profile is not Profile.TCP:
            assert end.verdict is Verdict.MPTCP


@pytest.mark.parametrize("lost", [*LOST, (4,), (2, 4), (3, 4), (2, 3, 4), (5,)])
@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
def test_a_fin_never_leaves_without_the_data_fin(
    profile: Profile, cookies: SynCookies, lost: tuple[int, ...]
) -> None:
    """Until both DATA_FINs are acknowledged, or the connection has fallen back."""
    pair = closing(profile, cookies, lost)
    pair.run(until=lambda: pair.client.closed() is not None, limit=10 * SECOND)
    end = pair.client.closed()
    assert end is not None
    fins = [one for one in pair.segments("up") if one.flags & FIN]
    if end.verdict is Verdict.FALLBACK:
        assert carries_data_fin(fins[0])
    elif fins:
        behind = [one for one in pair.segments("down") if carries_data_fin(one)]
        assert behind or carries_data_fin(fins[0])


def test_v1_sends_the_data_fin_right_behind_the_third_ack() -> None:
    """It waits for no DATA_ACK: Linux sends none for the keys alone."""
    pair = closing(Profile.V1, SynCookies.OFF, ())
    pair.run()
    _, third, fin, *_ = pair.segments("up")
    assert option(third, MpCapable) is not None
    assert carries_data_fin(fin)
    assert option(fin, Dss).data_ack is not None  # type: ignore[union-attr]


def test_the_draft_repeats_its_keys_until_they_are_acknowledged() -> None:
    """The draft §3.1.2: every segment without data carries them, so the DATA_FIN waits."""
    pair = closing(Profile.DRAFT, SynCookies.ALWAYS, (2,))
    pair.run()
    seen_data_ack = False
    for crossing in pair.crossings:
        if crossing.way == "down":
            dss = option(crossing.segment, Dss)
            seen_data_ack = seen_data_ack or (dss is not None and dss.data_ack is not None)
        elif not seen_data_ack:
            assert option(crossing.segment, MpCapable) is not None


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
def test_with_a_piggybacked_third_ack(profile: Profile, cookies: SynCookies) -> None:
    """There is no data to ride on: the handshake ends in an ACK of its own."""
    pair = closing(profile, cookies, ())
    pair.config = type(pair.config)(profile=profile, third_ack=ThirdAck.PIGGYBACK)
    pair.client.connections.clear()
    pair.connect()
    pair.run(until=lambda: pair.client.connected())
    pair.client.close()
    pair.run(until=lambda: pair.client.closed() is not None, limit=SECOND)
    end = pair.client.closed()
    assert end is not None
    assert (end.clean, end.verdict) == (True, Verdict.MPTCP)
