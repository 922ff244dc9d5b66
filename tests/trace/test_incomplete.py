"""Captures that lack something: nothing is said that the packets do not show.

Each example is a whole conversation with a part left out. The properties leave out any part, of several
kinds of conversation: what is then said must not contradict the whole, and counts no more than was there.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.mptcp.reasons import RESET_REASONS, Reason, Verdict
from testbed.mptcp.wire import (
    ACK,
    PSH,
    RST,
    SYN,
    AddAddr,
    MpJoinSyn,
    MpJoinSynAck,
    MpTcpRst,
    Segment,
    encode,
)  # fmt: skip
from testbed.trace import Connection, connections, from_segments, ladder, read_capture, to_json
from tests.trace.conversation import CLIENT, KEY_A, LISTENING, PORT, SERVER, Talk, Timed, join, talk
from tests.trace.test_connections import dropped_third_ack

NOTHING_WRONG = (Verdict.MPTCP, Verdict.UNKNOWN)


def only(segments: list[Timed]) -> Connection:
    (found,) = connections(from_segments(segments))
    return found


def up(timed: Timed) -> bool:
    return timed[1].dport == LISTENING


def sound(found: Connection) -> None:
    """What must hold of any capture."""
    for side, count in enumerate(found.bytes):
        assert count <= sum(subflow.bytes[side] for subflow in found.subflows)
    ends = [end.verdict for end in found.ends if end is not None]
    if found.closed_by in ("data_fin", "fin"):
        assert found.verdict not in (Verdict.HANG, Verdict.RESET)
        assert Verdict.HANG not in ends
    if found.verdict is Verdict.MPTCP and ends:
        assert Verdict.MPTCP in ends
    if found.verdict is not Verdict.UNKNOWN and ends:
        assert found.verdict in ends
    json.dumps(to_json(found))
    assert ladder(found)


# -- the examples ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
@pytest.mark.parametrize("direction", [True, False], ids=["client only", "server only"])
def test_one_direction(profile: str, direction: bool) -> None:
    found = only([timed for timed in talk(profile).segments if up(timed) is direction])
    assert found.verdict in NOTHING_WRONG
    assert found.bytes == ((300, 0) if direction else (0, 500))
    if direction:
        assert found.unseen == (0, 500)
    assert found.closed_by == "open"
    sound(found)


def test_a_client_alone_shows_by_its_data_acks_that_the_server_speaks_mptcp() -> None:
    found = only([timed for timed in talk("v1").segments if up(timed)])
    assert found.verdict is Verdict.MPTCP


@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
@pytest.mark.parametrize("missing", [0, 1, 2], ids=["SYN", "SYN/ACK", "third ACK"])
def test_a_packet_of_the_handshake_is_not_captured(profile: str, missing: int) -> None:
    made = talk(profile)
    found = only([*made.segments[:missing], *made.segments[missing + 1 :]])
    assert (found.verdict, found.reason) == (Verdict.MPTCP, Reason.NONE)
    assert (found.bytes, found.closed_by) == ((300, 500), "data_fin")


@pytest.mark.parametrize("profile", ["v0", "v1"])
def test_an_ack_without_the_keys_that_comes_first_is_no_fallback_of_an_end_that_speaks_mptcp(
    profile: str,
) -> None:
    """The third ACK is missing, another packet stands in its place; no packet gives the client's key."""
    made = Talk(profile)
    made.handshake(third=False)
    made.say(0, 1, 1, ACK, AddAddr(1, 1, CLIENT, None, True))
    made.request(b"r" * 300, plain=True)
    made.say(1, 1, 301, ACK, made.dack(1))
    found = only(made.segments)
    assert (found.verdict, found.reason) == (Verdict.MPTCP, Reason.NONE)


def test_one_syn_at_the_end_is_no_hang() -> None:
    found = only(talk("v1").segments[:1])
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, Reason.NOT_CAPTURED)
    assert [end is not None and end.verdict for end in found.ends] == [Verdict.UNKNOWN] * 2


def test_syns_that_are_repeated_until_long_after_are_a_hang() -> None:
    """The capture goes on past the time at which the next one was due."""
    time, syn, _ = talk("v1").segments[0]
    second = 10**9
    syns: list[Timed] = [(time + at * second, syn, None) for at in (0, 1, 3)]
    other = replace(syn, sport=1)
    assert only(syns).verdict is Verdict.UNKNOWN
    found = connections(from_segments([*syns, (time + 20 * second, other, None)]))
    assert [each.verdict for each in found] == [Verdict.HANG, Verdict.UNKNOWN]


def plain(seq: int, ack: int, flags: int, count: int, *, up: bool) -> Segment:
    ends = (CLIENT, SERVER, PORT, LISTENING) if up else (SERVER, CLIENT, LISTENING, PORT)
    return Segment(*ends, seq, ack, flags, payload=bytes(count))


@pytest.mark.parametrize("before", [0, 100, 1 << 30, 0xFFFF_FF9C])
def test_a_capture_from_the_middle_counts_the_bytes_that_it_holds(before: int) -> None:
    """An acknowledgement of what was sent before the capture begins lies below every number in it."""
    first = 5_000
    segments = [
        plain(900, (first - before) & 0xFFFF_FFFF, ACK, 0, up=False),
        plain(first, 900, ACK | PSH, 5, up=True),
        plain(900, first + 5, ACK, 0, up=False),
    ]
    found = only([(time, segment, None) for time, segment in enumerate(segments)])
    assert found.bytes == (5, 0)
    assert (found.profile, found.verdict) == ("ambiguous", Verdict.UNKNOWN)


def test_joins_with_one_token_are_one_connection() -> None:
    syns = [
        Segment(
            bytes((10, 0, number, 1)),
            SERVER,
            4000,
            LISTENING,
            1,
            0,
            SYN,
            0,
            (MpJoinSyn(False, number, 99, 7),),
        )
        for number in (1, 2, 3)
    ]
    found = only([(number, syn, None) for number, syn in enumerate(syns)])
    assert (len(found.subflows), found.verdict) == (3, Verdict.UNKNOWN)
    assert [subflow.established for subflow in found.subflows] == [None] * 3
    assert "no answer captured" in ladder(found)
    assert "refused" not in ladder(found)
    other = replace(syns[0], options=(MpJoinSyn(False, 1, 98, 7),), sport=4001)
    assert len(connections(from_segments([(0, syns[0], None), (1, other, None)]))) == 2


def test_joined_subflows_alone_show_mptcp_and_no_end_of_the_connection() -> None:
    made = join("v1")
    alone = [timed for timed in made.segments if PORT + 1 in (timed[1].sport, timed[1].dport)]
    last = alone[-1][1]
    reset = Segment(last.dst, last.src, last.dport, last.sport, last.ack, 0, RST)
    found = only([*alone, (alone[-1][0] + 1, reset, None)])
    assert (found.verdict, found.closed_by, found.bytes) == (Verdict.MPTCP, "open", (700, 0))
    assert found.subflows[0].ended == "rst"
    assert [end is not None and end.verdict for end in found.ends] == [Verdict.MPTCP] * 2


def test_a_join_that_precedes_the_handshake_in_the_files_belongs_to_it() -> None:
    made = join("v1")
    joining = [timed for timed in made.segments if PORT + 1 in (timed[1].sport, timed[1].dport)]
    early = [(time - 10**9, segment, cause) for time, segment, cause in joining]
    rest = [timed for timed in made.segments if timed not in joining]
    found = only(sorted([*early, *rest], key=lambda timed: timed[0]))
    assert [subflow.kind for subflow in found.subflows] == ["initial", "join"]


def test_a_subflow_that_the_listener_opens_keeps_the_directions() -> None:
    """Its SYN names the token of the client's key; what the server sends on it is the server's data."""
    made = Talk("v1")
    made.handshake()
    made.request(b"r" * 300)
    made.say(1, 1, 301, ACK, made.dack(1))
    ends = (SERVER, CLIENT, 3000, 4000)
    back = (CLIENT, SERVER, 4000, 3000)
    made.segments += [
        (made.time + 1, Segment(*ends, 50, 0, SYN, 0, (MpJoinSyn(False, 1, made.token(KEY_A), 7),)), None),
        (made.time + 2, Segment(*back, 70, 51, SYN | ACK, 0, (MpJoinSynAck(False, 0, bytes(8), 7),)), None),
        (
            made.time + 3,
            Segment(*ends, 51, 71, ACK | PSH, 0, (made.mapping(1, 1, b"x" * 40),), b"x" * 40),
            None,
        ),
        (made.time + 4, Segment(*back, 71, 91, ACK, 0, (made.dack(0),)), None),
    ]
    found = only(made.segments)
    assert len(found.subflows) == 2
    assert found.bytes == (300, 40)


@pytest.mark.parametrize("first_dies", [True, False])
def test_a_subflow_is_reset_and_the_other_closes(first_dies: bool) -> None:
    made = join("v1")
    port = PORT if first_dies else PORT + 1
    closing = made.segments[-5:]
    dying = next(timed[1] for timed in made.segments if timed[1].sport == port and timed[1].flags & ACK)
    reset = replace(dying, seq=dying.seq + 301, flags=RST | ACK, options=(MpTcpRst(5),), payload=b"")
    moved = [
        (time, replace(segment, sport=PORT + 1, src=made.segments[7][1].src), None)
        if up((time, segment, None))
        else (time, segment, None)
        for time, segment, _ in closing
    ]
    assert moved
    if not first_dies:
        found = only([*made.segments[:-5], (closing[0][0] - 1, reset, None), *closing])
        assert (found.verdict, found.closed_by) == (Verdict.MPTCP, "data_fin")
        assert found.subflows[1].reset_reason is Reason.RST_UNACCEPTABLE_PERFORMANCE
        return
    kept = made.segments[:-5]
    found = only([*kept, (closing[0][0] - 1, reset, None)])
    assert (found.verdict, found.closed_by) == (Verdict.MPTCP, "open")
    assert found.subflows[0].ended == "rst"


@pytest.mark.parametrize("code", range(9))
@pytest.mark.parametrize("alone", [True, False])
def test_what_mp_tcprst_says_is_the_reason(code: int, alone: bool) -> None:
    made = talk("v1")
    made.segments[5:] = []
    time, last, _ = made.segments[-1]
    reset = replace(last, flags=RST | ACK, options=(MpTcpRst(code),), payload=b"")
    found = only([(time + 1, reset, None)] if alone else [*made.segments, (time + 1, reset, None)])
    assert found.verdict is Verdict.RESET
    assert found.subflows[0].reset_code == code
    if code < len(RESET_REASONS):
        assert found.reason is RESET_REASONS[code]
    else:
        assert found.reason in (Reason.ABORTED, Reason.RST_RECEIVED)


# -- any part left out -----------------------------------------------------------------------------------

CONVERSATIONS = {
    **{name: talk(name).segments for name in ("v0", "draft", "v1")},
    **{f"{name} with a join": join(name).segments for name in ("v0", "v1")},
    "checksums": talk("v1", checksum=True).segments,
    "numbers of 4 bytes": talk("v1", wide=False).segments,
}


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(CONVERSATIONS)), st.data())
def test_whatever_is_missing_a_good_connection_is_never_called_a_bad_one(
    name: str, data: st.DataObject
) -> None:
    whole = CONVERSATIONS[name]
    kept = data.draw(st.lists(st.sampled_from(range(len(whole))), min_size=1, unique=True).map(sorted))
    for found in connections(from_segments([whole[index] for index in kept])):
        assert found.verdict in NOTHING_WRONG, [whole[index][1] for index in kept]
        sound(found)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["v0", "draft", "v1"]), st.data())
def test_whatever_is_missing_a_fallback_is_called_nothing_else(profile: str, data: st.DataObject) -> None:
    """No packet of it shows MPTCP at the server; `tcp` would need a SYN without MP_CAPABLE."""
    whole = dropped_third_ack(profile).segments
    kept = data.draw(st.lists(st.sampled_from(range(len(whole))), min_size=1, unique=True).map(sorted))
    for found in connections(from_segments([whole[index] for index in kept])):
        assert found.verdict in (Verdict.FALLBACK, Verdict.UNKNOWN), [whole[index][1] for index in kept]
        sound(found)


@pytest.mark.parametrize("profile", ["v0", "draft", "v1"])
@pytest.mark.parametrize("snap", range(34, 120, 2))
def test_options_cut_by_the_snapshot_length_are_unknown(profile: str, snap: int, tmp_path: Path) -> None:
    """Addresses, flags, numbers and lengths stay; no verdict rests on an option that was not captured."""
    segments = talk(profile).segments
    path = tmp_path / "cut.pcap"
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap, 101)
    for time, segment, _ in segments:
        raw = encode(segment)
        head = struct.pack("<IIII", time // 10**9, time % 10**9 // 1000, min(len(raw), snap), len(raw))
        out += head + raw[:snap]
    path.write_bytes(out)
    capture = read_capture(path)
    assert [(packet.seq, packet.flags, packet.length) for packet in capture.packets] == [
        (segment.seq, segment.flags, len(segment.payload)) for _, segment, _ in segments
    ]
    (found,) = connections(capture.packets)
    assert found.verdict in NOTHING_WRONG
    assert found.bytes == (300, 500)
    assert found.closed_by in ("fin", "data_fin")
    assert capture.cut == sum(len(encode(each)) - len(each.payload) > snap for _, each, _ in segments)
    if snap < 44:
        assert (found.profile, found.verdict) == ("ambiguous", Verdict.UNKNOWN)
    assert path.stat().st_size < 24 + len(segments) * (16 + snap) + 1
    sound(found)


@pytest.mark.parametrize(("snap", "seen"), [(48, False), (84, True)])
def test_a_cut_option_is_not_taken_for_another(snap: int, seen: bool, tmp_path: Path) -> None:
    """MP_CAPABLE in the SYN of version 0 is 12 bytes; cut, it is none of 4 bytes, and no zeros are a key."""
    raw = encode(talk("v0").segments[0][1])
    path = tmp_path / "cut.pcap"
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap, 101)
    path.write_bytes(head + struct.pack("<IIII", 0, 0, min(len(raw), snap), len(raw)) + raw[:snap])
    (packet,) = read_capture(path).packets
    assert packet.complete is seen
    assert (packet.capable is not None) is seen
    if packet.capable is not None:
        assert packet.capable.sender_key == KEY_A
