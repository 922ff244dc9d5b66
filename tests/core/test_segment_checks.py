"""TCP's checks come first: what fails them carries no MPTCP signal either.

Read first: RFC 9293 §3.10.7.4, RFC 7323 §5, RFC 5961 §3-5, RFC 8684 §3.4 and §3.5.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, TcpConfig
from testbed.mptcp.reasons import Reason
from testbed.mptcp.wire import ACK, RST, SYN, Dss, MpFastclose, MpTcpRst, Segment, Timestamps
from tests.core.boxes import MPTCP, exchange, onward, option, pair_of
from tests.pair import SECOND, Pair


def talking(profile: Profile) -> Pair:
    """A connection with data both ways, at rest."""
    pair = pair_of(profile)
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.server.send(b"a" * 300)
    pair.run(until=lambda: pair.client.received() == b"a" * 300)
    pair.run(until=pair.now + SECOND)
    return pair


def answers(pair: Pair, segment: Segment) -> list[Segment]:
    """What the server says at once to a segment."""
    before = len(pair.segments("down"))
    pair.deliver(pair.server, segment)
    return pair.segments("down")[before:]


def still_works(pair: Pair) -> None:
    pair.client.send(b"r" * 300)
    pair.run(until=lambda: pair.server.received()[-300:] == b"r" * 300, limit=60 * SECOND)


def old(segment: Segment) -> Segment:
    options = tuple(
        replace(one, value=one.value - 100_000 & 0xFFFF_FFFF) if isinstance(one, Timestamps) else one
        for one in segment.options
    )
    return replace(segment, options=options)


@pytest.mark.parametrize("profile", SPOKEN)
def test_paws(profile: Profile) -> None:
    """An old timestamp: dropped and acknowledged, its data and its signals with it (RFC 7323 §5.3)."""
    pair = talking(profile)
    key = pair.server.report().local_key or 0
    late = old(onward(pair, "up", MpFastclose(key), payload=b"evil"))
    (answer,) = answers(pair, late)
    assert answer.flags == ACK
    assert pair.server.closed() is None
    still_works(pair)
    assert b"evil" not in pair.server.received()


def test_paws_spares_a_reset() -> None:
    pair = talking(Profile.V1)
    pair.deliver(pair.server, old(onward(pair, "up", flags=RST | ACK)))
    assert pair.server.closed() is not None


def test_timestamps_are_valid_for_24_days() -> None:
    """After that an old one counts again (RFC 7323 §5.5)."""
    pair = talking(Profile.V1)
    late = old(onward(pair, "up"))
    pair.run(until=pair.now + 25 * 24 * 3600 * SECOND)
    pair.deliver(pair.server, late)
    assert not any("PAWS" in text for _, text in pair.notes)


@pytest.mark.parametrize("profile", SPOKEN)
def test_reset_in_the_window_is_challenged(profile: Profile) -> None:
    """Exact: reset. In the window: one challenge ACK per half second, with a DATA_ACK. Outside: silence
    (RFC 5961 §3.2, §7)."""
    pair = talking(profile)
    exact = onward(pair, "up", flags=RST)
    inside = replace(exact, seq=exact.seq + 100 & 0xFFFF_FFFF)
    (challenge,) = answers(pair, inside)
    assert challenge.flags == ACK
    if profile is not Profile.TCP:
        dss = option(challenge, Dss)
        assert dss is not None
        assert dss.data_ack is not None
    assert answers(pair, inside) == []
    pair.run(until=pair.now + SECOND)
    assert len(answers(pair, inside)) == 1
    assert answers(pair, replace(exact, seq=exact.seq - 1000 & 0xFFFF_FFFF)) == []
    still_works(pair)
    pair.deliver(pair.server, onward(pair, "up", flags=RST))
    end = pair.server.closed()
    assert end is not None
    assert end.reason is Reason.RST_RECEIVED


@pytest.mark.parametrize("offset", [0, 100])
def test_syn_in_a_connection_is_challenged(offset: int) -> None:
    """RFC 5961 §4.2."""
    pair = talking(Profile.V1)
    segment = onward(pair, "up", flags=SYN)
    (challenge,) = answers(pair, replace(segment, seq=segment.seq + offset & 0xFFFF_FFFF))
    assert challenge.flags == ACK
    still_works(pair)


@pytest.mark.parametrize("distance", [1, 100_000, -2_000_000_000])
def test_ack_of_what_was_never_sent_is_challenged(distance: int) -> None:
    """RFC 5961 §5.2: the acceptable range ends at SND.NXT and begins one window before SND.UNA."""
    pair = talking(Profile.V1)
    segment = onward(pair, "up", payload=b"evil")
    (challenge,) = answers(pair, replace(segment, ack=segment.ack + distance & 0xFFFF_FFFF))
    assert challenge.flags == ACK
    still_works(pair)
    assert b"evil" not in pair.server.received()


@pytest.mark.parametrize("profile", MPTCP)
def test_fast_close_needs_the_right_key(profile: Profile) -> None:
    """Wrong key: nothing. Right key: reset. An old sequence number: only an ACK (RFC 8684 §3.5)."""
    pair = talking(profile)
    key = pair.server.report().local_key
    assert key is not None
    pair.deliver(pair.server, onward(pair, "up", MpFastclose(key ^ 1)))
    assert pair.server.closed() is None
    stale = onward(pair, "up", MpFastclose(key))
    (answer,) = answers(pair, replace(stale, seq=stale.seq - 200 & 0xFFFF_FFFF))
    assert answer.flags == ACK
    assert pair.server.closed() is None
    (reset,) = answers(pair, stale)
    assert reset.flags == RST | ACK
    end = pair.server.closed()
    assert end is not None
    assert end.reason is Reason.FASTCLOSE_RECEIVED


@pytest.mark.parametrize(("wrong", "reason"), [(0, Reason.FASTCLOSE_RECEIVED), (1, Reason.RST_RECEIVED)])
def test_fast_close_on_a_reset(wrong: int, reason: Reason) -> None:
    """The subflow dies either way; the reason is the key's."""
    pair = talking(Profile.V1)
    key = pair.server.report().local_key
    assert key is not None
    pair.deliver(pair.server, onward(pair, "up", MpFastclose(key ^ wrong), flags=RST))
    end = pair.server.closed()
    assert end is not None
    assert end.reason is reason


def test_mp_tcprst_without_rst_is_ignored() -> None:
    pair = talking(Profile.V1)
    pair.deliver(pair.server, onward(pair, "up", MpTcpRst(1)))
    still_works(pair)


def test_options_that_vanish_end_a_confirmed_connection() -> None:
    """Single subflow, MPTCP confirmed: acknowledgements without DATA_ACK in a row (RFC 8684 §3.7)."""
    gone = False

    def strip(way: str, n: int, segment: Segment) -> Segment:
        if not gone or way == "up":
            return segment
        return replace(segment, options=tuple(o for o in segment.options if not isinstance(o, Dss)))

    pair = pair_of(Profile.V1, rewrite=strip)
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=pair.now + SECOND)
    gone = True
    pair.client.send(b"r" * 50_000)
    pair.run(until=lambda: pair.client.closed() is not None, limit=60 * SECOND)
    assert pair.client.report().reason is Reason.OPTIONS_VANISHED


def test_a_plain_exchange_counts_no_drop() -> None:
    pair = pair_of(Profile.V1)
    exchange(pair)
    assert not any("dropped" in text for _, text in pair.notes)


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("when", ["handshake", "data", "closing"])
def test_the_reset_of_a_living_connection_has_timestamps(
    profile: Profile, role: str, when: str, timestamps: bool
) -> None:
    """RFC 7323 §3.2, also beside MP_FASTCLOSE. Only where they were agreed."""
    pair = Pair(client=ClientConfig(profile=profile, tcp=TcpConfig(timestamps=timestamps)))
    pair.establish()
    side = pair.client if role == "client" else pair.server
    if when != "handshake":
        pair.client.send(bytes(3_000))
        pair.server.send(bytes(3_000))
        pair.run(until=pair.now + SECOND)
    if when == "closing":
        side.close()
    side.abort()
    pair.run()
    resets = [one for way in ("up", "down") for one in pair.segments(way) if one.flags & RST]
    living = [one for one in resets if one.flags & ACK]
    assert living
    for reset in living:
        stamps = [one for one in reset.options if isinstance(one, Timestamps)]
        assert len(stamps) == timestamps
