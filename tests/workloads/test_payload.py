"""The bytes that applications send: any wrong place is seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.workloads.payload import (
    LONGEST_SLICE,
    PERIOD,
    REQUEST,
    RESPONSE,
    Payload,
    index_of,
    index_seen,
)


@given(
    length=st.integers(0, 300_000),
    cuts=st.lists(st.integers(1, 70_000), max_size=20),
    kind=st.sampled_from([REQUEST, RESPONSE]),
    index=st.integers(0, 50_000),
)
def test_slices_make_one_stream(length: int, cuts: list[int], kind: str, index: int) -> None:
    payload = Payload(kind, index, length)
    whole = b""
    for cut in [*cuts, *[LONGEST_SLICE] * 10]:
        whole += payload.slice(len(whole), cut)
    assert len(whole) == length
    assert payload.matches(0, whole)
    if length > 10:
        assert payload.matches(3, whole[3:9])
        assert not payload.matches(2, whole[3:10])


@pytest.mark.parametrize("kind", [REQUEST, RESPONSE])
def test_any_damage_is_seen(kind: str) -> None:
    payload = Payload(kind, 3, 200_000)
    whole = bytearray(b"".join(payload.slice(at) for at in range(0, 200_000, LONGEST_SLICE)))
    assert payload.matches(0, bytes(whole))
    for at in (0, 7, 8, PERIOD - 1, PERIOD, LONGEST_SLICE, 199_999):
        whole[at] ^= 1
        assert not payload.matches(0, bytes(whole))
        whole[at] ^= 1
    assert not payload.matches(1, bytes(whole))
    assert not Payload(kind, 4, 200_000).matches(0, bytes(whole))
    assert not payload.matches(0, bytes(whole) + b"x")


@given(index=st.integers(0, 50_000), length=st.integers(0, 20))
def test_server_learns_the_index_from_the_request(index: int, length: int) -> None:
    request = Payload(REQUEST, index, length)
    seen = index_of(request.slice(0))
    assert seen == index_seen(index, length)
    assert Payload(REQUEST, seen, length).matches(0, request.slice(0))
