"""Sequence arithmetic: 32-bit TCP numbers and 64-bit data sequence numbers.

Decides what "before", "after" and "the 64-bit number meant by these 32 bits" mean.
Knows nothing of segments or connections. Read first: RFC 9293 §3.4, RFC 8684 §3.3.1.
"""

from __future__ import annotations

MASK32 = 0xFFFF_FFFF
MASK64 = 0xFFFF_FFFF_FFFF_FFFF
_HALF32 = 1 << 31
_HALF64 = 1 << 63


def seq_add(a: int, n: int) -> int:
    """a + n modulo 2**32."""
    return (a + n) & MASK32


def seq_diff(a: int, b: int) -> int:
    """Signed distance a - b, in -2**31 .. 2**31 - 1: positive when a is after b."""
    return ((a - b + _HALF32) & MASK32) - _HALF32


def seq_lt(a: int, b: int) -> bool:
    return ((a - b) & MASK32) >= _HALF32


def seq_leq(a: int, b: int) -> bool:
    return ((b - a) & MASK32) < _HALF32


def seq_max(a: int, b: int) -> int:
    return a if seq_leq(b, a) else b


def dsn_add(a: int, n: int) -> int:
    """a + n modulo 2**64."""
    return (a + n) & MASK64


def dsn_diff(a: int, b: int) -> int:
    """Signed distance a - b, in -2**63 .. 2**63 - 1."""
    return ((a - b + _HALF64) & MASK64) - _HALF64


def promote(low: int, near: int) -> int:
    """The 64-bit number with these low 32 bits that lies closest to `near` (RFC 8684 §3.3.1).

    Closest, and not "in the same upper half", so that numbers from just before and just after
    a wrap of the low half both come out right.
    """
    return (near + seq_diff(low, near & MASK32)) & MASK64
