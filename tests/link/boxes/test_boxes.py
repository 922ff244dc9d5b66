"""Each middlebox by itself: exact segments in, exact segments out."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from testbed.errors import UserError
from testbed.link.boxes import BOXES, Box, Way, parse_box, parse_boxes
from testbed.mptcp.wire import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    Dss,
    FastOpen,
    MaximumSegmentSize,
    MpCapable,
    Option,
    Sack,
    Segment,
    Timestamps,
    decode,
    encode,
)
from testbed.mptcp.wire.sequence import seq_add

CLIENT, SERVER = bytes((10, 0, 1, 1)), bytes((10, 1, 1, 1))
SECOND = 1_000_000_000
MILLISECOND = 1_000_000
MSS, TIMES = MaximumSegmentSize(1460), Timestamps(7, 9)
CAPABLE, KEYS = MpCapable(1, 1), MpCapable(1, 1, 5, 6)
DSS = Dss(data_ack=3, data_ack_8=True, dsn=4, dsn_8=True, ssn=1, length=4)


def box(text: str, way: Way = "forward") -> Box:
    return parse_box(text).make(way, random.Random(1))


def up(
    seq: int, payload: bytes = b"", flags: int = ACK, options: tuple[Option, ...] = (), **more: Any
) -> Segment:
    ends = {"src": CLIENT, "dst": SERVER, "sport": 40_000, "dport": 80}
    return Segment(**{**ends, "ack": 500, **more}, seq=seq, flags=flags, options=options, payload=payload)


def down(
    ack: int, payload: bytes = b"", flags: int = ACK, options: tuple[Option, ...] = (), **more: Any
) -> Segment:
    ends = {"src": SERVER, "dst": CLIENT, "sport": 80, "dport": 40_000}
    return Segment(**{**ends, "seq": 500, **more}, ack=ack, flags=flags, options=options, payload=payload)


def through(one: Box, segment: Segment, now: int = 0, way: Way = "forward") -> list[Segment]:
    return [out for where, out in one.pass_on(now, way, segment) if where == way]


def options(one: Box, segment: Segment) -> tuple[Option, ...]:
    (out,) = through(one, segment)
    return out.options


# -- words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing is unknown; there are strip, replace"),
        ("stirp dss", "stirp is unknown"),
        ("strip dsss", "'dsss' is unknown; there are mptcp, mp_capable"),
        ("strip dss since=3", "since=3 is no word of strip; it has option=, on=, from="),
        ("strip dss from=0", "from: '0' is no number of segments; expected 1 to"),
        ("strip dss option=dss", "option is said twice"),
        ("isn now", "now is no word of isn; it has none"),
        ("nat rebind=5", "rebind: '5' is no time"),
        ("nat address=here", "'here' is no address"),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(UserError, match="middlebox") as error:
        parse_box(text)
    assert says in str(error.value)


def test_several_boxes_in_one_word() -> None:
    assert [one.word for one in parse_boxes("strip dss + nat")] == ["strip", "nat"]
    assert [one.text for one in parse_boxes(["isn", "split 100"])] == ["isn", "split 100"]
    with pytest.raises(UserError, match="expected as in"):
        parse_boxes(7)


@pytest.mark.parametrize("word", BOXES)
def test_every_box_passes_a_bare_ack_of_the_other_direction(word: str) -> None:
    one = box(word)
    through(one, up(99, flags=SYN, options=(MSS,)))
    ((way, out),) = one.pass_on(0, "backward", down(100, dport=40_000)) or [("backward", None)]
    assert way == "backward"
    assert out is None or out.payload == b""


# -- options --------------------------------------------------------------------------------------------


def test_strip_takes_the_option_it_names_in_its_own_direction() -> None:
    one = box("strip mp_capable")
    assert options(one, up(0, flags=SYN, options=(MSS, CAPABLE))) == (MSS,)
    assert options(one, up(1, b"data", options=(TIMES, DSS))) == (TIMES, DSS)
    back = down(1, flags=SYN | ACK, options=(MSS, CAPABLE))
    assert one.pass_on(0, "backward", back) == [("backward", back)]


def test_strip_on_syn_and_on_later_segments() -> None:
    syn, data = up(0, flags=SYN, options=(CAPABLE,)), up(1, b"data", options=(KEYS,))
    assert [options(box("strip mptcp on=syn"), one) for one in (syn, data)] == [(), (KEYS,)]
    assert [options(box("strip mptcp on=later"), one) for one in (syn, data)] == [(CAPABLE,), ()]


def test_strip_from_the_nth_segment_of_each_flow() -> None:
    one = box("strip dss from=3")
    for port in (40_000, 40_001):
        seen = [options(one, up(n, b"x", options=(DSS,), sport=port)) for n in range(4)]
        assert seen == [(DSS,), (DSS,), (), ()]


def test_unknown_options_are_those_that_an_old_box_does_not_know() -> None:
    given = (MSS, TIMES, FastOpen(b"12345678"), DSS)
    assert options(box("strip unknown"), up(0, options=given)) == (MSS, TIMES)


@pytest.mark.parametrize(("word", "left"), [("nop", (TIMES, KEYS)), ("eol", (TIMES,))])
def test_what_replaces_an_option_is_seen_by_nobody(word: str, left: tuple[Option, ...]) -> None:
    """An end of the list hides what stands behind it as well."""
    segment = up(1, b"data", options=(TIMES, FastOpen(b"123456"), KEYS))
    (out,) = through(box(f"replace fast_open with={word}"), segment)
    decoded = decode(encode(out))
    assert isinstance(decoded, Segment)
    assert decoded.options == left


def test_a_replaced_option_leaves_the_header_its_length() -> None:
    segment = up(1, b"data", options=(TIMES, DSS))
    for word in ("nop", "eol"):
        (out,) = through(box(f"replace dss with={word}"), segment)
        assert out.length == segment.length


# -- addresses and numbers ------------------------------------------------------------------------------


def test_nat_translates_both_ways() -> None:
    one = box("nat address=10.0.1.99 port=5000")
    (out,) = through(one, up(0, flags=SYN))
    assert (out.src, out.sport) == (bytes((10, 0, 1, 99)), 5000)
    answer = down(1, flags=SYN | ACK, dst=out.src, dport=out.sport)
    (back,) = through(one, answer, way="backward")
    assert (back.dst, back.dport) == (CLIENT, 40_000)
    assert through(one, up(0, flags=SYN, sport=40_001))[0].sport == 5001


def test_nat_lets_nothing_in_that_nobody_asked_for() -> None:
    assert through(box("nat"), down(1, flags=SYN), way="backward") == []


def test_nat_rebinds_once_and_forgets_the_old_port() -> None:
    one = box("nat port=5000 rebind=2s")
    ports = [through(one, up(n), now=n * SECOND)[0].sport for n in range(5)]
    assert ports == [5000, 5000, 5001, 5001, 5001]
    assert through(one, down(1, dport=5000), way="backward") == []
    assert through(one, down(1, dport=5001), way="backward")[0].dport == 40_000


def test_isn_moves_numbers_and_sack_blocks_and_back() -> None:
    one = box("isn")
    (syn,) = through(one, up(100, flags=SYN))
    moved = syn.seq
    assert moved != 100
    (synack,) = through(one, down(seq_add(moved, 1), flags=SYN | ACK, seq=900), way="backward")
    assert synack.ack == 101
    assert synack.seq != 900
    (ack,) = through(one, up(101, ack=seq_add(synack.seq, 1)))
    assert (ack.seq, ack.ack) == (seq_add(moved, 1), 901)
    blocks = Sack(((seq_add(moved, 11), seq_add(moved, 21)),))
    (sack,) = through(one, down(seq_add(moved, 1), options=(blocks,)), way="backward")
    assert sack.options == (Sack(((111, 121),)),)
    assert through(one, up(100, flags=SYN))[0].seq == moved, "sent again: the same"


# -- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "dss"), [("all", [True] * 3), ("first", [True, False, False]), ("last", [False, False, True])]
)
def test_split(keep: str, dss: list[bool]) -> None:
    segment = up(10, b"abcdefgh", flags=ACK | PSH | FIN, options=(TIMES, DSS))
    out = through(box(f"split 3 options={keep}"), segment)
    assert [(one.seq, one.payload) for one in out] == [(10, b"abc"), (13, b"def"), (16, b"gh")]
    assert [one.flags for one in out] == [ACK, ACK, ACK | PSH | FIN]
    assert [DSS in one.options for one in out] == dss
    assert all(TIMES in one.options for one in out)


SECOND_DSS = replace(DSS, dsn=8, ssn=5)


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("first", (KEYS,)),
        ("last", (SECOND_DSS,)),
        ("capable", (KEYS,)),
        ("dss", (SECOND_DSS,)),
        ("all", (KEYS,)),  # 10 + 20 bytes: the DSS does not fit
    ],
)
def test_coalesce(keep: str, left: tuple[Option, ...]) -> None:
    one = box(f"coalesce {keep}")
    assert through(one, up(10, b"abcd", options=(TIMES, KEYS))) == []
    later = Timestamps(8, 9)
    (out,) = through(one, up(14, b"efgh", flags=ACK | PSH, options=(later, SECOND_DSS)))
    assert (out.seq, out.payload, out.flags) == (10, b"abcdefgh", ACK | PSH)
    assert out.options == (later, *left)
    assert one.deadline() is None


def test_coalesce_waits_no_longer_than_it_says() -> None:
    one = box("coalesce wait=2ms")
    first = up(10, b"abcd")
    through(one, first, now=5 * MILLISECOND)
    assert one.deadline() == 7 * MILLISECOND
    assert one.timeout(7 * MILLISECOND) == [("forward", first)]
    assert one.deadline() is None


def test_coalesce_keeps_the_order_where_it_cannot_join() -> None:
    one = box("coalesce size=6")
    first, gap, bare = up(10, b"abcd"), up(20, b"efgh"), up(24)
    through(one, first)
    assert through(one, gap) == [first, gap]
    assert through(one, bare) == [bare]


# -- payload --------------------------------------------------------------------------------------------


def stream(one: Box, *segments: Segment) -> bytes:
    """What a receiver puts together, checked for holes."""
    data = b""
    for segment in segments:
        for out in through(one, segment):
            assert out.seq == seq_add(101, len(data)), "a hole, or an overlap"
            data += out.payload
    return data


@pytest.mark.parametrize("cuts", [(10,), (4, 6), (5, 5), (1,) * 10, (6, 4)])
@pytest.mark.parametrize(("cut", "put"), [(2, 2), (2, 5), (3, 1), (0, 4), (4, 0)])
def test_rewrite_leaves_a_whole_stream_however_it_is_cut(cuts: tuple[int, ...], cut: int, put: int) -> None:
    one = box(f"rewrite at=5 cut={cut} put={put}")
    through(one, up(100, flags=SYN))
    whole, segments, at = b"0123456789", [], 0
    for size in cuts:
        segments.append(up(seq_add(101, at), whole[at : at + size]))
        at += size
    expected = whole[:5] + b"#" * put + whole[5 + cut :]
    assert stream(one, *segments) == expected
    (ack,) = through(one, down(seq_add(101, len(expected))), way="backward")
    assert ack.ack == 111, "the sender hears of its own stream"


def test_rewrite_again_does_the_same() -> None:
    one = box("rewrite at=2 cut=2 put=6")
    through(one, up(100, flags=SYN))
    data = up(101, b"0123456789")
    assert through(one, data) == through(one, data)


# -- boxes that interfere -------------------------------------------------------------------------------


def test_proactive_ack_answers_data_in_order_and_keeps_a_copy() -> None:
    one = box("proactive_ack rto=100ms")
    through(one, up(100, flags=SYN))
    through(one, down(101, flags=SYN | ACK, seq=900, options=(TIMES,)), way="backward")
    data = up(101, b"abcd", options=(Timestamps(20, 7), DSS))
    (way, passed), (back, answer) = one.pass_on(0, "forward", data)
    assert (way, passed) == ("forward", data)
    assert (back, answer.seq, answer.ack, answer.payload) == ("backward", 901, 105, b"")
    assert answer.options == (Timestamps(7, 20),), "it has no DATA_ACK to give"
    assert one.pass_on(0, "forward", up(109, b"efgh"))[1:] == [], "nothing behind a hole"
    assert one.deadline() == 100 * MILLISECOND
    assert one.timeout(100 * MILLISECOND) == [("forward", data)]
    through(one, down(105, seq=901), way="backward")
    assert one.deadline() is None


def test_in_order_drops_what_lies_behind_a_hole() -> None:
    one = box("in_order")
    through(one, up(100, flags=SYN))
    assert through(one, up(105, b"efgh")) == []
    for segment in (up(101, b"abcd"), up(105, b"efgh"), up(101, b"abcd"), up(109)):
        assert through(one, segment) == [segment]


def test_idle_resets_both_ends_of_a_flow_that_was_silent() -> None:
    one = box("idle after=10s")
    through(one, up(100, flags=SYN))
    assert through(one, up(101, b"x"), now=10 * SECOND)
    (way, onward), (back, answer) = one.pass_on(21 * SECOND, "forward", up(102, b"y", ack=700))
    assert (way, onward.flags & RST, onward.seq) == ("forward", RST, 102)
    assert (back, answer.flags & RST, answer.seq, answer.dst) == ("backward", RST, 700, CLIENT)
