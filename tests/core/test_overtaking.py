"""A slow path beside a fast one costs nothing: what it would bring late goes on the fast one as well."""

from __future__ import annotations

import pytest

from testbed.mptcp.config import MptcpConfig, TcpConfig
from testbed.mptcp.option_space import frame_room, payload_room
from testbed.mptcp.reinject import penalize
from testbed.mptcp.tcp.recovery import Phase
from testbed.mptcp.wire import Segment
from tests.core.multipath import CLIENT, link, links, multipath, open_subflows
from tests.pair import MILLISECOND, SECOND, Pair

MEGABYTE = 1_000_000
FRAME, PAYLOAD = 1514, 1500 - 40 - 12 - 28  # bytes on a link, and what of them is data
PATTERN = bytes(range(256)) * (8 * MEGABYTE // 256)
SLOW = (link(50, 10), link(1, 10))  # a full queue of the second path takes more than a second to empty


def pair_of(opportunistic: bool, buffer: int) -> Pair:
    tcp = TcpConfig(send_buffer=buffer, receive_buffer=buffer)
    mptcp = MptcpConfig(opportunistic=opportunistic, penalize=opportunistic)
    pair = multipath(links=links(*SLOW), client={"tcp": tcp, "mptcp": mptcp}, server={"tcp": tcp})
    open_subflows(pair)
    return pair


def seconds(pair: Pair, data: bytes = PATTERN, *, close: bool) -> float:
    """Until the server has it all."""
    began = pair.now
    pair.client.send(data)
    if close:
        pair.client.close()
    pair.run(until=lambda: len(pair.server.received()) == len(data) + 1, limit=60 * SECOND)
    assert pair.server.received()[1:] == data
    return (pair.now - began) / SECOND


@pytest.mark.slow
@pytest.mark.parametrize("buffer", [MEGABYTE, 2 * MEGABYTE])
def test_a_full_buffer_does_not_wait_for_the_slow_path(buffer: int) -> None:
    """The fast path alone would take 1.4 s and the ramp of a slow start."""
    helped = seconds(pair_of(True, buffer), close=False)
    waiting = seconds(pair_of(False, buffer), close=False)
    assert helped < 1.8 < 2.4 < waiting


def test_the_end_does_not_wait_for_the_slow_path() -> None:
    buffer = 2 * len(PATTERN)  # nothing is ever full
    helped, waiting = (seconds(pair_of(help_, buffer), close=True) for help_ in (True, False))
    assert helped < 1.6
    assert waiting > helped + 0.5


def test_the_end_does_not_wait_for_a_repair_on_the_slow_path() -> None:
    """What arrived there behind the hole waits for it, as a subflow's bytes go up in their order: all of it
    goes on the fast path as well."""
    buffer = 2 * len(PATTERN)
    tcp = TcpConfig(send_buffer=buffer, receive_buffer=buffer)
    pair = multipath(
        links=links(link(50, 10), link(1, 200, queue=20)), client={"tcp": tcp}, server={"tcp": tcp}
    )
    open_subflows(pair)
    began = pair.now
    lost: list[int] = []

    def lose(way: str, number: int, segment: Segment) -> bool:
        """One segment of the slow path, half a second before the end."""
        if not lost and segment.payload and segment.src == CLIENT[1] and pair.now > began + 900 * MILLISECOND:
            lost.append(number)
        return number in lost

    pair.lose = lose
    assert seconds(pair, close=True) < 1.5
    assert lost


@pytest.mark.parametrize("rates", [(15, 3), (50, 1)])
def test_of_a_large_frame_nothing_is_left_behind(rates: tuple[int, int]) -> None:
    """Where the window or the share of a millisecond cuts the copy, the rest follows with the next ACK."""
    tcp = TcpConfig(send_buffer=2 * len(PATTERN), receive_buffer=2 * len(PATTERN), gso_max_size=1 << 16)
    paths = links(*(link(rate, 10) for rate in rates))
    pair = multipath(links=paths, client={"tcp": tcp}, server={"tcp": tcp})
    open_subflows(pair)
    capacity = sum(rates) * 1e6 * PAYLOAD / FRAME
    assert seconds(pair, close=True) < len(PATTERN) * 8 / capacity + 0.07


def test_nothing_is_sent_twice_where_the_paths_are_alike() -> None:
    pair = multipath(links=links(link(10, 10), link(10, 10)))
    open_subflows(pair)
    seconds(pair, close=True)
    sent = sum(path.bytes_sent for path in pair.client.report().paths)
    assert sent - len(PATTERN) < len(PATTERN) // 50


def test_a_stream_that_may_go_on_is_not_doubled_at_each_pause() -> None:
    """Only a closed stream has an end; a pause of the application is none."""
    pair = pair_of(True, MEGABYTE)
    for _ in range(20):
        pair.client.send(bytes(50_000))
        pair.run(until=pair.now + 100 * MILLISECOND)
    assert pair.client.endpoint.counters["OpportunisticRetrans"] == 0


def test_who_recovers_from_a_loss_is_not_penalized() -> None:
    """Its window was reduced for that, and it repairs what holds the others up."""
    pair = pair_of(True, MEGABYTE)
    conn = pair.client.endpoint._table.by_number[pair.client.first(None)]
    slow = conn.subflows[1]
    before = slow.tcb.cc.cwnd
    slow.tcb.recovery.phase = Phase.RECOVERY
    penalize(conn, slow, pair.now)
    assert slow.tcb.cc.cwnd == before
    slow.tcb.recovery.phase = Phase.OPEN
    for _ in range(2):  # the second comes within the same round trip
        penalize(conn, slow, pair.now)
    assert slow.tcb.cc.cwnd == before // 2
    assert pair.client.endpoint.counters["SubflowPenalized"] == 1


@pytest.mark.parametrize("rates", [(10, 10), (15, 5), (10, 2)])
@pytest.mark.parametrize("congestion", ["newreno", "cubic"])
def test_a_buffer_of_twice_rates_times_rtt_is_enough(rates: tuple[int, int], congestion: str) -> None:
    """As NSDI 2012 §4.2 sizes it, without the queues, which may hold four times as much: the slow path does
    not take it all. One path alone gets no more than its part."""
    buffer = 2 * sum(rates) * 1_000_000 // 8 * 20 // 1000  # both paths have an RTT of 20 ms
    tcp = TcpConfig(receive_buffer=buffer, congestion=congestion)
    wires = [link(rate, 10) for rate in rates]
    pair = multipath(links=links(*wires), client={"tcp": tcp}, server={"tcp": tcp})
    open_subflows(pair)
    rate = 8 * len(PATTERN) / 2 / seconds(pair, PATTERN[: len(PATTERN) // 2], close=True)
    assert rate > 0.8 * sum(rates) * 1_000_000


def test_a_frame_is_a_millisecond_s_worth_far_away_and_whole_nearby() -> None:
    pair = multipath(client={"tcp": TcpConfig(gso_max_size=65_536)})
    open_subflows(pair)
    conn = pair.client.endpoint._table.by_number[pair.client.first(None)]
    sub = conn.first
    room = payload_room(conn, sub, False)
    sub.tcb.cc.cwnd = 1_000_000
    sub.tcb.rtt.srtt = sub.tcb.rtt.min_rtt = 50_000  # ns
    assert frame_room(conn, sub, room) > 60_000
    sub.tcb.rtt.srtt = sub.tcb.rtt.min_rtt = 100 * MILLISECOND
    assert frame_room(conn, sub, room) == 6 * room  # 10 kB
    sub.tcb.cc.cwnd = 14_600
    assert frame_room(conn, sub, room) == 2 * room
