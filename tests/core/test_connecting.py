"""What ends a handshake, and how long it is tried. Read first: RFC 9293 §3.10.7.3, §3.8.3, RFC 6298 §5."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, TcpConfig
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.tcp.state import MOVES, SYNCHRONIZED, State
from testbed.mptcp.wire import ACK, RST, SYN, Segment
from tests.core.boxes import is_syn, is_synack, pair_of
from tests.pair import SECOND, Pair


def syn_sent(profile: Profile) -> tuple[Pair, Segment]:
    """A client whose SYN has got lost, and an empty answer to it with the right numbers."""
    pair = pair_of(profile, lose=lambda way, number, segment: True)
    pair.connect()
    syn = pair.segments("up")[0]
    ack = (syn.seq + 1) & 0xFFFF_FFFF
    return pair, Segment(syn.dst, syn.src, syn.dport, syn.sport, 500, ack, ACK, 1_000)


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("flags", [ACK, SYN | ACK])
@pytest.mark.parametrize("off", [-1, 1, 1 << 31])
def test_an_ack_that_is_not_for_our_syn(profile: Profile, flags: int, off: int) -> None:
    """Answered by <SEQ=SEG.ACK><CTL=RST>, and nothing happens (RFC 9293 §3.10.7.3, first)."""
    pair, answer = syn_sent(profile)
    wrong = replace(answer, flags=flags, ack=(answer.ack + off) & 0xFFFF_FFFF)
    pair.deliver(pair.client, wrong)
    reset = pair.segments("up")[-1]
    assert (reset.flags, reset.seq) == (RST, wrong.ack)
    pair.deliver(pair.client, replace(wrong, flags=flags | RST))
    assert pair.segments("up")[-1] is reset
    assert pair.client.closed() is None


@pytest.mark.parametrize("profile", SPOKEN)
def test_a_reset_needs_the_ack(profile: Profile) -> None:
    """Second: without an acceptable ACK anybody could send it."""
    pair, answer = syn_sent(profile)
    pair.deliver(pair.client, replace(answer, flags=RST))
    assert pair.client.closed() is None
    pair.deliver(pair.client, replace(answer, flags=ACK))  # neither SYN nor RST
    assert pair.client.closed() is None
    pair.deliver(pair.client, replace(answer, flags=RST | ACK))
    end = pair.client.closed()
    assert end is not None
    assert end.reason is Reason.RST_RECEIVED


@pytest.mark.parametrize("profile", SPOKEN)
def test_no_answer_at_all(profile: Profile) -> None:
    """Seven SYNs, each after twice the time of the one before (RFC 6298 §5.5)."""
    pair, _ = syn_sent(profile)
    pair.run()
    times = [one.time for one in pair.crossings]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == [SECOND << number for number in range(6)]
    end = pair.client.closed()
    assert end is not None
    assert (end.verdict, end.reason) == (Verdict.HANG, Reason.CONNECT_TIMED_OUT)
    assert len(pair.client.endpoint) == 0


@pytest.mark.parametrize("profile", SPOKEN)
def test_a_syn_ack_that_nobody_acknowledges(profile: Profile) -> None:
    """The server forgets it, and its application never hears of it."""
    pair = pair_of(profile, lose=lambda way, number, segment: way == "up" and not is_syn(segment))
    pair.connect()
    pair.run(until=pair.now + 300 * SECOND)
    assert len([one for one in pair.segments("down") if is_synack(one)]) >= 7
    assert pair.server.connections == []
    assert len(pair.server.endpoint) == 0
    listener = pair.server.endpoint._listeners[20080]
    assert listener.half_open == 0


@pytest.mark.parametrize("profile", SPOKEN)
def test_data_that_nobody_acknowledges(profile: Profile) -> None:
    """`data_attempts` transmissions, further and further apart, and an end that says so (RFC 9293 §3.8.3)."""
    pair = Pair(client=ClientConfig(profile=profile, tcp=TcpConfig(data_attempts=6)))
    pair.establish()
    pair.lose = lambda way, number, segment: True
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.client.closed() is not None, limit=200 * SECOND)
    sent = [one.time for one in pair.crossings if one.way == "up" and one.segment.payload]
    assert 6 <= len(sent) <= 7  # a tail loss probe is one more
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert gaps[1:] == sorted(gaps[1:])
    end = pair.client.closed()
    assert end is not None
    assert (end.verdict, end.reason) == (Verdict.HANG, Reason.DATA_TIMED_OUT)


def test_every_state_can_be_left() -> None:
    """The figure of RFC 9293 §3.3.2: from each state a way to CLOSED, and no move back into the handshake."""
    for state in State:
        reached, waiting = {state}, [state]
        while waiting:
            for following in MOVES[waiting.pop()]:
                if following not in reached:
                    reached.add(following)
                    waiting.append(following)
        if state in SYNCHRONIZED:
            assert not reached & {State.SYN_SENT, State.SYN_RECEIVED}
            assert reached & {State.TIME_WAIT, State.LAST_ACK}
    assert MOVES[State.TIME_WAIT] == MOVES[State.LAST_ACK] == frozenset()
