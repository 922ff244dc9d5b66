"""Frames for a card with offloads: the partial checksum that it finishes, and the packets that it cuts."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.wire import (
    ACK,
    FIN,
    PSH,
    SYN,
    Dss,
    MaximumSegmentSize,
    Segment,
    Timestamps,
    decode,
    encode,
    partial_header,
    parts,
)
from testbed.mptcp.wire.checksum import finish, residue
from testbed.mptcp.wire.offload import CHECKSUM_OFFSET

OPTIONS = (Timestamps(7, 8), Dss(data_ack=5, data_ack_8=True, dsn=9, dsn_8=True, ssn=1, length=60_000))


def completed(segment: Segment) -> bytes:
    """What a card makes of the frame: everything from the TCP header on summed up and complemented."""
    packet = bytearray(partial_header(segment) + segment.payload)
    start = 20 if len(segment.src) == 4 else 40
    field = start + CHECKSUM_OFFSET
    packet[field : field + 2] = finish(residue(packet[start:])).to_bytes(2, "big")
    return bytes(packet)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    size = draw(st.sampled_from((4, 16)))
    address = st.binary(min_size=size, max_size=size)
    u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
    return Segment(
        draw(address), draw(address), draw(u16), draw(u16), draw(u32), draw(u32),
        draw(st.sampled_from((ACK, ACK | PSH, ACK | FIN, ACK | PSH | FIN))), draw(u16),
        draw(st.sampled_from(((), (Timestamps(7, 8),), OPTIONS, (MaximumSegmentSize(1460),)))),
        draw(st.binary(max_size=400)), draw(st.integers(1, 255)),
    )  # fmt: skip


@given(segments())
def test_the_finished_checksum_is_the_complete_one(segment: Segment) -> None:
    assert completed(segment) == encode(segment)


@pytest.mark.parametrize("size", [4, 16])
def test_a_frame_of_64_kb(size: int) -> None:
    segment = Segment(bytes(size), b"\xff" * size, 1, 2, 3, 4, ACK, 5, OPTIONS, b"\xff\x00\x01" * 21_000)
    assert completed(segment) == encode(segment)


@given(segments(), st.integers(1, 500))
def test_the_parts_are_the_segment(segment: Segment, cut: int) -> None:
    large = dataclasses.replace(segment, cut=cut)
    found = list(parts(large))
    assert b"".join(part.payload for part in found) == segment.payload
    assert all(len(part.payload) <= cut for part in found)
    at = segment.seq
    for part in found:
        assert (part.seq, part.options, part.ack) == (at, segment.options, segment.ack)
        at = (at + len(part.payload)) % 2**32
        assert isinstance(decode(encode(part)), Segment)
    assert found[-1].flags == segment.flags
    assert not any(part.flags & (FIN | PSH) for part in found[:-1])


@pytest.mark.parametrize(("length", "cut"), [(100, 0), (100, 100), (100, 200), (0, 50)])
def test_a_single_packet_stays_as_it_is(length: int, cut: int) -> None:
    segment = Segment(bytes(4), bytes(4), 1, 2, 3, 4, SYN, payload=bytes(length), cut=cut)
    assert list(parts(segment)) == [segment]


def test_a_view_of_a_packet_is_read_without_keeping_it() -> None:
    segment = Segment(bytes(4), bytes(4), 1, 2, 3, 4, ACK, 9, OPTIONS, b"payload")
    buffer = bytearray(b"header" + encode(segment))
    found = decode(memoryview(buffer)[6:])
    buffer[:] = bytes(len(buffer))
    assert found == segment
