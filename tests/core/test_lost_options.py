"""Options that get lost one at a time: what arrives stays right, and one lost option costs little.

A middlebox here blanks all options of chosen packets and changes nothing else. Read first: RFC 8684 §3.3.6,
§3.7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.mptcp.config import Profile, SynCookies
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.paths import Limits, PathsConfig
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import FIN, RST, SYN, Dss, MpCapable, MpTcpRst, Segment
from tests.core.boxes import BOTH_COOKIES, MPTCP, Rewrite, find, onward, pair_of
from tests.core.multipath import CLIENT, SERVER, multipath
from tests.pair import MILLISECOND, SECOND, Pair, Side

BLOCK = bytes(range(251)) * 100
Which = Callable[[str, Segment], bool]


def blank(which: Which) -> Rewrite:
    """A middlebox that takes all options off the packets for which `which(way, segment)` is true."""

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        return replace(segment, options=()) if which(way, segment) else segment

    return rewrite


def counted(wanted: Which, *ordinals: int) -> Which:
    """True for the packets of these ordinals, from 1, among those that `wanted` describes."""
    seen = 0

    def which(way: str, segment: Segment) -> bool:
        nonlocal seen
        if not wanted(way, segment):
            return False
        seen += 1
        return seen in ordinals

    return which


def data_down(way: str, segment: Segment) -> bool:
    return way == "down" and bool(segment.payload)


def assert_right(side: Side, sent: bytes) -> None:
    """What the application has is a prefix of what was sent, and all of it where the end was clean."""
    got = side.received()
    assert got == sent[: len(got)]
    closed = side.closed()
    if closed is not None and closed.clean:
        assert got == sent


# -- a joined subflow -----------------------------------------------------------------------------------


def only_the_joined_subflow_is_left(profile: Profile, rewrite: Rewrite) -> Pair:
    """The client has BLOCK[:1000], its DATA_ACK was lost with the first subflow, and the second is open."""
    state = {"joins": False, "first_path": True}

    def lose(way: str, number: int, segment: Segment) -> bool:
        ends = {segment.src, segment.dst}
        if CLIENT[1] in ends:
            return bool(segment.flags & SYN) and not state["joins"]
        return way == "up" and not state["first_path"]

    pair = multipath(profile=profile, lose=lose, rewrite=rewrite)
    pair.establish()
    pair.client.send(b"GET")
    pair.run(until=pair.now + 500 * MILLISECOND)
    state["joins"], state["first_path"] = True, False
    pair.run(until=lambda: any(one.src == SERVER[1] and one.flags & SYN for one in pair.segments("down")))
    pair.server.send(BLOCK[:1000])
    pair.run(until=pair.now + 12 * MILLISECOND)
    pair.server.endpoint.remove_address(pair.now, pair.server.first(None), 0)
    pair.settle(pair.server)
    pair.run(until=pair.now + SECOND)
    return pair


def on_the_second(way: str, segment: Segment) -> bool:
    return bool({segment.src, segment.dst} & {CLIENT[1], SERVER[1]})


LOST_THERE: dict[str, Which] = {
    "the DSS of the first data": lambda way, one: data_down(way, one) and on_the_second(way, one),
    "the DATA_ACK of the first data": lambda way, one: (
        way == "up" and on_the_second(way, one) and not one.flags & SYN and not one.payload
    ),
    "the DATA_FIN": lambda way, one: way == "down" and on_the_second(way, one) and bool(one.flags & FIN),
}


@pytest.mark.parametrize("ordinals", [(1,), (2,), (1, 2), (1, 2, 3, 4, 5, 6, 7, 8)])
@pytest.mark.parametrize("lost", LOST_THERE)
@pytest.mark.parametrize("profile", MPTCP)
def test_no_fallback_on_a_joined_subflow(profile: Profile, lost: str, ordinals: tuple[int, ...]) -> None:
    """Also where it is the only one left: its bytes are not all of the connection's (RFC 8684 §3.7)."""
    pair = only_the_joined_subflow_is_left(profile, blank(counted(LOST_THERE[lost], *ordinals)))
    pair.server.send(BLOCK[1000:3000])
    pair.run(until=pair.now + 5 * SECOND)
    pair.server.close()
    pair.client.close()
    pair.run()
    assert_right(pair.client, BLOCK[:3000])
    for side in (pair.client, pair.server):
        assert side.fell_back() is None
        assert side.report().verdict is not Verdict.FALLBACK


def test_a_lost_dss_resets_the_joined_subflow_with_reason_6() -> None:
    lost = blank(counted(LOST_THERE["the DSS of the first data"], 1))
    pair = only_the_joined_subflow_is_left(Profile.V1, lost)
    pair.server.send(BLOCK[1000:3000])
    pair.run(until=pair.now + 5 * SECOND)
    (reset,) = [one for one in pair.segments("up") if one.flags & RST and one.src == CLIENT[1]]
    assert MpTcpRst(6) in reset.options


@pytest.mark.parametrize("profile", MPTCP)
def test_the_first_subflow_falls_back_no_more_once_there_was_a_second(profile: Profile) -> None:
    """Linux's rule. The second subflow comes and goes before the first data of the server."""
    pair = multipath(profile=profile)
    pair.establish()
    pair.client.send(b"?")
    pair.run(until=pair.now + SECOND)
    assert pair.server.report().subflows == 2
    pair.client.endpoint.remove_address(pair.now, pair.client.first(None), 1)
    pair.settle(pair.client)
    pair.run(until=pair.now + SECOND)
    first = {CLIENT[0], SERVER[0]}
    pair.rewrite = blank(lambda way, one: way == "up" and {one.src, one.dst} == first)
    pair.server.send(BLOCK[:3000])
    pair.run(until=pair.now + 30 * SECOND)
    assert_right(pair.client, BLOCK[:3000])
    for side in (pair.client, pair.server):
        assert side.fell_back() is None


# -- the only subflow -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
def test_no_fallback_while_bytes_wait_for_a_mapping(profile: Profile, cookies: SynCookies) -> None:
    """The DSS of the server's second segment is lost, and so are the options of the ACK of the client's first
    data. A fallback would take the server's second copy for new bytes."""
    acks = counted(lambda way, one: way == "down" and not one.payload and not one.flags & SYN, 2)
    second = counted(data_down, 2)
    pair = pair_of(profile, cookies, blank(lambda way, one: second(way, one) or acks(way, one)))
    pair.establish()
    pair.server.send(BLOCK[:4000])
    pair.run(until=pair.now + 30 * MILLISECOND)
    pair.client.send(b"0123456789")
    pair.run(until=pair.now + 60 * SECOND)
    pair.client.close()
    pair.server.close()
    pair.run()
    assert pair.client.received() == BLOCK[:4000]
    for side in (pair.client, pair.server):
        end = side.closed()
        assert end is not None
        assert (end.verdict, end.clean) == (Verdict.MPTCP, True)


@pytest.mark.parametrize("size", [3_000, 20_000, 200_000])
@pytest.mark.parametrize("ordinal", [2, 3])
@pytest.mark.parametrize("profile", MPTCP)
def test_one_lost_dss_costs_about_one_timeout(profile: Profile, ordinal: int, size: int) -> None:
    """The bytes come again with a new mapping, on the same subflow (RFC 8684 §3.3.6)."""
    pair = pair_of(profile, rewrite=blank(counted(data_down, ordinal)))
    pair.establish()
    pair.client.send(b"GET")
    pair.run(until=pair.now + SECOND)
    began = pair.now
    pair.server.send(bytes(size))
    pair.run(until=lambda: len(pair.client.received()) == size, limit=10 * SECOND)
    assert pair.now - began < SECOND
    assert pair.client.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize("profile", MPTCP)
def test_mappings_that_never_pass_again_end_the_connection(profile: Profile) -> None:
    """Within a stated limit, with reason 6: both ends hear of it, nothing hangs."""
    pair = pair_of(profile)
    pair.establish()
    pair.client.send(b"GET")
    pair.run(until=pair.now + SECOND)
    pair.server.send(BLOCK[:1000])
    pair.run(until=pair.now + SECOND)
    pair.rewrite = blank(data_down)
    began = pair.now
    pair.server.send(BLOCK[1000:4000])
    pair.run(until=lambda: pair.client.closed() is not None and pair.server.closed() is not None)
    assert pair.now - began < 30 * SECOND
    end = pair.server.closed()
    assert end is not None
    assert (end.verdict, end.reason) == (Verdict.RESET, Reason.DATA_ACK_OVERDUE)
    assert pair.client.received() == BLOCK[:1000]
    if profile is Profile.V1:
        assert any(MpTcpRst(6) in one.options for one in pair.segments("down") if one.flags & RST)


@pytest.mark.parametrize("profile", MPTCP)
def test_a_lost_mapping_and_a_lost_data_ack_do_not_end_in_silence(profile: Profile) -> None:
    """Without a DATA_ACK on the last ACK the peer may have fallen back, so the bytes cannot simply go again:
    first the peer is asked for an ACK."""
    acks = counted(lambda way, one: way == "up" and not one.payload and not one.flags & SYN, 1)
    data = counted(data_down, 1)
    pair = pair_of(profile)
    pair.establish()
    pair.client.send(b"GET")
    pair.run(until=pair.now + SECOND)
    pair.server.send(BLOCK[:1000])
    pair.run(until=pair.now + SECOND)
    pair.rewrite = blank(lambda way, one: data(way, one) or acks(way, one))
    began = pair.now
    pair.server.send(BLOCK[1000:1500])
    pair.run(until=lambda: pair.client.received() == BLOCK[:1500], limit=10 * SECOND)
    assert pair.now - began < 2 * SECOND


def fallen_back(profile: Profile) -> tuple[Pair, int]:
    """A connection in plain TCP at both ends, and the DSN of the client's next byte."""
    pair = pair_of(profile)
    pair.establish()
    key = find(pair, "up", MpCapable)[-1].sender_key
    assert key is not None
    following = token_and_idsn(key, profile is Profile.V1)[1] + 301
    pair.rewrite = blank(lambda way, one: way == "down" and not one.flags & SYN)
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.client.fell_back() is not None and pair.server.received() == b"q" * 300)
    pair.client.send(b"q")  # carries the infinite mapping
    pair.run(until=lambda: pair.server.fell_back() is not None)
    return pair, following + 1


def test_an_infinite_mapping_off_the_line_of_what_is_mapped_is_a_reset() -> None:
    """Bytes that are mapped as a copy still have to come. Plain TCP from there on would put the bytes of the
    infinite mapping into another place."""
    pair = pair_of(Profile.V1)
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.run(until=pair.now + SECOND)
    key = find(pair, "up", MpCapable)[-1].sender_key
    assert key is not None
    following = token_and_idsn(key, True)[1] + 301
    copy = Dss(dsn=following - 50, dsn_8=True, ssn=301, length=100)
    pair.deliver(pair.server, onward(pair, "up", copy))
    pair.deliver(pair.server, onward(pair, "up", Dss(dsn=following, dsn_8=True, ssn=401, length=0)))
    end = pair.server.closed()
    assert end is not None
    assert (end.verdict, end.reason) == (Verdict.RESET, Reason.INFINITE_MAPPING_RECEIVED)


@pytest.mark.parametrize("shift", [-301, -1, 1, 10_000])
@pytest.mark.parametrize("profile", MPTCP)
def test_a_mapping_that_moves_bytes_after_the_fallback_is_a_reset(profile: Profile, shift: int) -> None:
    pair, following = fallen_back(profile)
    dss = Dss(dsn=following + shift, dsn_8=True, ssn=302, length=9)
    pair.deliver(pair.server, onward(pair, "up", dss, payload=b"elsewhere"))
    end = pair.server.closed()
    assert end is not None
    assert (end.verdict, end.reason) == (Verdict.RESET, Reason.MAPPING_CONTRADICTS)
    assert b"elsewhere" not in pair.server.received()


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("profile", MPTCP)
def test_a_mapping_in_step_after_the_fallback_is_data(profile: Profile, wide: bool) -> None:
    """The peer has not heard of it yet. A DATA_ACK says nothing any more."""
    pair, following = fallen_back(profile)
    dsn = following if wide else following & 0xFFFF_FFFF
    dss = Dss(data_ack=7, dsn=dsn, dsn_8=wide, ssn=302, length=4)
    pair.deliver(pair.server, onward(pair, "up", dss, payload=b"here"))
    assert pair.server.received()[-4:] == b"here"
    assert pair.server.closed() is None


@pytest.mark.parametrize("shift", [0, 5])
def test_a_server_without_the_key_believes_the_first_mapping(shift: int) -> None:
    """v0, SYN cookies, the third ACK is lost: the server is in plain TCP from its first packet on."""
    pair = pair_of(Profile.V0, SynCookies.ALWAYS, up=("third_ack",))
    pair.connect()
    pair.run(until=pair.now + 25 * MILLISECOND)
    assert not pair.server.connections
    pair.client.send(b"first")
    pair.run(until=lambda: pair.server.received() == b"first")
    (mapping, *_) = [one for one in find(pair, "up", Dss) if one.dsn is not None]
    assert mapping.dsn is not None
    last = [one for one in pair.segments("up") if one.payload][-1]
    dss = replace(mapping, dsn=mapping.dsn + 5 + shift, ssn=6, length=6)
    seq = (last.seq + 5) & 0xFFFF_FFFF
    pair.deliver(pair.server, onward(pair, "up", dss, payload=b"second", seq=seq))
    assert (pair.server.closed() is None) == (not shift)
    assert pair.server.received() == (b"firstsecond" if not shift else b"first")


# -- any packets ------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    profile=st.sampled_from(MPTCP),
    cookies=st.sampled_from(BOTH_COOKIES),
    paths=st.integers(1, 2),
    server_first=st.booleans(),
    up=st.frozensets(st.integers(1, 30), max_size=4),
    down=st.frozensets(st.integers(1, 30), max_size=4),
    cut=st.sampled_from([None, None, 1, 2]),
)
def test_bytes_are_right_wherever_options_get_lost(
    profile: Profile,
    cookies: SynCookies,
    paths: int,
    server_first: bool,
    up: frozenset[int],
    down: frozenset[int],
    cut: int | None,
) -> None:
    """Any few packets lose their options, and one path may die in between: the streams are intact, or the
    connection ends with an error. `cut`: the path that dies, counted from 1."""
    pair = multipath(2, profile=profile, server={"syn_cookies": cookies})
    if paths == 1:
        quiet = {"paths": PathsConfig(endpoints=(), limits=Limits(subflows=0))}
        pair = multipath(2, profile=profile, server={"syn_cookies": cookies}, client=quiet)
    numbers = {"up": up, "down": down}
    seen = {"up": 0, "down": 0}

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        if segment.flags & SYN:
            return segment
        seen[way] += 1
        return replace(segment, options=()) if seen[way] in numbers[way] else segment

    pair.rewrite = rewrite
    pair.connect()
    request, response = BLOCK[:6_000], BLOCK[6_000:20_000]
    if not server_first:
        pair.client.send(request)
    pair.run(until=pair.now + 60 * MILLISECOND)
    if pair.server.connections:
        pair.server.send(response)
    if server_first:
        pair.client.send(request)
    pair.run(until=pair.now + 30 * MILLISECOND)
    if cut is not None and paths == 2:
        dead = {CLIENT[cut - 1], SERVER[cut - 1]}
        pair.lose = lambda way, number, segment: {segment.src, segment.dst} <= dead
    pair.run(until=pair.now + 120 * SECOND)
    pair.client.close()
    if pair.server.connections:
        pair.server.close()
    pair.run(limit=3_600 * SECOND)
    assert_right(pair.client, response)
    if pair.server.connections:
        assert_right(pair.server, request)
