"""Sequence arithmetic on the circle: 32 bits for TCP, 64 for data, and 32 bits promoted to 64."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.wire.sequence import (
    dsn_add,
    dsn_diff,
    promote,
    seq_add,
    seq_diff,
    seq_leq,
    seq_lt,
    seq_max,
)

u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
half32, half64 = st.integers(-(2**31) + 1, 2**31 - 1), st.integers(-(2**63) + 1, 2**63 - 1)


@given(u32, half32)
def test_difference_undoes_addition(a: int, n: int) -> None:
    assert seq_diff(seq_add(a, n), a) == n
    assert 0 <= seq_add(a, n) < 2**32


@given(u32, half32)
def test_order_agrees_with_the_signed_distance(a: int, n: int) -> None:
    b = seq_add(a, n)
    assert seq_lt(a, b) == (n > 0)
    assert seq_leq(a, b) == (n >= 0)
    assert seq_max(a, b) == (b if n >= 0 else a) == seq_max(b, a)


@given(u64, half64)
def test_the_same_in_64_bits(a: int, n: int) -> None:
    assert dsn_diff(dsn_add(a, n), a) == n
    assert 0 <= dsn_add(a, n) < 2**64


@given(u64, half32)
def test_promotion_finds_the_number_within_half_a_wrap(near: int, n: int) -> None:
    meant = dsn_add(near, n)
    assert promote(meant & 0xFFFF_FFFF, near) == meant


def test_wraps() -> None:
    assert seq_lt(0xFFFF_FFFF, 0)
    assert seq_add(0xFFFF_FFFF, 2) == 1
    assert seq_diff(1, 0xFFFF_FFFF) == 2
    assert dsn_diff(3, 2**64 - 2) == 5
    # Just before and just after the low half wraps (RFC 8684 §3.3.1).
    assert promote(0x0000_0001, 0x0000_0005_FFFF_FFF0) == 0x0000_0006_0000_0001
    assert promote(0xFFFF_FFF0, 0x0000_0006_0000_0001) == 0x0000_0005_FFFF_FFF0
    assert promote(0xFFFF_FFFE, 1) == 2**64 - 2
