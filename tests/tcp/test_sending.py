"""When new data may leave, and in which sizes: Nagle's rule, windows, a path with a smaller MTU.

Read first: RFC 9293 §3.7.4, §3.8.6.2.1, RFC 1191 §6.4, RFC 7323 §2.3.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import TcpConfig
from testbed.mptcp.tcp.handshake import agree, read_syn_options
from testbed.mptcp.tcp.recovery import Phase
from testbed.mptcp.tcp.tcb import Tcb
from testbed.mptcp.wire import SYN, Segment, WindowScale
from tests.tcp.host import START, A, B, Sender


def with_nagle(on: bool) -> Sender:
    sender = Sender()
    sender.tcb.config = replace(sender.tcb.config, nagle=on)
    return sender


def test_nagle() -> None:
    """A small segment waits while anything is outstanding; a full one never does (RFC 9293 §3.7.4)."""
    sender = with_nagle(True)
    assert sender.write(0.3) == [(0, 300)]
    assert sender.write(0.2) == []
    assert sender.write(1) == [(300, 1_300)]
    assert sender.ack(0.3) == []
    assert sender.ack(1.3) == [(1_300, 1_500)]


def test_without_nagle() -> None:
    sender = with_nagle(False)
    assert sender.write(0.3) == [(0, 300)]
    assert sender.write(0.2) == [(300, 500)]


def test_the_congestion_window() -> None:
    sender = Sender(window=3)
    assert sender.write(10) == [0, 1, 2]
    sender.tcb.cc.ssthresh = 3_000
    assert sender.ack(1) == [3]


def test_no_silly_segments_into_a_small_window() -> None:
    """What does not fill a segment waits, unless it is half of the largest window (RFC 9293 §3.8.6.2.1)."""
    sender = Sender(peer_window=5_000)
    assert sender.write(10) == [0, 1, 2, 3, 4]
    assert sender.ack(5, window=700) == []
    assert sender.ack(5, window=2_600) == [5, 6]
    assert sender.ack(7, window=1_000) == [7]


@pytest.mark.parametrize(("offered", "used"), [(0, 0), (7, 7), (14, 14), (15, 14), (255, 14)])
def test_a_window_shift_of_14_at_most(offered: int, used: int) -> None:
    """More is taken as 14 (RFC 7323 §2.3)."""
    tcb = Tcb(TcpConfig(), A, B, 1, 0)
    syn = Segment(B[0], A[0], B[1], A[1], 1, 0, SYN, 1_000, (WindowScale(offered),))
    agree(tcb, read_syn_options(syn), START)
    assert tcb.snd_wscale == used


def test_a_smaller_path() -> None:
    """Only what was too long goes again, in smaller segments, at once; the window has not heard of it."""
    sender = Sender(window=10)
    sender.write(0.4)
    sender.write(3)
    before = sender.cwnd
    sender.tcb.path_mtu_lowered(640, sender.now)
    assert sender.flush() == [(400, 1_000), (1_000, 1_600), (1_600, 2_200), (2_200, 2_800), (2_800, 3_400)]
    assert sender.phase is Phase.OPEN
    assert sender.cwnd == before
    sender.ack(3.4, after=20)
    assert sender.phase is Phase.OPEN
    assert sender.write(1.2) == [(3_400, 4_000), (4_000, 4_600)]


def test_a_larger_path_is_no_news() -> None:
    sender = Sender()
    sender.write(3)
    sender.tcb.path_mtu_lowered(9_000, sender.now)
    assert sender.flush() == []
    assert sender.tcb.mss == 1_000
