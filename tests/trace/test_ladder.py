"""The ladder in text: what it shows, where, and that it stays within its width."""

from __future__ import annotations

import pytest

from testbed.mptcp.wire import (
    ACK,
    RST,
    SYN,
    AddAddr,
    Dss,
    FastOpen,
    Malformed,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpPrio,
    MpTcpRst,
    Option,
    RemoveAddr,
    Sack,
    UnknownSubtype,
)
from testbed.trace import connections, from_segments, ladder
from tests.trace.conversation import KEY_A, Talk, join, talk
from tests.trace.test_connections import dropped_third_ack

LOST_THIRD_ACK = """\
connection 1: v0, 1 subflow
  client key 1fdb5df328bc3def  token 7550f54b  IDSN ece14c795a35c1d7
  server key 29a6c86981ad933c  token d97615c1  IDSN 7db000f7b7396dd5
   time ms client 10.0.1.1:40000                                               server 10.0.3.1:20080
     0.000 │── S 0  MP_CAPABLE v0 key 1fdb5df3…  TS MSS 1460 SACK-ok WS 7 ────────────────────────▶│
     5.000 │◀───────────────── S. 0 ack 1  MP_CAPABLE v0 key 29a6c869…  TS MSS 1460 SACK-ok WS 7 ──│
    10.000 │── . 1 ack 1  MP_CAPABLE v0 keys 1fdb5df3… 29a6c869… ──✗ dropped: third_ack            │
    15.000 │── P. 1:301 ack 1 len 300  DSS DATA_ACK8 1 DSN8 1 SSN 1 len 300 ──────────────────────▶│
    20.000 │◀─────────────────────────────────────────────────────────────────────── . 1 ack 301 ──│
           │                                                 server: fallback, cookie_without_key ◆│
           │◆ client: fallback, no_data_ack                                                        │
    25.000 │◀────────────────────────────────────────────────────────── P. 1:501 ack 301 len 500 ──│
    30.000 │── F. 301 ack 501 ────────────────────────────────────────────────────────────────────▶│
    35.000 │◀──────────────────────────────────────────────────────────────────── F. 501 ack 302 ──│
    40.000 │── . 302 ack 502 ─────────────────────────────────────────────────────────────────────▶│
verdict  fallback
"""


def test_the_fallback_after_a_lost_third_ack_and_its_reason() -> None:
    text = ladder(dropped_third_ack("v0").segments)
    assert text.startswith(LOST_THIRD_ACK)
    rest = text[len(LOST_THIRD_ACK) :].splitlines()
    assert rest[0].startswith("reason   cookie_without_key: ")
    assert rest[-3:] == [
        "client   fallback, no_data_ack",
        "server   fallback, cookie_without_key",
        "bytes    300 from the client, 500 from the server; closed by fin",
    ]


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
def test_no_line_is_wider_than_asked(profile: str, width: int) -> None:
    for made in (talk(profile, checksum=True, ipv6=True), join(profile, checksum=True)):
        lines = ladder(made.segments, width=width).splitlines()
        assert max(len(line) for line in lines) <= width
        assert sum(line.endswith("▶│") for line in lines) == sum(
            segment.dport == 20080 for _, segment, _ in made.segments
        )


def test_every_kind_of_source_gives_the_same() -> None:
    segments = join("v1").segments
    packets = from_segments(segments)
    found = connections(packets)
    assert ladder(segments) == ladder(packets) == ladder(found) == ladder(found[0])


def test_subflows_are_numbered() -> None:
    text = ladder(join("v1").segments)
    assert "subflow 2: 10.0.2.1:40001 - 10.0.3.1:20080, join, backup" in text
    assert "── [2] S 0  MP_JOIN id 3 token a35d6d82 nonce 1b665a18 backup" in text
    assert "ADD_ADDR id 2 10.0.4.1 echo" in text
    assert "DSS DATA_ACK8 1 DSN8 301 SSN 1 len 700" in text


def test_the_middle_of_a_long_connection_may_be_left_out() -> None:
    segments = talk("v1").segments
    text = ladder(segments, most=4)
    assert f"… {len(segments) - 4} packets left out …" in text
    assert text.count("│") < ladder(segments).count("│")


def test_numbers_without_a_known_zero_stand_in_hex() -> None:
    """Without the handshake no key is known, hence no IDSN."""
    text = ladder(talk("v1").segments[5:])
    assert "DATA_ACK8 a28e87fd…" in text


WORDS: list[tuple[int, Option, str]] = [
    (ACK, Dss(None, False, 1, True, 1, 0), "infinite mapping"),
    (ACK, Dss(5), "DATA_ACK4 "),
    (ACK, MpFail(7), "MP_FAIL DSN8 "),
    (RST, MpFastclose(KEY_A), "MP_FASTCLOSE key 1fdb5df3…"),
    (RST, MpTcpRst(6, True), "MP_TCPRST middlebox interference transient"),
    (RST, MpTcpRst(99), "MP_TCPRST reason 99"),
    (ACK, MpPrio(True, 4), "MP_PRIO id 4 backup"),
    (ACK, RemoveAddr((1, 2)), "REMOVE_ADDR id 1,2"),
    (ACK, AddAddr(0, 1, bytes((10, 1, 2, 2)), 99), "ADD_ADDR id 1 10.1.2.2:99"),
    (ACK, AddAddr(0, 1, bytes(15) + b"\1", 99), "ADD_ADDR id 1 [::1]:99"),
    (ACK, MpJoinAck(bytes(20)), "MP_JOIN HMAC 00000000…"),
    (ACK, MpCapable(1, 0x60), "MP_CAPABLE v1 +B +C no-HMAC"),
    (ACK, Sack(((0xFFFF_FF0A, 0xFFFF_FF14),)), "SACK "),
    (SYN, FastOpen(), "TFO request"),
    (SYN, FastOpen(bytes(4)), "TFO cookie 00000000"),
    (ACK, UnknownSubtype(0xF, bytes.fromhex("1e04f0aa")), "MPTCP subtype 0xf (4 bytes)"),
    (ACK, Malformed(30, bytes.fromhex("1e0320"), "too short"), "malformed MPTCP option 1e0320: too short"),
    (ACK, Malformed(8, b"\x08\x02", "too short"), "malformed option 8: too short"),
]


@pytest.mark.parametrize(("flags", "option", "words"), WORDS, ids=[words for _, _, words in WORDS])
def test_every_option_has_words(flags: int, option: Option, words: str) -> None:
    made = Talk("v1")
    made.handshake()
    made.say(0, 1, 1, flags, option)
    assert words in ladder(made.segments)


def test_no_packets_no_ladder() -> None:
    assert ladder([]) == ""
