"""TCP options: layouts, padding, and that nothing in a block can make the parser raise or overrun."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.wire import (
    AddAddr,
    Dss,
    FastOpen,
    Malformed,
    MaximumSegmentSize,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MpTcpRst,
    Option,
    RemoveAddr,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    UnknownSubtype,
    WindowScale,
    encode_options,
    encoded_length,
    parse_options,
)

u8, u16 = st.integers(0, 0xFF), st.integers(0, 0xFFFF)
u32, u64 = st.integers(0, 0xFFFF_FFFF), st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)
nibble = st.integers(0, 15)
addresses = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))


def _dss(
    ack: int | None, dsn: int | None, ack_8: bool, dsn_8: bool, rest: tuple[int, int, int | None]
) -> Dss:
    ack_8, dsn_8 = ack_8 and ack is not None, dsn_8 and dsn is not None
    ack = None if ack is None else ack if ack_8 else ack & 0xFFFF_FFFF
    if dsn is None:
        return Dss(ack, ack_8)
    return Dss(ack, ack_8, dsn if dsn_8 else dsn & 0xFFFF_FFFF, dsn_8, *rest)


capables = st.one_of(
    st.builds(MpCapable, nibble, u8),
    st.builds(MpCapable, nibble, u8, u64),
    st.builds(MpCapable, nibble, u8, u64, u64),
    st.builds(MpCapable, nibble, u8, u64, u64, u16),
    st.builds(MpCapable, nibble, u8, u64, u64, u16, u16),
)
dss = st.builds(
    _dss,
    st.none() | u64,
    st.none() | u64,
    st.booleans(),
    st.booleans(),
    st.tuples(u32, u16, st.none() | u16),
)
add_addrs = st.one_of(
    st.builds(AddAddr, st.just(0), u8, addresses, st.none() | u16),
    st.builds(AddAddr, st.just(1), u8, addresses, st.none() | u16, st.just(True)),
    st.builds(
        AddAddr, st.just(1), u8, addresses, st.none() | u16, st.just(False), st.binary(min_size=8, max_size=8)
    ),
)
blocks = st.lists(st.tuples(u32, u32), min_size=1, max_size=4).map(tuple)
cookies = st.integers(2, 8).flatmap(lambda half: st.binary(min_size=2 * half, max_size=2 * half))
mptcp_options: st.SearchStrategy[Option] = st.one_of(
    capables,
    dss,
    add_addrs,
    st.builds(MpJoinSyn, st.booleans(), u8, u32, u32),
    st.builds(MpJoinSynAck, st.booleans(), u8, st.binary(min_size=8, max_size=8), u32),
    st.builds(MpJoinAck, st.binary(min_size=20, max_size=20)),
    st.builds(RemoveAddr, st.lists(u8, min_size=1, max_size=8).map(tuple)),
    st.builds(MpPrio, st.booleans(), st.none() | u8),
    st.builds(MpFail, u64),
    st.builds(MpFastclose, u64),
    st.builds(MpTcpRst, u8, st.booleans()),
)
options: st.SearchStrategy[Option] = st.one_of(
    mptcp_options,
    st.builds(MaximumSegmentSize, u16),
    st.builds(WindowScale, u8),
    st.just(SackPermitted()),
    st.builds(Sack, blocks),
    st.builds(Timestamps, u32, u32),
    st.builds(FastOpen, st.just(b"") | cookies),
)


@given(options)
def test_every_value_survives_the_round_trip(option: Option) -> None:
    assert parse_options(encode_options((option,))) == (option,)


@given(st.lists(options, max_size=6).map(tuple))
def test_blocks_survive_the_round_trip_or_are_refused_whole(found: tuple[Option, ...]) -> None:
    if encoded_length(found) > 40:
        with pytest.raises(ValueError, match="40 fit"):
            encode_options(found)
    else:
        block = encode_options(found)
        assert len(block) == encoded_length(found)
        assert len(block) % 4 == 0
        assert parse_options(block) == found


@given(st.binary(max_size=64))
def test_no_bytes_raise_or_are_read_twice(block: bytes) -> None:
    """What is parsed accounts for no more bytes than there are, whatever they are."""
    found = parse_options(block)
    assert sum(len(option.encode()) for option in found) <= len(block)


@given(st.integers(0, 15), st.binary(max_size=38))
def test_every_mptcp_subtype_with_any_body(subtype: int, body: bytes) -> None:
    raw = bytes((30, 3 + len(body), subtype << 4)) + body
    (option,) = parse_options(raw)
    # Reserved bits are not kept, everything else is: the same value comes back from the encoded value.
    assert parse_options(option.encode()) == (option,)
    assert len(option.encode()) == len(raw)


@given(options, st.data())
def test_a_cut_option_is_malformed(option: Option, data: st.DataObject) -> None:
    """The header ends inside the option: it is reported, and nothing behind the end is looked at."""
    raw = option.encode()
    cut = data.draw(st.integers(1, len(raw) - 1))
    (found,) = parse_options(raw[:cut])
    assert isinstance(found, Malformed)
    assert found.raw == raw[:cut]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("020405b4", MaximumSegmentSize(1460)),
        ("030307", WindowScale(7)),
        ("0402", SackPermitted()),
        ("050a 00000001 00000005", Sack(((1, 5),))),
        ("0522 00000001 00000005 00000007 00000009 0000000b 0000000d 0000000f 00000011",
         Sack(((1, 5), (7, 9), (11, 13), (15, 17)))),
        ("080a 00000001 00000002", Timestamps(1, 2)),
        ("2202", FastOpen()),
        ("2206aabbccdd", FastOpen(bytes.fromhex("aabbccdd"))),
        ("fd0405b4", UnknownOption(253, bytes.fromhex("05b4"))),
        ("1e04f0aa", UnknownSubtype(0xF, bytes.fromhex("1e04f0aa"))),
    ],
)  # fmt: skip
def test_layouts(text: str, expected: Option) -> None:
    raw = bytes.fromhex(text)
    assert parse_options(raw) == (expected,)
    assert expected.encode() == raw


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("02", "no room"),
        ("0200", "under 2"),
        ("0201", "under 2"),
        ("0204b4", "past the header"),
        ("020305", "length 3"),
        ("0304070a", "length 4"),
        ("040300", "length 3"),
        ("0502", "length 2"),
        ("0508000000010000", "length 8"),
        ("0809 00000001 000000", "length 9"),
        ("2203aa", "length 3"),
        ("2204aabb", "length 4"),  # a cookie has at least 4 bytes (RFC 7413 §4.1.1)
        ("2207aabbccddee", "length 7"),  # and an even number of them
        ("2214" + "aa" * 18, "length 20"),
    ],
)
def test_what_does_not_fit_its_layout(text: str, why: str) -> None:
    (option,) = parse_options(bytes.fromhex(text))
    assert isinstance(option, Malformed)
    assert why in option.why


def test_parsing_goes_on_behind_an_option_of_wrong_length() -> None:
    found = parse_options(bytes.fromhex("020305 01 030307"))
    assert isinstance(found[0], Malformed)
    assert found[1:] == (WindowScale(7),)


def test_end_of_list_ends_the_list() -> None:
    assert parse_options(bytes.fromhex("0101 0402 00 030307")) == (SackPermitted(),)


def test_padding_is_nops_up_to_a_multiple_of_four() -> None:
    assert encode_options((WindowScale(7),)) == bytes.fromhex("03030701")
    assert encode_options(()) == b""
    assert encoded_length((WindowScale(7), SackPermitted())) == 8


def test_syn_cookie_sizes_fill_the_space_as_computed() -> None:
    """A SYN with MSS, SACK, time stamps and window scale has 9 bytes left in v0, 17 in v1."""
    base: tuple[Option, ...] = (
        MaximumSegmentSize(1460), SackPermitted(), Timestamps(1, 0), WindowScale(7),
    )  # fmt: skip
    used = sum(len(option.encode()) for option in base)
    assert 40 - used - len(MpCapable(0, 0x81, 1).encode()) == 9
    assert 40 - used - len(MpCapable(1, 0x81).encode()) == 17
    # The usual Fast Open cookie of 8 bytes fits beside v1's MP_CAPABLE and not beside v0's.
    encode_options((*base, MpCapable(1, 0x01), FastOpen(bytes(8))))
    with pytest.raises(ValueError, match="41 bytes"):
        encode_options((*base, MpCapable(0, 0x01, 1), FastOpen(bytes(8))))
