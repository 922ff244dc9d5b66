"""Bytes by offset: whatever pieces they came in, and however they are read and freed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.ranges import GATHERED, SMALL, RangeSet, SendBuffer

SIZES = st.one_of(st.integers(0, 40), st.integers(SMALL - 2, SMALL + 2), st.integers(0, 3 * GATHERED))
STEPS = st.lists(st.tuples(st.sampled_from(("append", "read", "free")), SIZES, SIZES), max_size=40)
NOISE = bytes((index * index + 7 * index) % 251 for index in range(4 * GATHERED))


@given(STEPS, st.integers(0, 5))
def test_like_one_long_string(steps: list[tuple[str, int, int]], first: int) -> None:
    buffer, whole, start = SendBuffer(first), b"\0" * first, first
    for number, (what, a, b) in enumerate(steps):
        if what == "append":
            data = NOISE[number : number + a]
            buffer.append(data)
            whole += data
        elif what == "read" and len(whole) > start:
            at = start + a % (len(whole) - start)
            length = b % (len(whole) - at + 1)
            found = buffer.read(at, length)
            assert type(found) is bytes
            assert found == whole[at : at + length]
        elif what == "free":
            start += a % (len(whole) - start + 1)
            buffer.free(start)
        assert (buffer.start, buffer.end) == (start, len(whole))
    assert buffer.read(start, len(whole) - start) == whole[start:]


def test_outside_is_an_error() -> None:
    buffer = SendBuffer(1)
    buffer.append(b"abc")
    buffer.free(2)
    for offset, length in ((1, 1), (2, 3), (5, 0)):
        with pytest.raises(IndexError):
            buffer.read(offset, length)


def test_what_was_read_stays_when_the_buffer_goes_on() -> None:
    buffer = SendBuffer(0)
    buffer.append(b"ab")
    found = buffer.read(0, 2)
    buffer.append(b"cd")
    buffer.free(3)
    assert found == b"ab"
    assert buffer.read(3, 1) == b"d"


def test_a_large_piece_is_not_copied() -> None:
    buffer, data = SendBuffer(0), bytes(GATHERED)
    buffer.append(data)
    assert buffer.read(0, GATHERED) is data


def test_single_bytes_are_gathered() -> None:
    buffer = SendBuffer(0)
    for _ in range(2 * GATHERED):
        buffer.append(b"x")
    assert len(buffer._pieces) <= 3


@given(
    st.lists(
        st.tuples(st.sampled_from(("add", "add", "drop", "take")), st.integers(0, 30), st.integers(0, 30)),
        max_size=30,
    ),
    st.integers(0, 40),
)
def test_ranges_like_a_set_of_offsets(steps: list[tuple[str, int, int]], asked: int) -> None:
    ranges, offsets = RangeSet(), set[int]()
    for what, a, b in steps:
        if what == "add":
            ranges.add(a, b)
            offsets |= set(range(a, b))
        elif what == "drop":
            ranges.drop_below(a)
            offsets = {one for one in offsets if one >= a}
        elif ranges:
            start, end = ranges.take(1 + b)
            assert start == min(offsets)
            assert end - start <= 1 + b
            offsets -= set(range(start, end))
        assert {one for start, end in ranges.ranges for one in range(start, end)} == offsets
        assert all(one[1] < two[0] for one, two in pairwise(ranges.ranges))
    assert ranges.past(asked) == next(one for one in range(asked, 99) if one not in offsets)
