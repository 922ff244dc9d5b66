"""Ones' complement sums: the Internet checksum, TCP's, and the DSS checksum.

Decides every checksum value in a packet. Knows bytes and numbers only.
Read first: RFC 1071, RFC 9293 §3.1, RFC 8684 §3.3.1.

A sum is kept as a residue modulo 0xFFFF in network order, where 0 and 0xFFFF are the same number;
residues of pieces at even offsets can be added.
"""

from __future__ import annotations

import struct

from testbed.mptcp.wire.sequence import MASK64


def residue(data: bytes | bytearray | memoryview) -> int:
    """Sum of the 16-bit words of `data` modulo 0xFFFF, an odd last byte padded with zero.

    One big integer modulo 65535 is the fastest exact way in pure Python: 2**16 is 1 modulo 65535.
    """
    value = int.from_bytes(data, "big")
    if len(data) & 1:
        value <<= 8
    return value % 0xFFFF


def finish(total: int) -> int:
    """The checksum field for a residue: its complement, 0 where both 0 and 0xFFFF would do.

    A sum over a header is never a sum of zeros only, so residue 0 stands for 0xFFFF (RFC 1624 §3).
    """
    return -total % 0xFFFF


def pseudo_header(src: bytes, dst: bytes, protocol: int, length: int) -> int:
    """Residue of the IPv4 or IPv6 pseudo-header (the sums agree in form, RFC 8200 §8.1)."""
    return (residue(src) + residue(dst) + protocol + (length >> 16) + (length & 0xFFFF)) % 0xFFFF


def dss_checksum(dsn: int, ssn: int, length: int, payload: int) -> int:
    """The DSS checksum field (RFC 8684 §3.3.1).

    `dsn` is always the 64-bit number, `ssn` relative, `length` the Data-Level Length (a DATA_FIN counts
    as one), `payload` the residue of the mapped bytes (0 for none).
    """
    header = struct.pack("!QIHH", dsn & MASK64, ssn, length, 0)
    return finish(residue(header) + payload)


def same_checksum(a: int, b: int) -> bool:
    """0 and 0xFFFF denote the same ones' complement number."""
    return a % 0xFFFF == b % 0xFFFF
