"""Fast Open on connections: what SYN and SYN/ACK carry, who takes the data, and where it lies.

RFC 7413 §4.2; RFC 8684 Appendix B with erratum 6609 (SYN data is outside the data sequence space); the draft
§3.1.2 (a server that speaks before it knows the client's key).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.mptcp.config import (
    SPOKEN,
    ClientConfig,
    FastOpenAnswer,
    FastOpenSpace,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
    ThirdAck,
)
from testbed.mptcp.events import Accepted, Connected, Event
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.tcp.fastopen import FastOpenOutcome
from testbed.mptcp.wire import ACK, RST, SYN, Dss, FastOpen, MpCapable, MpJoinSynAck, Segment, Timestamps
from testbed.mptcp.wire.sequence import seq_add
from tests.core.boxes import KEYS_LATER, find, is_syn, is_synack, option
from tests.core.multipath import multipath, open_subflows
from tests.fast_open import AT_ONCE, REQUEST, RESPONSE, SERVER, pair_of, whole, with_cookie
from tests.pair import SECOND, Pair, Side

ALL = list(SPOKEN)


def verdict_of(profile: Profile) -> Verdict:
    return Verdict.TCP if profile is Profile.TCP else Verdict.MPTCP


def both(pair: Pair) -> list[Verdict]:
    return [pair.client.report().verdict, pair.server.report().verdict]


def syns(pair: Pair) -> list[Segment]:
    return [one for one in pair.segments("up") if is_syn(one)]


def outcomes(pair: Pair) -> list[FastOpenOutcome]:
    return [pair.client.report().fast_open, pair.server.report().fast_open]


def synack(pair: Pair) -> Segment:
    return next(one for one in pair.segments("down") if is_synack(one))


def data(pair: Pair, way: str) -> list[Segment]:
    return [one for one in pair.segments(way) if one.payload and not one.flags & SYN]


# -- what goes over the wire --------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ALL)
def test_a_request_for_a_cookie_is_answered_with_one(profile: Profile) -> None:
    pair = pair_of(profile)
    pair.connect(only_cookie=True)
    pair.run()
    [syn] = syns(pair)
    assert option(syn, FastOpen) == FastOpen()
    assert not syn.payload
    given = option(synack(pair), FastOpen)
    assert given is not None
    assert len(given.cookie) == 6
    assert pair.segments("up")[-1].flags & RST
    assert len(pair.server.endpoint) == len(pair.client.endpoint) == 0
    assert pair.server.endpoint.counters["TCPFastOpenCookieReqd"] == 1


@pytest.mark.parametrize("third_ack", ThirdAck)
@pytest.mark.parametrize("profile", ALL)
def test_data_in_the_syn_reaches_the_application_before_the_third_ack(
    profile: Profile, third_ack: ThirdAck
) -> None:
    pair = with_cookie(pair_of(profile, client={"third_ack": third_ack}))
    start = pair.now
    whole(pair)
    [syn] = syns(pair)
    assert syn.payload == REQUEST
    assert synack(pair).ack == seq_add(syn.seq, 1 + len(REQUEST))
    accepted = next(at for at, event in pair.server.events if isinstance(event, Accepted))
    assert accepted - start == 10_000_000  # one way
    answered = next(one for one in pair.crossings if one.way == "down" and one.segment.payload)
    assert answered.time == accepted, "within the SYN's own arrival"
    assert both(pair) == [verdict_of(profile)] * 2
    assert pair.client.endpoint.counters["TCPFastOpenActive"] == 1
    assert pair.server.endpoint.counters["TCPFastOpenPassive"] == 1
    assert outcomes(pair) == [FastOpenOutcome.ACCEPTED] * 2
    assert pair.client.report().syn_data == pair.server.report().syn_data == len(REQUEST)


@pytest.mark.parametrize("profile", ALL)
def test_a_request_larger_than_a_syn_goes_on_in_segments(profile: Profile) -> None:
    pair = with_cookie(pair_of(profile))
    request = bytes(range(256)) * 40
    whole(pair, request=request)
    [syn] = syns(pair)
    assert 1_000 < len(syn.payload) <= 1_460
    assert data(pair, "up")[0].seq == seq_add(syn.seq, 1 + len(syn.payload))


@pytest.mark.parametrize("profile", KEYS_LATER)
def test_syn_data_lies_before_the_data_sequence_space(profile: Profile) -> None:
    """Erratum 6609's figures: the listener maps without a DATA_ACK, the client's first mapped byte has
    SSN 1 and DSN IDSN + 1, and so has the listener's."""
    pair = with_cookie(pair_of(profile))
    whole(pair, request=bytes(5_000))
    [syn] = syns(pair)
    client, server = pair.client.report(), pair.server.report()
    assert client.local_key is not None
    assert server.local_key is not None
    sha256 = profile is Profile.V1
    first = data(pair, "up")[0]
    capable = option(first, MpCapable)
    assert capable is not None, "the keys come with the first mapped data"
    assert capable.data_length == len(first.payload)
    later = option(data(pair, "up")[1], Dss)
    assert later is not None
    assert later.ssn == 1 + len(first.payload)
    assert later.dsn == (token_and_idsn(client.local_key, sha256)[1] + later.ssn) % 2**64
    beyond = pair.client.report().bytes_sent - len(syn.payload)
    acks = [dss.data_ack for dss in find(pair, "down", Dss) if dss.data_ack is not None]
    fin = 1
    expected = (token_and_idsn(client.local_key, sha256)[1] + 1 + beyond + fin) % 2**64
    assert acks[-1] in (expected, expected % 2**32)


@pytest.mark.parametrize("profile", KEYS_LATER)
def test_a_server_that_answers_before_the_key_maps_without_data_ack(profile: Profile) -> None:
    """The draft §3.1.2 and erratum 6609. The client's ACKs carry its key until a DATA_ACK comes."""
    pair = with_cookie(pair_of(profile))
    whole(pair)
    answers = data(pair, "down")
    early = option(answers[0], Dss)
    assert early is not None
    assert (early.data_ack, early.ssn) == (None, 1)
    assert early.dsn is not None
    key = pair.server.report().local_key
    assert key is not None
    idsn = token_and_idsn(key, profile is Profile.V1)[1]
    assert early.dsn == (idsn + 1) % (2**64 if early.dsn_8 else 2**32)
    ups = [one for one in pair.segments("up") if not one.flags & SYN]
    heard = next(
        i for i, one in enumerate(pair.crossings) if one.way == "down" and _has_data_ack(one.segment)
    )
    before = [one.segment for one in pair.crossings[:heard] if one.way == "up" and one.segment in ups]
    assert before
    for one in before:
        dss = option(one, Dss)
        if profile is Profile.V1 and dss is not None and dss.data_fin:
            continue  # no room for both; it follows an ACK with the keys (RFC 8684 §3.3.3)
        keys = option(one, MpCapable)
        assert keys is not None
        assert keys.sender_key == pair.client.report().local_key
    assert any(option(one, Dss) is not None for one in before), "with the DATA_ACK of what was mapped"


def test_v0_knows_the_key_from_the_syn() -> None:
    """So it can acknowledge at the data level with its first answer."""
    pair = with_cookie(pair_of(Profile.V0))
    whole(pair)
    early = option(data(pair, "down")[0], Dss)
    assert early is not None
    key = pair.client.report().local_key
    assert key is not None
    assert early.data_ack == (token_and_idsn(key, False)[1] + 1) % 2**64


@pytest.mark.parametrize(
    ("profile", "answer", "waits"),
    [
        (Profile.V1, FastOpenAnswer.AUTO, True),
        (Profile.V1, FastOpenAnswer.AFTER_KEY, True),
        (Profile.V1, AT_ONCE, False),
        (Profile.DRAFT, FastOpenAnswer.AUTO, False),
        (Profile.DRAFT, FastOpenAnswer.AFTER_KEY, True),
        (Profile.V0, FastOpenAnswer.AUTO, False),
        (Profile.TCP, FastOpenAnswer.AFTER_KEY, False),
    ],
)
def test_when_the_server_answers(profile: Profile, answer: FastOpenAnswer, waits: bool) -> None:
    pair = with_cookie(pair_of(profile, server=replace(SERVER, fast_open_answer=answer)))
    whole(pair)
    taken = next(at for at, event in pair.server.events if isinstance(event, Accepted))
    first = next(one.time for one in pair.crossings if one.way == "down" and one.segment.payload)
    assert first - taken == (20_000_000 if waits else 0)
    assert both(pair) == [verdict_of(profile)] * 2


def _has_data_ack(segment: Segment) -> bool:
    dss = option(segment, Dss)
    return dss is not None and dss.data_ack is not None


def test_all_of_the_request_in_the_syn_and_a_silent_server_still_confirm() -> None:
    """Nothing but ACKs with the keys: the client closes, the server answers with a DATA_ACK."""
    pair = with_cookie(pair_of(Profile.V1))
    number = pair.connect(first=REQUEST)
    pair.run(until=lambda: pair.server.received() == REQUEST)
    pair.client.close(number)
    pair.run(until=lambda: pair.server.finished())
    pair.server.close()
    pair.run()
    assert both(pair) == [Verdict.MPTCP] * 2


@pytest.mark.parametrize("profile", [Profile.V0, Profile.V1])
def test_checksums_count_from_the_shifted_numbers(profile: Profile) -> None:
    pair = with_cookie(pair_of(profile, client={"mptcp": MptcpConfig(checksum=True)}))
    whole(pair, request=bytes(5_000), response=bytes(70_000))
    assert both(pair) == [Verdict.MPTCP] * 2


# -- option space -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "length", "space", "given", "timestamps"),
    [
        (Profile.TCP, 16, FastOpenSpace.SHORTEN, 16, True),
        (Profile.V1, 6, FastOpenSpace.SHORTEN, 6, True),
        (Profile.V1, 16, FastOpenSpace.SHORTEN, 6, True),
        (Profile.V0, 16, FastOpenSpace.SHORTEN, 6, True),
        (Profile.V1, 14, FastOpenSpace.NO_TIMESTAMPS, 14, False),
        (Profile.V1, 6, FastOpenSpace.NO_TIMESTAMPS, 6, True),
        (Profile.TCP, 16, FastOpenSpace.NO_TIMESTAMPS, 16, True),
    ],
)
def test_a_synack_has_room_for_part_of_a_cookie_or_for_timestamps(
    profile: Profile, length: Any, space: FastOpenSpace, given: int, timestamps: bool
) -> None:
    """MSS 4, scale 3, SACK 2, timestamps 10, MP_CAPABLE 12: 9 of the 40 bytes are left."""
    server = ServerConfig(fast_open=True, fast_open_cookie=length, fast_open_space=space)
    pair = pair_of(profile, server=server)
    pair.connect(only_cookie=True)
    pair.run()
    answer = synack(pair)
    cookie = option(answer, FastOpen)
    assert cookie is not None
    assert len(cookie.cookie) == given
    assert (option(answer, Timestamps) is not None) == timestamps
    pair.client.connections.clear()
    pair.crossings.clear()
    whole(pair)
    assert both(pair) == [verdict_of(profile)] * 2
    assert option(syns(pair)[0], FastOpen) == cookie


@pytest.mark.parametrize("space", list(FastOpenSpace))
def test_a_further_subflow_is_given_no_cookie_and_keeps_its_timestamps(space: FastOpenSpace) -> None:
    """The cookie was asked for in the first subflow's SYN (RFC 7413 §4.1.1)."""
    pair = multipath(
        client={"fast_open": True},
        server={"fast_open": True, "fast_open_cookie": 16, "fast_open_space": space},
    )
    open_subflows(pair)
    [join] = [one for one in pair.segments("down") if option(one, MpJoinSynAck)]
    assert option(join, FastOpen) is None
    assert option(join, Timestamps) is not None


# -- refusals and losses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ALL)
def test_a_bad_cookie_costs_nothing_but_the_round_trip(profile: Profile) -> None:
    pair = with_cookie(pair_of(profile))
    pair.server.endpoint.rotate_cookie_secret(b"x" * 32)
    pair.server.endpoint.rotate_cookie_secret(b"y" * 32)
    whole(pair)
    [syn] = syns(pair)
    assert syn.payload == REQUEST
    assert synack(pair).ack == seq_add(syn.seq, 1)
    assert option(synack(pair), FastOpen) is not None, "a fresh one"
    again = data(pair, "up")[0]
    assert again.payload == REQUEST
    assert again.seq == seq_add(syn.seq, 1)
    assert both(pair) == [verdict_of(profile)] * 2
    assert pair.server.endpoint.counters["TCPFastOpenPassiveFail"] == 1
    assert pair.client.endpoint.counters["TCPFastOpenActiveFail"] == 1
    assert outcomes(pair) == [FastOpenOutcome.REFUSED] * 2
    # The fresh cookie is tried at once.
    pair.crossings.clear()
    number = pair.connect(first=REQUEST)
    pair.run(until=lambda: pair.client.connected(number))
    assert synack(pair).ack == seq_add(syns(pair)[0].seq, 1 + len(REQUEST))


def test_a_cookie_of_the_secret_before_is_good_and_replaced() -> None:
    pair = with_cookie(pair_of(Profile.V1))
    pair.server.endpoint.rotate_cookie_secret(b"x" * 32)
    whole(pair)
    assert synack(pair).ack == seq_add(syns(pair)[0].seq, 1 + len(REQUEST))
    assert option(synack(pair), FastOpen) != option(syns(pair)[0], FastOpen)


@pytest.mark.parametrize("profile", ALL)
def test_part_of_the_data_is_accepted(profile: Profile) -> None:
    """A server with a small window takes what fits; the rest is ordinary data, mapped from SSN 1."""
    server = ServerConfig(fast_open=True, fast_open_cookie=6, tcp=TcpConfig(receive_buffer=600))
    pair = with_cookie(pair_of(profile, server=server))
    request = bytes(range(250)) * 4
    whole(pair, request=request)
    [syn] = syns(pair)
    assert len(syn.payload) == 1_000
    assert synack(pair).ack == seq_add(syn.seq, 1 + 600)
    first = data(pair, "up")[0]
    assert first.seq == seq_add(syn.seq, 1 + 600)
    assert outcomes(pair) == [FastOpenOutcome.ACCEPTED] * 2
    assert pair.client.report().syn_data == pair.server.report().syn_data == 600
    assert both(pair) == [verdict_of(profile)] * 2


@pytest.mark.parametrize("profile", ALL)
def test_a_lost_syn_goes_again_without_data_and_option(profile: Profile) -> None:
    pair = with_cookie(pair_of(profile))
    pair.lose = lambda way, n, segment: way == "up" and is_syn(segment) and bool(segment.payload)
    whole(pair)
    first, second = syns(pair)
    assert first.payload == REQUEST
    assert (second.payload, option(second, FastOpen)) == (b"", None)
    assert outcomes(pair) == [FastOpenOutcome.LOST, FastOpenOutcome.NONE]
    assert both(pair) == [verdict_of(profile)] * 2


@pytest.mark.parametrize("profile", ALL)
def test_a_lost_synack_goes_again_and_the_data_is_taken_once(profile: Profile) -> None:
    lost: list[Segment] = []

    def once(way: str, _n: int, segment: Segment) -> bool:
        if way == "down" and is_synack(segment) and not lost:
            lost.append(segment)
            return True
        return False

    pair = with_cookie(pair_of(profile))
    pair.lose = once
    whole(pair)
    assert lost
    assert both(pair) == [verdict_of(profile)] * 2


@pytest.mark.parametrize("profile", ALL)
def test_a_lost_third_ack_is_made_good(profile: Profile) -> None:
    pair = with_cookie(pair_of(profile))
    lost: list[Segment] = []

    def once(way: str, _n: int, segment: Segment) -> bool:
        if way == "up" and not segment.flags & SYN and not lost:
            lost.append(segment)
            return True
        return False

    pair.lose = once
    whole(pair)
    assert lost
    assert lost[0].flags == ACK
    assert both(pair) == [verdict_of(profile)] * 2


@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("profile", KEYS_LATER)
def test_keys_that_are_said_once_can_be_lost(profile: Profile, repeat: bool) -> None:
    """Why the draft §3.1.2 repeats them: all of the request was in the SYN, nothing else would bring them.

    Said once and lost, the server falls back, silently, with all it had to say already mapped; the client
    learns of it by the plain acknowledgement of a FIN.
    """
    pair = with_cookie(pair_of(profile, client={"mptcp": MptcpConfig(repeat_keys=repeat)}))
    lost: list[Segment] = []

    def once(way: str, _n: int, segment: Segment) -> bool:
        if way == "up" and not segment.flags & SYN and not lost:
            lost.append(segment)
            return True
        return False

    pair.lose = once
    number = pair.connect(first=REQUEST)
    pair.run(until=lambda: pair.server.received() == REQUEST)
    pair.server.send(RESPONSE)
    pair.run(until=lambda: pair.client.received(number) == RESPONSE)
    pair.client.close(number)
    pair.run(until=lambda: pair.server.finished())
    pair.server.close()
    pair.run()
    assert option(lost[0], MpCapable) is not None
    assert [end is not None and end.clean for end in (pair.client.closed(), pair.server.closed())] == [
        True
    ] * 2
    assert both(pair) == ([Verdict.MPTCP] * 2 if repeat else [Verdict.FALLBACK] * 2)
    reasons = [pair.client.report().reason, pair.server.report().reason]
    if not repeat:
        assert reasons == [Reason.NO_DATA_ACK, Reason.THIRD_ACK_WITHOUT_CAPABLE]


@pytest.mark.parametrize("profile", ALL)
def test_a_duplicate_of_the_syn_is_not_taken_again(profile: Profile) -> None:
    pair = with_cookie(pair_of(profile))
    number = pair.connect(first=REQUEST)
    [syn] = syns(pair)
    pair.run(until=lambda: bool(pair.server.connections))
    pair.deliver(pair.server, syn)  # in SYN-RECEIVED: the SYN/ACK again
    pair.run(until=lambda: pair.client.connected(number))
    pair.run(pair.now + SECOND)
    pair.deliver(pair.server, syn)  # established
    pair.run(pair.now + SECOND)
    assert pair.server.received() == REQUEST
    assert len(pair.server.connections) == 1
    assert both(pair) == [verdict_of(profile)] * 2


def test_a_server_without_fast_open_takes_the_data_later() -> None:
    pair = with_cookie(pair_of(Profile.V1, client={"tcp": TcpConfig(time_wait=SECOND)}))
    pair.server.endpoint.listen(20080, ServerConfig(tcp=TcpConfig(time_wait=SECOND)))
    whole(pair)
    assert both(pair) == [Verdict.MPTCP] * 2
    pair.crossings.clear()
    number = pair.connect(first=REQUEST)
    assert option(syns(pair)[0], FastOpen) is None, "it keeps away for a while"
    assert pair.client.report(number).fast_open is FastOpenOutcome.NONE
    pair.run(until=lambda: pair.client.connected(number))
    pair.crossings.clear()
    pair.run(pair.now + 61 * SECOND)
    pair.connect(first=REQUEST)
    assert option(syns(pair)[0], FastOpen) is not None


def test_a_client_that_is_told_to_tries_in_spite_of_failures() -> None:
    pair = with_cookie(pair_of(Profile.V1, client={"fast_open_pauses": False}))
    pair.server.endpoint.listen(20080, ServerConfig())
    whole(pair)
    assert outcomes(pair) == [FastOpenOutcome.REFUSED, FastOpenOutcome.NONE]
    pair.crossings.clear()
    pair.connect(first=REQUEST)
    assert option(syns(pair)[0], FastOpen) is not None


def test_no_fast_open_without_the_setting() -> None:
    pair = Pair(client=ClientConfig(), server=SERVER)
    pair.connect(first=REQUEST)
    pair.run(until=lambda: pair.server.received() == REQUEST)
    assert not find(pair, "up", FastOpen)
    assert not find(pair, "down", FastOpen)
    assert outcomes(pair) == [FastOpenOutcome.NONE] * 2


def test_syn_cookies_and_fast_open_do_not_go_together() -> None:
    pair = with_cookie(pair_of(Profile.V1))
    pair.server.endpoint.listen(
        20080, ServerConfig(fast_open=True, fast_open_cookie=6, syn_cookies=SynCookies.ALWAYS)
    )
    whole(pair)
    assert synack(pair).ack == seq_add(syns(pair)[0].seq, 1)
    assert option(synack(pair), FastOpen) is None
    assert both(pair) == [Verdict.MPTCP] * 2


def test_pending_requests_are_limited_and_a_reset_frees_no_place_at_once() -> None:
    server = ServerConfig(fast_open=True, fast_open_cookie=6, fast_open_pending=1)
    pair = with_cookie(pair_of(Profile.V1, server=server))
    pair.lose = lambda way, n, segment: way == "down"  # nobody ends a handshake
    one, two = pair.connect(first=REQUEST), pair.connect(first=REQUEST)
    pair.run(pair.now + SECOND // 10)
    assert len(pair.server.connections) == 1
    assert pair.server.endpoint.counters["TCPFastOpenListenOverflow"] == 1
    pair.client.abort(one)
    pair.client.abort(two)
    syn = syns(pair)[0]
    pair.deliver(pair.server, _reset_behind(syn))
    assert pair.server.closed() is not None
    pair.connect(first=REQUEST)
    pair.run(pair.now + SECOND // 10)
    assert pair.server.endpoint.counters["TCPFastOpenListenOverflow"] == 2


def _reset_behind(syn: Segment) -> Segment:
    seq = seq_add(syn.seq, 1 + len(syn.payload))
    return Segment(syn.src, syn.dst, syn.sport, syn.dport, seq, 0, RST, 0)


def test_a_path_that_passes_handshakes_only_is_a_blackhole() -> None:
    """The SYN's data arrives, nothing afterwards does: then no Fast Open for an hour."""
    pair = with_cookie(pair_of(Profile.TCP))
    pair.lose = lambda way, n, segment: way == "up" and not segment.flags & SYN and bool(segment.payload)
    number = pair.connect(first=bytes(5_000))
    pair.run(until=lambda: pair.client.endpoint.counters["TCPFastOpenBlackhole"] == 1, limit=60 * SECOND)
    pair.client.abort(number)
    pair.crossings.clear()
    pair.connect(first=REQUEST)
    assert option(syns(pair)[0], FastOpen) is None


@pytest.mark.parametrize("profile", [Profile.V0, Profile.DRAFT, Profile.V1])
def test_options_that_vanish_from_the_synack_leave_the_data_where_it_is(profile: Profile) -> None:
    def strip(way: str, _n: int, segment: Segment) -> Segment:
        if way == "down" and is_synack(segment):
            kept = tuple(one for one in segment.options if not isinstance(one, MpCapable))
            return replace(segment, options=kept)
        return segment

    pair = with_cookie(pair_of(profile))
    pair.rewrite = strip
    whole(pair, request=bytes(range(250)) * 20)
    assert both(pair) == [Verdict.FALLBACK] * 2
    assert pair.client.report().reason is Reason.NO_CAPABLE_IN_SYNACK


@pytest.mark.parametrize("profile", [Profile.TCP, Profile.V1])
def test_a_good_cookie_without_data_lets_the_server_speak_at_once(profile: Profile) -> None:
    """A server that speaks first: its data comes behind the SYN/ACK, half a round trip earlier."""
    pair = with_cookie(pair_of(profile))

    def greet(side: Side, event: Event) -> None:
        if isinstance(event, Accepted):
            side.outbox[event.connection] = bytearray(b"220 hello")
            side.push(event.connection)

    pair.server.on_event = greet
    number = pair.connect()
    pair.run(until=lambda: pair.client.received(number) == b"220 hello")
    connected = next(
        at for at, event in pair.client.events if isinstance(event, Connected) and event.connection == number
    )
    assert pair.now == connected, "it came in the same moment as the SYN/ACK"
    assert outcomes(pair) == [FastOpenOutcome.NO_DATA] * 2
    pair.client.close(number)
    pair.server.close()
    pair.run()
    assert both(pair) == [verdict_of(profile)] * 2
