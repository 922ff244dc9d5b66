"""MPTCP options of public captures, byte for byte in both directions.

The v0 and v1 bytes are those of tcpdump's regression captures (an SSH session of 2013 with RFC 6824, a
transfer of 2020 with RFC 8684), the derived values were recomputed.
"""

from __future__ import annotations

import pytest

from testbed.mptcp.wire import (
    AddAddr,
    Dss,
    Malformed,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MptcpOption,
    MpTcpRst,
    RemoveAddr,
    UnknownSubtype,
    parse_options,
)
from testbed.mptcp.wire.checksum import dss_checksum, residue, same_checksum
from testbed.mptcp.wire.sequence import promote

V0_A, V0_B = 0x9C9EABD1E46A33B2, 0x967D2770B6960552
V1_A, V1_B = 0x1FDB5DF328BC3DEF, 0x29A6C86981AD933C
ADDRESS = bytes((10, 1, 2, 2))
IPV6 = bytes.fromhex("20010db8000000000000000000000007")

VECTORS: dict[str, tuple[str, MptcpOption]] = {
    "v0 SYN": ("1e0c0081 9c9eabd1e46a33b2", MpCapable(0, 0x81, V0_A)),
    "v0 SYN/ACK": ("1e0c0081 967d2770b6960552", MpCapable(0, 0x81, V0_B)),
    "v0 third ACK": ("1e140081 9c9eabd1e46a33b2 967d2770b6960552", MpCapable(0, 0x81, V0_A, V0_B)),
    "v0 join SYN": ("1e0c1000 e47f0142 1b665a18", MpJoinSyn(False, 0, 0xE47F0142, 0x1B665A18)),
    "v0 join SYN/ACK": (
        "1e101001 5ab680c7884af03d 33abe9d5",
        MpJoinSynAck(False, 1, bytes.fromhex("5ab680c7884af03d"), 0x33ABE9D5),
    ),
    "v0 join ACK": (
        "1e181000 cb7b87f5e5f0502f43b535fb70ef6607df2e6c7a",
        MpJoinAck(bytes.fromhex("cb7b87f5e5f0502f43b535fb70ef6607df2e6c7a")),
    ),
    "join SYN, backup": ("1e0c1102 e47f0142 1b665a18", MpJoinSyn(True, 2, 0xE47F0142, 0x1B665A18)),
    "v0 ADD_ADDR": ("1e0834010a010202", AddAddr(0, 1, ADDRESS)),
    "v0 ADD_ADDR, port": ("1e0a34010a0102024e70", AddAddr(0, 1, ADDRESS, 20080)),
    "v0 ADD_ADDR, IPv6": ("1e143602 20010db8000000000000000000000007", AddAddr(0, 2, IPV6)),
    "v0 ADD_ADDR, IPv6, port": ("1e163602 20010db8000000000000000000000007 4e70", AddAddr(0, 2, IPV6, 20080)),
    "v0 REMOVE_ADDR": ("1e044000", RemoveAddr((0,))),
    "REMOVE_ADDR of two": ("1e05400103", RemoveAddr((1, 3))),
    "v0 DSS": (
        "1e142005 d52abeca d1b97490 00000001 0029 082f",
        Dss(0xD52ABECA, False, 0xD1B97490, False, 1, 41, 0x082F),
    ),
    "v0 DATA_FIN": (
        "1e142015 d1b99601 d52ad2cb 00000000 0001 0a51",
        Dss(0xD1B99601, False, 0xD52AD2CB, False, 0, 1, 0x0A51, data_fin=True),
    ),
    "v1 SYN": ("1e040101", MpCapable(1, 0x01)),
    "v1 SYN/ACK": ("1e0c0101 29a6c86981ad933c", MpCapable(1, 0x01, V1_B)),
    "v1 third ACK": ("1e140101 1fdb5df328bc3def 29a6c86981ad933c", MpCapable(1, 0x01, V1_A, V1_B)),
    "v1 first data": (
        "1e160101 1fdb5df328bc3def 29a6c86981ad933c 2000",
        MpCapable(1, 0x01, V1_A, V1_B, 8192),
    ),
    "v1 first data, checksum": (
        "1e180181 1fdb5df328bc3def 29a6c86981ad933c 0005 053e",
        MpCapable(1, 0x81, V1_A, V1_B, 5, 0x053E),
    ),
    "draft SYN": ("1e040201", MpCapable(2, 0x01)),
    "draft first data, checksum": (
        "1e180281 1fdb5df328bc3def 29a6c86981ad933c 0005 66be",
        MpCapable(2, 0x81, V1_A, V1_B, 5, 0x66BE),
    ),
    "v1 DATA_ACK": ("1e0c2003 c8072fb90edab04e", Dss(0xC8072FB90EDAB04E, True)),
    "DATA_ACK of 4 bytes": ("1e082001 0edab04e", Dss(0x0EDAB04E)),
    "v1 mapping": (
        "1e1a200f a28e87fddd1d30f2 c8072fb90edad04e 00002001 081c",
        Dss(0xA28E87FDDD1D30F2, True, 0xC8072FB90EDAD04E, True, 8193, 0x081C),
    ),
    "v1 DATA_FIN": (
        "1e1a201f a28e87fddd1d50f2 c8072fb90edad86a 00000000 0001",
        Dss(0xA28E87FDDD1D50F2, True, 0xC8072FB90EDAD86A, True, 0, 1, data_fin=True),
    ),
    "mapping alone, 4-byte DSN": (
        "1e0e2004 0edab04e 00000001 0005",
        Dss(None, False, 0x0EDAB04E, False, 1, 5),
    ),
    "mapping, 4-byte DATA_ACK, 8-byte DSN": (
        "1e16200d 0edab04e a28e87fddd1d30f2 00000001 0005",
        Dss(0x0EDAB04E, False, 0xA28E87FDDD1D30F2, True, 1, 5),
    ),
    "mapping, 8-byte DATA_ACK, 4-byte DSN": (
        "1e162007 a28e87fddd1d30f2 0edab04e 00000001 0005",
        Dss(0xA28E87FDDD1D30F2, True, 0x0EDAB04E, False, 1, 5),
    ),
    "largest DSS": (
        "1e1c200f a28e87fddd1d30f2 c8072fb90edad04e 00002001 081c beef",
        Dss(0xA28E87FDDD1D30F2, True, 0xC8072FB90EDAD04E, True, 8193, 0x081C, 0xBEEF),
    ),
    "v1 ADD_ADDR": (
        "1e103001 c0a888e1 669928744366716c",
        AddAddr(1, 1, bytes((192, 168, 136, 225)), hmac=bytes.fromhex("669928744366716c")),
    ),
    "v1 ADD_ADDR, port": (
        "1e123001 c0000207 1f90 8360aee20df75445",
        AddAddr(1, 1, bytes((192, 0, 2, 7)), 8080, hmac=bytes.fromhex("8360aee20df75445")),
    ),
    "v1 ADD_ADDR, IPv6": (
        "1e1c3002 20010db8000000000000000000000007 777d1900e3bc5194",
        AddAddr(1, 2, IPV6, hmac=bytes.fromhex("777d1900e3bc5194")),
    ),
    "v1 ADD_ADDR, IPv6, port": (
        "1e1e3002 20010db8000000000000000000000007 1f90 777d1900e3bc5194",
        AddAddr(1, 2, IPV6, 8080, hmac=bytes.fromhex("777d1900e3bc5194")),
    ),
    "v1 ADD_ADDR echo": ("1e0831010a000201", AddAddr(1, 1, bytes((10, 0, 2, 1)), echo=True)),
    "v1 ADD_ADDR echo, port": ("1e0a31010a0002011f90", AddAddr(1, 1, bytes((10, 0, 2, 1)), 8080, echo=True)),
    "v1 ADD_ADDR echo, IPv6": (
        "1e143102 20010db8000000000000000000000007",
        AddAddr(1, 2, IPV6, echo=True),
    ),
    "v1 ADD_ADDR echo, IPv6, port": (
        "1e163102 20010db8000000000000000000000007 1f90",
        AddAddr(1, 2, IPV6, 8080, echo=True),
    ),
    "MP_PRIO": ("1e0351", MpPrio(True)),
    "MP_PRIO, v0 with address": ("1e045005", MpPrio(False, 5)),
    "MP_FAIL": ("1e0c6000 e47ef57dd1b97490", MpFail(0xE47EF57DD1B97490)),
    "MP_FASTCLOSE": ("1e0c7000 967d2770b6960552", MpFastclose(V0_B)),
    "MP_TCPRST": ("1e048000", MpTcpRst(0)),
    "MP_TCPRST, transient": ("1e048101", MpTcpRst(1, transient=True)),
    "MP_EXPERIMENTAL": ("1e06f0aabbcc", UnknownSubtype(0xF, bytes.fromhex("1e06f0aabbcc"))),
}


@pytest.mark.parametrize("name", VECTORS)
def test_option_both_ways(name: str) -> None:
    text, value = VECTORS[name]
    raw = bytes.fromhex(text)
    assert parse_options(raw) == (value,)
    assert value.encode() == raw


def test_segment_four_of_the_ssh_session_has_forty_bytes_of_options() -> None:
    """Time stamps, ADD_ADDR and a DSS with checksum fill the option space exactly."""
    raw = bytes.fromhex("0101080a0001a7d70000b6bc 1e0834010a010202 1e142005d52abecad1b97490000000010029082f")
    assert len(raw) == 40
    assert [type(option).__name__ for option in parse_options(raw)] == ["Timestamps", "AddAddr", "Dss"]


@pytest.mark.parametrize(
    "text",
    [
        "1e0320",  # a DSS without its flags byte: tcpdump once read past its end (mptcp-dss-oobr.pcap)
        "1e02",
        "1e03",
        "1e0301",
        "1e050181aa",
        "1e0b0181 9c9eabd1e46a33",
        "1e150181 9c9eabd1e46a33b2 967d2770b6960552 20",
        "1e170181 9c9eabd1e46a33b2 967d2770b6960552 2000 ff",
        "1e0d1000 e47f0142 1b665a18 00",
        "1e082003 c8072fb9",  # says 8-byte DATA_ACK, holds 4
        "1e0a2001 0edab04e beef",  # a checksum without a mapping
        "1e082004 c8072fb9",
        "1e0832010a010202",  # neither IPVer, nor an echo, nor an HMAC
        "1e1031010a000201669928744366716c",  # an echo with an HMAC
        "1e0340",
        "1e055100aa",
        "1e0b6000 e47ef57dd1b974",
        "1e0d7000 967d2770b696055200",
        "1e0380",
        "1e05800000",
    ],
)
def test_malformed_options_are_named_and_kept(text: str) -> None:
    raw = bytes.fromhex(text)
    (option,) = parse_options(raw)
    assert isinstance(option, Malformed)
    assert option.kind == 30
    assert option.encode() == raw
    assert option.why


CLIENT_HELLO = bytes.fromhex(
    "5353482d322e302d4f70656e5353485f352e3570312044656269616e2d362b73717565657a65320d0a"
)
SERVER_HELLO = bytes.fromhex(
    "5353482d322e302d4f70656e5353485f352e3570312044656269616e2d362b73717565657a65310d0a"
)
SIX_WORDS = bytes.fromhex("000000140622000004000000040000002000000000000000")


@pytest.mark.parametrize(
    ("dsn", "ssn", "length", "payload", "expected"),
    [
        (0xE47EF57DD1B97490, 1, 41, SERVER_HELLO, 0x082F),
        (0x9851B565D52ABECA, 1, 41, CLIENT_HELLO, 0x45C9),
        (0x9851B565D52AD2CB, 0, 1, b"", 0x0A51),  # DATA_FIN alone: pseudo-header only
        (0xE47EF57DD1B99601, 0, 1, b"", 0xBE46),
        (0xECE14C795A35C1D7 + 1, 1, 5, b"hello", 0x66BE),  # MP_CAPABLE with data, SHA-1
        (0xC8072FB90EDAB04D + 1, 1, 5, b"hello", 0x053E),  # the same with SHA-256
        (0xECE14C795A35C1D7 + 6, 0, 1, b"", 0xAA90),
        (0xC8072FB90EDAB04D + 6, 0, 1, b"", 0x4910),
    ],
)
def test_dss_checksums(dsn: int, ssn: int, length: int, payload: bytes, expected: int) -> None:
    assert dss_checksum(dsn, ssn, length, residue(payload)) == expected


def test_dss_checksum_of_24_bytes() -> None:
    assert dss_checksum(0x9851B565D52AC243, 1, 24, residue(SIX_WORDS)) == 0xEC8A


def test_dss_checksum_takes_the_64_bit_dsn_of_a_4_byte_one() -> None:
    idsn = 0xE47EF57DD1B9748F
    assert promote(0xD1B97490, idsn) == idsn + 1
    right = dss_checksum(promote(0xD1B97490, idsn), 1, 41, residue(SERVER_HELLO))
    wrong = dss_checksum(0xD1B97490, 1, 41, residue(SERVER_HELLO))
    assert right == 0x082F
    assert not same_checksum(right, wrong)
