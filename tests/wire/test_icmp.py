"""What a router says of a packet that was too big: byte for byte, and everything that says something else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.wire import ACK, Segment, TooBig, Undecodable, encode, too_big_ipv4, too_big_ipv6
from testbed.mptcp.wire.checksum import finish, residue

A4, B4 = bytes((10, 0, 1, 1)), bytes((10, 0, 3, 1))
A6, B6 = bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000000000000000000002")
LOCAL, REMOTE, SEQ = 40_000, 20_080, 0xFEDCBA98


def ours(src: bytes, dst: bytes) -> bytes:
    return encode(Segment(src, dst, LOCAL, REMOTE, SEQ, 7, ACK, 500, payload=bytes(1400)))


def icmp(quoted: bytes, mtu: int = 1200, kind: int = 3, code: int = 4) -> bytes:
    message = struct.pack("!BBHHH", kind, code, 0, 0, mtu) + quoted
    return (
        bytes((0x45,)) + bytes(19) + message[:2] + struct.pack("!H", finish(residue(message))) + message[4:]
    )


def icmpv6(quoted: bytes, mtu: int = 1300, kind: int = 2) -> bytes:
    return struct.pack("!BBHI", kind, 0, 0, mtu) + quoted


EXPECTED_4 = TooBig((A4, LOCAL), (B4, REMOTE), SEQ, 1200)
EXPECTED_6 = TooBig((A6, LOCAL), (B6, REMOTE), SEQ, 1300)


@pytest.mark.parametrize("quoted", [28, 60, 548])
def test_ipv4_with_the_least_and_with_more(quoted: int) -> None:
    """Routers quote the header and eight bytes at the least, newer ones up to 576 in all."""
    assert too_big_ipv4(icmp(ours(A4, B4)[:quoted])) == EXPECTED_4


@pytest.mark.parametrize("quoted", [48, 1232])
def test_ipv6(quoted: int) -> None:
    assert too_big_ipv6(icmpv6(ours(A6, B6)[:quoted])) == EXPECTED_6


def test_options_in_the_quoted_header() -> None:
    packet = ours(A4, B4)
    quoted = bytes((0x46,)) + packet[1:20] + b"\x01\x01\x01\x00" + packet[20:40]
    assert too_big_ipv4(icmp(quoted)) == EXPECTED_4


def changed(packet: bytes, at: int, value: int) -> bytes:
    return packet[:at] + bytes((value,)) + packet[at + 1 :]


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "truncated"),
        (icmp(b"")[:27], "truncated"),
        (changed(icmp(ours(A4, B4)), 0, 0x40), "truncated"),
        (icmp(ours(A4, B4), code=3), "code 3"),
        (icmp(ours(A4, B4), kind=11), "type 11"),
        (changed(icmp(ours(A4, B4)[:28]), 40, 9), "checksum"),
        (icmp(ours(A4, B4), mtu=0), "MTU of 0"),
        (icmp(ours(A4, B4), mtu=67), "MTU of 67"),
        (icmp(b""), "no IPv4 header"),
        (icmp(ours(A6, B6)), "no IPv4 header"),
        (icmp(ours(A4, B4)[:27]), "too little"),
        (icmp(changed(ours(A4, B4), 9, 17)), "protocol 17"),
        (icmp(changed(ours(A4, B4), 7, 5)), "fragment"),
    ],
)
def test_not_about_us_over_ipv4(packet: bytes, why: str) -> None:
    found = too_big_ipv4(packet)
    assert isinstance(found, Undecodable)
    assert why in found.why


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\x02\x00", "truncated"),
        (icmpv6(ours(A6, B6), kind=1), "type 1"),
        (icmpv6(ours(A6, B6), mtu=1279), "MTU of 1279"),
        (icmpv6(b""), "no IPv6 header"),
        (icmpv6(ours(A4, B4)), "no IPv6 header"),
        (icmpv6(ours(A6, B6)[:47]), "too little"),
        (icmpv6(changed(ours(A6, B6), 6, 44)), "protocol 44"),
    ],
)
def test_not_about_us_over_ipv6(message: bytes, why: str) -> None:
    found = too_big_ipv6(message)
    assert isinstance(found, Undecodable)
    assert why in found.why


@given(st.binary(max_size=120))
def test_rubbish(data: bytes) -> None:
    assert isinstance(too_big_ipv4(data), Undecodable)
    too_big_ipv6(data)
    too_big_ipv6(b"\x02\x00\x00\x00\x00\x00\x05\x14" + data)
