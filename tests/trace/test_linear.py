"""Work grows with the number of packets, not with its square: twice as many take about twice as long.

Work is counted, not timed: the lines of testbed/trace that run, which no other load on the machine changes.
"""

from __future__ import annotations

import struct
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from testbed.mptcp.wire import ACK, PSH, SYN, Dss, MpJoinSyn, Segment, encode
from testbed.trace import connections, from_segments, read_capture
from testbed.trace.packets import Packet
from testbed.trace.ranges import Carried, Ranges
from testbed.trace.sightings import Sightings
from tests.trace.conversation import CLIENT, LISTENING, PORT, SERVER, Talk, Timed

SMALL, LARGE = 400, 1600


def lines(run: Callable[[], object]) -> int:
    """How many lines of testbed/trace run; a loop inside of one line counts for each of its rounds."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if "/testbed/trace/" not in frame.f_code.co_filename:
            return None
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


def opened() -> Talk:
    made = Talk("v1", timestamps=False)
    made.handshake()
    return made


def data(made: Talk, seq: int, dsn: int, count: int = 1) -> Segment:
    ends = (CLIENT, SERVER, PORT, LISTENING)
    mapping = Dss(None, False, (made.idsns[0] + dsn) & 0xFFFF_FFFF_FFFF_FFFF, True, seq, count)
    return Segment(*ends, (made.isns[0] + seq) & 0xFFFF_FFFF, 7001, ACK | PSH, 0, (mapping,), bytes(count))


def answer(made: Talk, seq: int, dsn: int) -> Segment:
    ends = (SERVER, CLIENT, LISTENING, PORT)
    option = Dss((made.idsns[0] + dsn) & 0xFFFF_FFFF_FFFF_FFFF, True)
    return Segment(*ends, 7001, (made.isns[0] + seq) & 0xFFFF_FFFF, ACK, 0, (option,))


def small_mappings(count: int) -> Iterator[Segment]:
    """None continues the one before at the level of the connection."""
    made = opened()
    for number in range(1, count):
        yield data(made, number, 2 * number)


def in_order(count: int) -> Iterator[Segment]:
    made = opened()
    for number in range(1, count // 2):
        yield data(made, number, number)
        yield answer(made, number + 1, number + 1)


def backwards(count: int) -> Iterator[Segment]:
    made = opened()
    for number in range(count, 0, -1):
        yield data(made, 3 * number, 3 * number)


def overlapping(count: int) -> Iterator[Segment]:
    made = opened()
    for number in range(1, count):
        yield data(made, number, number, count)


def plain_acks(count: int) -> Iterator[Segment]:
    made = opened()
    yield data(made, 1, 1, 1000)
    for _ in range(count):
        yield Segment(SERVER, CLIENT, LISTENING, PORT, 7001, made.isns[0] + 2, ACK)


def many_joins(count: int) -> Iterator[Segment]:
    made = opened()
    token = (MpJoinSyn(False, 1, made.token(0x29A6C86981AD933C), 7),)
    for number in range(count):
        yield Segment(bytes((10, 9, number >> 8, number & 255)), SERVER, 999, LISTENING, 1, 0, SYN, 0, token)


def strangers(count: int) -> Iterator[Segment]:
    for number in range(count):
        yield Segment(bytes((10, 9, number >> 8, number & 255)), SERVER, 999, LISTENING, 1, 0, SYN)


KINDS = [small_mappings, in_order, backwards, overlapping, plain_acks, many_joins, strangers]


def conversation(kind: Callable[[int], Iterator[Segment]], count: int) -> list[Timed]:
    made = opened()
    time = made.time
    return [*made.segments, *((time + number, each, None) for number, each in enumerate(kind(count), 1))]


@pytest.mark.parametrize("kind", KINDS)
def test_judging_takes_linear_work(kind: Callable[[int], Iterator[Segment]]) -> None:
    work = []
    for count in (SMALL, LARGE):
        packets = from_segments(conversation(kind, count))
        work.append(lines(lambda packets=packets: connections(packets)) / len(packets))
    assert work[1] < 1.6 * work[0], f"lines per packet: {work}"


def sighted(packets: list[Packet]) -> list[Packet]:
    found = Sightings()
    for packet in packets:
        found.add(packet, 0)
    return found.joined()


@pytest.mark.parametrize("places", [1, 2, 40])
@pytest.mark.parametrize("apart", [1, 10**7, 6 * 10**9])
def test_sightings_of_equal_packets_take_linear_work(places: int, apart: int, tmp_path: Path) -> None:
    """The same segment again and again, as of a keepalive, at one place and at many."""
    work = []
    for count in (SMALL, LARGE):
        segment = Segment(CLIENT, SERVER, PORT, LISTENING, 1, 1, ACK)
        packets = from_segments([(apart * number, segment, None) for number in range(count)])
        for number, packet in enumerate(packets):
            object.__setattr__(packet, "interface", f"if{number % places}")
        work.append(lines(lambda packets=packets: sighted(packets)) / count)
    assert work[1] < 1.6 * work[0], f"lines per packet: {work}"


def test_a_frame_cut_by_the_snapshot_length_takes_no_room_for_what_is_cut(tmp_path: Path) -> None:
    """1,000 frames that were 60 KB each; 96 bytes of each in the file."""
    made = opened()
    path = tmp_path / "cut.pcap"
    with path.open("wb") as stream:
        stream.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 96, 101))
        for number in range(1000):
            raw = encode(data(made, (1 + 60_000 * number) & 0xFFFF_FFFF, 1 + 60_000 * number, 60_000))
            stream.write(struct.pack("<IIII", number, 0, 96, len(raw)) + raw[:96])
    tracemalloc.start()
    try:
        found = read_capture(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(packet.length for packet in found.packets) == 60_000_000
    assert most < 3_000_000


def test_more_than_4_gigabytes_on_one_flow() -> None:
    made = opened()
    size, count = 60_000, 80_000  # 4.8 GB in 80,000 large frames would be slow to build: every 20th is enough
    base = data(made, 1, 1)
    segments: list[Timed] = list(made.segments)
    step = 20 * size
    template = from_segments([(0, base, None)])[0]
    packets = from_segments(segments)
    for number in range(count // 20):
        seq = 1 + step * number
        option = Dss(
            None, False, (made.idsns[0] + seq) & 0xFFFF_FFFF_FFFF_FFFF, True, seq & 0xFFFF_FFFF, size
        )
        packets.append(
            Packet(
                made.time + number,
                template.source,
                template.target,
                (made.isns[0] + seq) & 0xFFFF_FFFF,
                7001,
                ACK | PSH,
                0,
                size,
                template.mptcp,
                option,
                None,
                (option,),
                True,
                True,
                made.time + number,
                None,
                number + 4,
                "",
            )
        )
    (found,) = connections(packets)
    assert found.subflows[0].bytes[0] == size * (count // 20)
    assert found.subflows[0].copies == (0, 0)
    assert found.bytes[0] == size * (count // 20)


# -- sets of numbers ----------------------------------------------------------------------------------------


def test_ranges_are_a_set() -> None:
    found = Ranges()
    for start in (10, 30, 5, 20, 15, 10):
        found.add(start, start + 5)
    assert list(found) == [(5, 25), (30, 35)]
    assert [number in found for number in (4, 5, 24, 25, 30, 35)] == [False, True, True, False, True, False]
    assert (found.reach(5), found.reach(0), found.total(0, 100), found.total(22, 32)) == (25, 0, 25, 5)


def test_copies_are_bytes_seen_before_not_late_ones() -> None:
    found = Carried(1)
    for start, end in ((1, 10), (20, 30), (10, 20), (5, 8), (25, 40), (30, 40)):
        found.add(start, end)
    assert (found.copies, found.top, found.bytes) == (3, 40, 9 + 10 + 10 + 3 + 15 + 10)
