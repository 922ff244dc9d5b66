"""IP and TCP headers: layouts, checksums, and packets that are no TCP segment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.wire import (
    ACK,
    FIN,
    PSH,
    SYN,
    MaximumSegmentSize,
    MpCapable,
    Segment,
    Timestamps,
    Undecodable,
    decode,
    encode,
)
from testbed.mptcp.wire.checksum import finish, residue, same_checksum

A4, B4 = bytes((10, 0, 1, 1)), bytes((10, 0, 3, 1))
A6, B6 = bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000000000000000000002")
SYN_4 = Segment(A4, B4, 40000, 20080, 1, 0, SYN, 64240, (MaximumSegmentSize(1460), MpCapable(1)))
DATA_6 = Segment(A6, B6, 40000, 20080, 2, 9, ACK | PSH, 500, (Timestamps(1, 2),), b"hello, world")


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    size = draw(st.sampled_from((4, 16)))
    address = st.binary(min_size=size, max_size=size)
    u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
    options = draw(st.sampled_from(((), (Timestamps(7, 8),), (MpCapable(0, 0x81, 5, 6), Timestamps(1, 2)))))
    return Segment(
        draw(address), draw(address), draw(u16), draw(u16), draw(u32), draw(u32), draw(st.integers(0, 0x3F)),
        draw(u16), options, draw(st.binary(max_size=100)), draw(st.integers(1, 255)),
    )  # fmt: skip


@given(segments())
def test_round_trip(segment: Segment) -> None:
    packet = encode(segment)
    assert len(packet) == segment.length
    found = decode(packet)
    assert found == segment
    assert isinstance(found, Segment)
    assert found.hop_limit == segment.hop_limit


@given(segments(), st.data())
def test_one_changed_byte_is_noticed(segment: Segment, data: st.DataObject) -> None:
    """Every byte of an IPv4 packet is under a checksum; of an IPv6 one all but class, label and hop limit."""
    packet = bytearray(encode(segment))
    first = 0 if len(segment.src) == 4 else 40
    at = data.draw(st.integers(first, len(packet) - 1))
    change = data.draw(st.integers(1, 255))
    packet[at] ^= change
    assert isinstance(decode(bytes(packet)), Undecodable)


@given(st.binary(max_size=120))
def test_no_bytes_raise(packet: bytes) -> None:
    assert isinstance(decode(packet), Segment | Undecodable)
    assert isinstance(decode(packet, verify=False), Segment | Undecodable)


@given(segments(), st.data())
def test_no_damage_raises(segment: Segment, data: st.DataObject) -> None:
    packet = bytearray(encode(segment))
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packet)))
    assert isinstance(decode(bytes(packet[:cut]), verify=False), Segment | Undecodable)
    assert isinstance(decode(bytes(packet), verify=False), Segment | Undecodable)


def test_headers_byte_for_byte() -> None:
    """The checksums of these two packets are tshark's."""
    assert encode(SYN_4).hex() == (
        "4500003000004000400622c70a0001010a000301"  # IPv4: don't fragment, TTL 64
        "9c404e7000000001000000007002faf06b790000"  # TCP
        "020405b41e040101"
    )
    packet = encode(DATA_6)
    assert packet[:8].hex() == "60000000002c0640"
    assert packet[8:40] == A6 + B6
    assert packet[52] == 0x80  # eight words of header
    assert packet[60:].startswith(bytes.fromhex("080a00000001000000020101"))


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "empty"),
        (encode(SYN_4)[:19], "truncated IPv4"),
        (encode(SYN_4)[:30], "lengths do not fit"),
        (encode(DATA_6)[:39], "truncated IPv6"),
        (encode(DATA_6)[:50], "length does not fit"),
        (bytes((0x75,)) + encode(SYN_4)[1:], "IP version 7"),
        (encode(SYN_4)[:9] + b"\x11" + encode(SYN_4)[10:], "protocol 17"),
        (encode(SYN_4)[:6] + b"\x20\x00" + encode(SYN_4)[8:], "fragment"),
        (encode(SYN_4)[:6] + b"\x00\x01" + encode(SYN_4)[8:], "fragment"),
        (encode(SYN_4)[:32] + b"\xf0" + encode(SYN_4)[33:], "data offset"),
        (encode(SYN_4)[:32] + b"\x40" + encode(SYN_4)[33:], "data offset"),
        (encode(SYN_4)[:2] + b"\x00\x1c" + encode(SYN_4)[4:28], "truncated TCP"),
    ],
)
def test_what_is_no_segment(packet: bytes, why: str) -> None:
    found = decode(packet, verify=False)
    assert isinstance(found, Undecodable)
    assert why in found.why


def test_ethernet_padding_is_left_out() -> None:
    assert decode(encode(SYN_4) + bytes(14)) == SYN_4
    assert decode(encode(DATA_6) + bytes(14)) == DATA_6


def test_wrong_checksums_are_told_and_may_be_accepted() -> None:
    packet = bytearray(encode(SYN_4))
    packet[36] ^= 1
    found = decode(bytes(packet))
    assert isinstance(found, Undecodable)
    assert found.why == "wrong TCP checksum"
    assert decode(bytes(packet), verify=False) == SYN_4


def test_sequence_numbers_used() -> None:
    assert SYN_4.seq_length == 1
    assert DATA_6.seq_length == 12
    assert Segment(A4, B4, 1, 2, 0, 0, FIN | ACK, payload=b"xy").seq_length == 3


def test_flag_text_is_tcpdumps() -> None:
    assert SYN_4.flag_text() == "S"
    assert DATA_6.flag_text() == "P."
    assert Segment(A4, B4, 1, 2, 0, 0, 0).flag_text() == "none"


@given(st.binary(min_size=1, max_size=80))
def test_residue_is_the_sum_of_words(data: bytes) -> None:
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert residue(data) == total % 0xFFFF
    assert same_checksum(finish(residue(data)), ~total & 0xFFFF)


@given(st.binary(max_size=40).filter(lambda data: len(data) % 2 == 0), st.binary(max_size=40))
def test_residues_of_pieces_add(first: bytes, second: bytes) -> None:
    assert residue(first + second) == (residue(first) + residue(second)) % 0xFFFF


def test_a_sum_of_ffff_gives_the_field_0000() -> None:
    """As other stacks write it: a sum over a header is 0xFFFF, never the other zero (RFC 1624 §3)."""
    assert finish(residue(b"\xff\xff")) == 0
    assert finish(residue(b"\x12\x34\xed\xcb")) == 0
