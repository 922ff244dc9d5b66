"""The last segments are lost, and no later ACK can tell of it: RFC 8985 §7."""

from __future__ import annotations

import pytest

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.tcp import tail
from testbed.mptcp.tcp.recovery import Phase
from testbed.mptcp.wire import Segment
from testbed.workloads import Workload
from tests.pair import MILLISECOND, SECOND, Pair
from tests.sim.cells import MSS, ends, run_cell, verdict, why
from tests.tcp.host import Sender


def all_but_three(**more: bool) -> Sender:
    """Ten were sent, seven are acknowledged; RTT 20 ms."""
    sender = Sender(**more)
    sender.write(10)
    sender.ack(7, after=20)
    return sender


def test_the_last_segment_asks_for_the_others() -> None:
    """After two round trips the last one goes again; its SACK shows the hole; no timeout, a smaller window.
    For one segment that arrives one goes out, then two (RFC 9937 §6.2)."""
    sender = all_but_three()
    assert sender.wait(41) == []
    assert sender.wait(2) == [9]
    assert sender.phase is Phase.OPEN
    assert sender.ack(7, (9, 10), after=20) == [7]
    assert sender.phase is Phase.RECOVERY
    assert sender.ack(8, (9, 10), after=20) == [8]
    assert sender.ack(10, after=20) == []
    assert sender.phase is Phase.OPEN
    assert sender.tcb.rtt.backoff == 0
    assert sender.cwnd == sender.tcb.cc.ssthresh / 1_000


def test_one_probe_then_the_timeout() -> None:
    sender = all_but_three()
    assert sender.wait(43) == [9]
    assert sender.wait(150) == []
    assert sender.wait(100)[0] == 7
    assert sender.phase is Phase.LOSS


def test_a_lone_segment_waits_for_a_delayed_ack() -> None:
    """Not longer than the RTO, though, which it puts off once."""
    sender = Sender()
    sender.write(10)
    sender.ack(9, after=20)
    assert sender.wait(199) == []
    assert sender.wait(5) == [9]
    assert sender.phase is Phase.OPEN
    assert sender.wait(250) == [9]
    assert sender.phase is Phase.LOSS


def test_an_ack_that_comes_before_the_probe_has_left_cancels_it() -> None:
    sender = all_but_three()
    tail.timed_out(sender.tcb, sender.now)
    assert sender.tcb.tail.due
    assert sender.ack(10) == []
    assert not sender.tcb.tail.due


def test_new_data_is_the_better_probe() -> None:
    """One segment over the window, and no cost if nothing was lost."""
    sender = Sender()
    assert sender.write(20) == list(range(10))
    sender.tcb.cc.ssthresh = sender.tcb.cc.cwnd
    assert sender.ack(2, after=20) == [10, 11]
    assert sender.wait(43) == [12]
    before = sender.cwnd
    sender.ack(13)
    assert sender.tcb.retransmits == 0
    assert sender.cwnd >= before


@pytest.mark.parametrize("told", ["dsack", "duplicate", "nothing"])
def test_what_the_answer_means(told: str) -> None:
    """Both copies arrived: nothing happened. Only one did: a loss was made good, and cwnd hears of it
    (RFC 8985 §7.4.2)."""
    sender = all_but_three()
    sender.wait(43)
    before = sender.cwnd
    if told == "dsack":
        sender.ack(10, (9, 10), after=10)
    else:
        sender.ack(10, after=10)
    if told == "duplicate":
        sender.write(1)
        sender.ack(10)
    sender.write(2)
    sender.ack(11, after=20)
    assert (sender.cwnd < before) == (told == "nothing")


def test_no_probe_without_sack() -> None:
    sender = all_but_three(sack=False)
    assert sender.wait(150) == []
    assert sender.wait(100)[0] == 7


def test_the_last_of_a_frame_is_one_segment_of_it() -> None:
    sender = Sender(window=60, frame=60)
    sender.write(40)
    sender.ack(10, after=20)
    ((start, end),) = sender.wait(43)  # type: ignore[misc]
    assert end == 40_000
    assert 900 <= end - start <= 1_000


def test_a_lost_fin_is_asked_for() -> None:
    sender = Sender()
    assert sender.write(3, finish=True) == [0, 1, 2, (3_000, 3_001)]
    sender.ack(1, after=20)
    assert sender.wait(43) == [(3_000, 3_001)]
    assert sender.ack(1, (3, 3.001), after=20) == [1]
    assert sender.ack(2, (3, 3.001), after=20) == [2]


def test_before_anything_is_acknowledged_it_is_the_first_that_goes_again() -> None:
    """A server that keeps no state takes nothing else."""
    sender = Sender()
    sender.write(4)
    assert sender.wait(43) == [0]
    assert sender.ack(1, after=20) == [1]
    assert sender.phase is Phase.RECOVERY
    assert sender.ack(2, after=20) == [2, 3]


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("segments", [2, 3, 12])
def test_no_probe_provokes_a_reset(profile: Profile, segments: int) -> None:
    """Third ACK and all of the first window lost, no state at the server: it is the first segment that
    comes next, which proves the cookie."""
    outcome = run_cell(
        profile,
        overrides={"paths.1.drop.up": ("third_ack", f"data:1-{min(segments, 10)}")},
        workload=Workload(request=(segments - 1) * MSS + 10, response=10_000),
    )
    ((client, server),) = ends(outcome)
    wanted = {Profile.TCP: "tcp", Profile.V0: "fallback"}.get(profile, "mptcp")
    assert verdict(client, server) == wanted, why(client, server)


def test_the_end_of_a_response_is_lost() -> None:
    """Without a timeout: two round trips until the probe, one to hear of it, two for the rest."""
    taken: list[int] = []

    def lose(way: str, n: int, segment: Segment) -> bool:
        if way == "down" and segment.payload and len(taken) < 9:
            taken.append(n)
            return len(taken) > 6
        return False

    pair = Pair(client=ClientConfig(), server=ServerConfig(syn_cookies=SynCookies.OFF), lose=lose)
    pair.establish()
    pair.client.send(b"q")
    pair.run(until=lambda: pair.server.received() == b"q")
    pair.run(until=pair.now + SECOND)
    start = pair.now
    pair.server.send(b"a" * 9 * 1_400)
    pair.run(until=lambda: len(pair.client.received()) == 9 * 1_400)
    assert len(taken) == 9
    assert pair.now - start < 140 * MILLISECOND
    pair.run(until=pair.now + SECOND)
    assert pair.server.report().retransmits <= 4
