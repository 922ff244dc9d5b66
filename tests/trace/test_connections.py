"""Connections made by hand: keys, tokens, profile, joins, bytes and the shape of the JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import ACK, FIN, PSH, RST, SYN, Dss, MpCapable, MpFastclose, Segment
from testbed.trace import Connection, connections, from_segments, to_json
from tests.trace.conversation import CLIENT, KEY_A, KEY_B, LISTENING, PORT, SERVER, Talk, Timed, join, talk

PROFILES = ["v0", "draft", "v1"]


def only(segments: Sequence[Timed], **arguments: int) -> Connection:
    (found,) = connections(from_segments(segments), **arguments)
    return found


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_whole_connection(profile: str, checksum: bool, wide: bool) -> None:
    made = talk(profile, checksum=checksum, wide=wide)
    found = only(made.segments)
    assert found.profile == profile
    assert (found.initiator, found.listener) == ((CLIENT, PORT), (SERVER, LISTENING))
    assert found.keys == (KEY_A, KEY_B)
    assert found.tokens == (made.token(KEY_A), made.token(KEY_B))
    assert found.idsns == made.idsns
    assert (found.verdict, found.reason) == (Verdict.MPTCP, Reason.NONE)
    assert found.bytes == (300, 500)
    assert found.closed_by == "data_fin"
    assert found.checksum is checksum


@pytest.mark.parametrize("profile", PROFILES)
def test_over_ipv6(profile: str) -> None:
    found = only(talk(profile, ipv6=True).segments)
    assert to_json(found)["initiator"] == {"address": "2001:db8:1::1", "port": PORT}
    assert found.profile == profile


@pytest.mark.parametrize("profile", PROFILES)
def test_a_subflow_joins_by_token(profile: str) -> None:
    found = only(join(profile).segments)
    assert found.profile == profile
    assert found.verdict is Verdict.MPTCP
    assert found.bytes == (1000, 0)
    first, second = found.subflows
    assert (first.kind, first.established) == ("initial", True)
    assert (second.kind, second.address_id, second.backup, second.established) == ("join", 3, True, True)
    assert found.closed_by == "data_fin"


def test_a_refused_join_does_not_end_the_connection() -> None:
    made = join("v1")
    at = next(i for i, (_, segment, _) in enumerate(made.segments) if segment.sport == PORT + 1)
    time, syn, _ = made.segments[at]
    refusal = Segment(syn.dst, syn.src, syn.dport, syn.sport, 0, (syn.seq + 1) & 0xFFFF_FFFF, RST | ACK)
    kept = [timed for timed in made.segments if PORT + 1 not in (timed[1].sport, timed[1].dport)]
    found = only([*kept[:at], (time, syn, None), (time + 1, refusal, None), *kept[at:]])
    assert [subflow.established for subflow in found.subflows] == [True, False]
    assert (found.verdict, found.closed_by) == (Verdict.MPTCP, "data_fin")


def test_a_join_without_its_connection_is_ambiguous() -> None:
    alone = [timed for timed in join("v1").segments if PORT + 1 in (timed[1].sport, timed[1].dport)]
    found = only(alone)
    assert (found.profile, found.verdict) == ("ambiguous", Verdict.MPTCP)
    assert found.keys == found.tokens == (None, None)


@pytest.mark.parametrize(
    ("spoken", "nibble", "draft_version", "profile"),
    [
        ("v1", 1, 2, "v1"),
        ("v1", 1, 1, "v1"),  # SHA-256 settles it, though the draft uses this number here
        ("draft", 1, 1, "draft"),
        ("draft", 1, 2, "draft"),  # SHA-1 under RFC 8684's number
        ("draft", 2, 2, "draft"),
        ("draft", 5, 2, "draft"),
        ("v1", 2, 2, "ambiguous"),  # the draft's number, but RFC 8684's hash
        ("v1", 5, 2, "ambiguous"),
    ],
)
@pytest.mark.parametrize("wide", [True, False])
def test_version_nibble_against_hash(
    spoken: str, nibble: int, draft_version: int, profile: str, wide: bool
) -> None:
    found = only(talk(spoken, version=nibble, wide=wide).segments, draft_version=draft_version)
    assert found.profile == profile


@pytest.mark.parametrize(
    ("nibble", "draft_version", "profile"),
    [(1, 2, "v1"), (1, 1, "ambiguous"), (2, 2, "draft"), (7, 2, "ambiguous")],
)
def test_a_handshake_alone_leaves_only_the_nibble(nibble: int, draft_version: int, profile: str) -> None:
    made = Talk("draft", version=nibble)
    made.handshake()
    found = only(made.segments, draft_version=draft_version)
    assert found.profile == profile
    assert found.keys == (KEY_A, KEY_B)
    assert (found.tokens == (None, None)) is (profile == "ambiguous")


def test_a_token_in_a_join_settles_the_hash() -> None:
    """All data on the second subflow: the first shows keys only."""
    made = join("draft", version=1)
    kept = [
        timed
        for timed in made.segments
        if timed[1].payload == b"" and not any(isinstance(option, Dss) for option in timed[1].options)
    ]
    found = only(kept, draft_version=1)
    assert found.profile == "draft"
    assert len(found.subflows) == 2


def dropped_third_ack(profile: str) -> Talk:
    """The third ACK is lost and the server acknowledges the request without a DATA_ACK."""
    made = Talk(profile)
    made.handshake(dropped="third_ack")
    made.request(b"r" * 300, plain=True)
    made.say(1, 1, 301, ACK)
    made.say(1, 1, 301, ACK | PSH, payload=b"a" * 500)
    made.say(0, 301, 501, FIN | ACK)
    made.say(1, 501, 302, FIN | ACK)
    made.say(0, 302, 502, ACK)
    return made


@pytest.mark.parametrize("profile", PROFILES)
def test_fallback_after_a_lost_third_ack(profile: str) -> None:
    found = only(dropped_third_ack(profile).segments)
    assert (found.verdict, found.reason) == (Verdict.FALLBACK, Reason.COOKIE_WITHOUT_KEY)
    client, server = found.ends
    assert client is not None
    assert server is not None
    assert client.reason is Reason.NO_DATA_ACK
    assert server.reason is Reason.COOKIE_WITHOUT_KEY
    assert found.bytes == (300, 500)
    assert found.closed_by == "fin"
    assert found.profile == profile


def test_the_same_in_a_foreign_capture_that_marks_no_drops() -> None:
    """At the client everything seems to be sent; why the server does not speak MPTCP cannot be seen there."""
    segments = [(time, segment, None) for time, segment, _ in dropped_third_ack("v0").segments]
    found = only(segments)
    assert (found.verdict, found.reason) == (Verdict.FALLBACK, Reason.NO_DATA_ACK)
    assert found.ends[1] is not None
    assert (found.ends[1].verdict, found.ends[1].reason) == (Verdict.FALLBACK, Reason.NONE)


def test_the_same_captured_behind_the_loss() -> None:
    """At the server the third ACK is missing, and in v0 nothing else could have carried the key."""
    segments = [timed for timed in dropped_third_ack("v0").segments if timed[2] is None]
    found = only(segments)
    assert (found.verdict, found.reason) == (Verdict.FALLBACK, Reason.COOKIE_WITHOUT_KEY)


def test_a_listener_that_repeats_its_answer_keeps_state() -> None:
    segments = dropped_third_ack("v0").segments
    found = only([*segments[:3], (segments[2][0] + 1, segments[1][1], "random"), *segments[3:]])
    assert found.reason is Reason.THIRD_ACK_WITHOUT_CAPABLE


def test_client_refuses_what_it_did_not_offer() -> None:
    """Our draft client meets a listener that answers with version 1, as Linux does."""
    made = Talk("draft")
    made.handshake(third=False)
    time, answer, _ = made.segments[1]
    options = tuple(
        replace(option, version=1) if isinstance(option, MpCapable) else option for option in answer.options
    )
    made.segments[1] = (time, replace(answer, options=options), None)
    made.say(0, 1, 1, ACK)
    made.say(0, 1, 1, ACK | PSH, payload=b"x")
    made.say(1, 1, 2, ACK)
    found = only(made.segments)
    assert (found.verdict, found.reason) == (Verdict.FALLBACK, Reason.VERSION_NOT_OFFERED)
    assert found.ends[1] is not None
    assert found.ends[1].reason is Reason.THIRD_ACK_WITHOUT_CAPABLE


def test_echoed_key_is_another() -> None:
    made = Talk("v1")
    made.handshake(third=False)
    made.say(0, 1, 1, ACK, MpCapable(1, 1, KEY_A, KEY_B + 1))
    made.say(0, 1, 1, ACK | PSH, MpCapable(1, 1, KEY_A, KEY_B + 1, 5), payload=b"hello")
    made.say(1, 1, 6, ACK)
    found = only(made.segments)
    assert (found.verdict, found.reason) == (Verdict.FALLBACK, Reason.COOKIE_KEY_MISMATCH)


def test_infinite_mapping_and_mp_fail_are_seen() -> None:
    made = Talk("v1")
    made.handshake()
    made.request(b"r" * 300)
    made.say(1, 1, 301, ACK, made.dack(1))
    made.say(0, 301, 1, ACK | PSH, Dss(None, False, made.idsns[0] + 301, True, 301, 0), payload=b"z" * 10)
    made.say(1, 1, 311, ACK)
    found = only(made.segments)
    assert (found.verdict, found.reason) == (Verdict.FALLBACK, Reason.INFINITE_MAPPING_RECEIVED)


def test_plain_tcp() -> None:
    made = Talk("v1")
    made.say(0, 0, 0, SYN)
    made.say(1, 0, 1, SYN | ACK)
    made.say(0, 1, 1, ACK)
    made.say(0, 1, 1, ACK | PSH, payload=b"abc")
    made.say(1, 1, 4, FIN | ACK)
    made.say(0, 4, 2, FIN | ACK)
    made.say(1, 2, 5, ACK)
    found = only(made.segments)
    assert (found.profile, found.verdict, found.bytes, found.closed_by) == ("tcp", Verdict.TCP, (3, 0), "fin")


def test_a_fast_close_counts_with_the_right_key_only() -> None:
    made = talk("v1")
    before = made.segments[:5]
    time, last, _ = before[-1]
    assert last.sport == LISTENING
    for key, closed in ((KEY_A, "fastclose"), (KEY_A ^ 1, "rst")):
        reset = replace(last, flags=RST | ACK, options=(MpFastclose(key),), payload=b"")
        found = only([*before, (time + 1, reset, None)])
        assert found.closed_by == closed
        assert found.verdict is Verdict.RESET


def test_a_retransmission_counts_once_and_a_drop_not_at_all() -> None:
    made = talk("v1")
    data = next(timed for timed in made.segments if timed[1].sport == LISTENING and timed[1].payload)
    at = made.segments.index(data)
    again = [*made.segments[:at], (data[0], data[1], "random"), data, data, *made.segments[at + 1 :]]
    assert only(again).bytes == (300, 500)
    lost = [*made.segments[:at], (data[0], data[1], "random")]
    assert only(lost).bytes == (300, 0)


def test_a_port_pair_used_again_is_another_connection() -> None:
    first, second = talk("v0"), talk("v1")
    second.segments[:] = [
        (time + 10**9, replace(segment, seq=segment.seq ^ 0x4000_0000, ack=segment.ack ^ 0x4000_0000), cause)
        for time, segment, cause in second.segments
    ]
    found = connections(from_segments(first.segments + second.segments))
    assert [each.profile for each in found] == ["v0", "v1"]


@pytest.mark.parametrize("profile", PROFILES)
def test_capture_that_begins_late(profile: str) -> None:
    """From the third ACK on both keys are known; from the middle, only that it is MPTCP."""
    segments = talk(profile).segments
    found = only(segments[2:])
    assert (found.profile, found.keys, found.verdict) == (profile, (KEY_A, KEY_B), Verdict.MPTCP)
    assert (found.initiator, found.bytes) == ((CLIENT, PORT), (300, 500))
    found = only(segments[5:])
    assert (found.profile, found.keys, found.verdict) == ("ambiguous", (None, None), Verdict.MPTCP)
    assert found.bytes[1] == 500
    assert found.closed_by == "data_fin"


@pytest.mark.parametrize("cut", range(1, 14))
@pytest.mark.parametrize("profile", PROFILES)
def test_capture_cut_anywhere_is_judged_without_an_error(profile: str, cut: int) -> None:
    segments = talk(profile).segments
    for part in (segments[:cut], segments[cut:]):
        for found in connections(from_segments(part)):
            json.dumps(to_json(found))


def test_json() -> None:
    """The names, digits and order that `testbed trace --json` promises."""
    made = talk("v1")
    span = {
        "start_ns": made.segments[0][0],
        "end_ns": made.segments[-1][0],
        "first_frame": 1,
        "last_frame": 12,
        "packets": [7, 5],
        "packets_with_options_cut": [0, 0],
    }
    assert to_json(only(made.segments)) == {
        "profile": "v1",
        "initiator": {"address": "10.0.1.1", "port": 40000},
        "listener": {"address": "10.0.3.1", "port": 20080},
        "keys": ["1fdb5df328bc3def", "29a6c86981ad933c"],
        "tokens": ["239fbdb0", "a35d6d82"],
        "idsns": ["c8072fb90edab04d", "a28e87fddd1d30f1"],
        "subflows": [
            {
                "kind": "initial",
                "initiator": {"address": "10.0.1.1", "port": 40000},
                "listener": {"address": "10.0.3.1", "port": 20080},
                "address_id": 0,
                "backup": False,
                "established": True,
                "ended": "fin",
                "reset_code": None,
                "reset_reason": None,
                "bytes": [300, 500],
                "retransmissions": [0, 0],
                **span,
            }
        ],
        "verdict": "mptcp",
        "reason": "none",
        "ends": [{"verdict": "mptcp", "reason": "none", "at_ns": None, "frame": None}] * 2,
        "bytes": [300, 500],
        "bytes_not_captured": [0, 0],
        "retransmissions": [0, 0],
        "closed_by": "data_fin",
        **span,
        "fast_open": {"cookie": "none", "sent": 0, "accepted": 0},
        "checksum": False,
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_a_fin_that_the_capture_missed_is_no_byte(profile: str) -> None:
    segments = talk(profile).segments
    fins = [timed for timed in segments if timed[1].flags & FIN]
    data_fins = [
        timed
        for timed in segments
        if any(isinstance(each, Dss) and each.data_fin for each in timed[1].options)
    ]
    missed = [timed for timed in segments if timed not in fins + data_fins]
    assert only(missed).bytes == (300, 500)
    fallen = dropped_third_ack(profile).segments
    assert only([timed for timed in fallen if not timed[1].flags & FIN]).bytes == (300, 500)
