"""Data where a handshake has only SYNs and ACKs: in a SYN/ACK, and in SYNs that cross.

Read first: RFC 9293 §3.5 and §3.10.7.3, RFC 7413 §4.2.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig
from testbed.mptcp.reasons import Verdict
from testbed.mptcp.wire import ACK, FIN, RST, SYN, FastOpen, MpCapable, Segment, Timestamps
from tests.core.boxes import is_synack
from tests.fast_open import pair_of as fast_open_pair
from tests.fast_open import with_cookie
from tests.pair import MILLISECOND, SECOND, Pair

DATA = b"d" * 700


def with_data(profile: Profile, plain_server: bool, flags: int = 0, size: int = len(DATA)) -> Pair:
    """A client whose SYN/ACK carries the server's first bytes."""

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        if not is_synack(segment):
            return segment
        return replace(segment, payload=DATA[:size], flags=segment.flags | flags)

    server = ServerConfig(profiles=(Profile.TCP,)) if plain_server else ServerConfig()
    pair = Pair(client=ClientConfig(profile=profile), server=server, rewrite=rewrite)
    pair.connect()
    pair.run(until=lambda: pair.client.connected())
    return pair


@pytest.mark.parametrize(
    ("profile", "plain_server"),
    [
        (Profile.TCP, False),
        (Profile.TCP, True),
        (Profile.V0, True),
        (Profile.DRAFT, True),
        (Profile.V1, True),
    ],
)
@pytest.mark.parametrize("fin", [False, True])
def test_data_in_a_synack_is_taken(profile: Profile, plain_server: bool, fin: bool) -> None:
    """Plain TCP, asked for or fallen back to: the data, and the FIN behind it."""
    pair = with_data(profile, plain_server, FIN if fin else 0)
    assert pair.client.received() == DATA
    third = next(one for one in pair.segments("up") if one.flags & ACK)
    synack = next(one for one in pair.segments("down") if is_synack(one))
    assert third.ack == (synack.seq + 1 + len(DATA) + fin) % 2**32
    assert pair.client.finished() == fin


@pytest.mark.parametrize("profile", [Profile.V0, Profile.DRAFT, Profile.V1])
def test_in_multipath_tcp_it_stays_unacknowledged(profile: Profile) -> None:
    """It has no mapping: what is sent again later counts once, with its mapping."""
    pair = with_data(profile, plain_server=False, flags=FIN)
    assert pair.client.received() == b""
    assert not pair.client.finished()
    third = next(one for one in pair.segments("up") if one.flags & ACK)
    synack = next(one for one in pair.segments("down") if is_synack(one))
    assert third.ack == (synack.seq + 1) % 2**32
    pair.client.send(b"?")
    pair.run(until=lambda: pair.server.connected())
    pair.server.send(DATA)
    pair.run(until=lambda: pair.client.received() == DATA)
    assert pair.client.report().verdict is Verdict.MPTCP


@given(
    size=st.integers(0, len(DATA)),
    fin=st.booleans(),
    profile=st.sampled_from(SPOKEN),
    plain_server=st.booleans(),
)
def test_any_amount_of_it(size: int, fin: bool, profile: Profile, plain_server: bool) -> None:
    pair = with_data(profile, plain_server, FIN if fin else 0, size)
    plain = profile is Profile.TCP or plain_server
    assert pair.client.received() == (DATA[:size] if plain else b"")
    assert pair.client.finished() == (fin and plain)
    assert not any(one.flags & RST for one in pair.segments("up"))


# -- Fast Open and SYNs that cross --------------------------------------------------------------------------


def crossed(profile: Profile, payload: bytes) -> tuple[Pair, Segment, Segment]:
    """A client with a cookie, whose SYN with data crosses another SYN with data: that SYN, our SYN/ACK."""
    pair = with_cookie(fast_open_pair(profile))
    pair.lose = lambda way, number, segment: True
    pair.connect(first=payload)
    syn = pair.segments("up")[-1]
    assert syn.flags == SYN
    assert syn.payload == payload
    options = tuple(one for one in syn.options if not isinstance(one, FastOpen | MpCapable))
    theirs = Segment(syn.dst, syn.src, syn.dport, syn.sport, 1_234, 0, SYN, 14_600, options, b"t" * 500)
    pair.deliver(pair.client, theirs)
    answer = pair.segments("up")[-1]
    assert answer.flags == SYN | ACK
    assert answer.ack == 1_235  # the other SYN's data is not supported: its sender repeats it
    return pair, theirs, answer


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("taken", [0, 1, 299, 300])
@pytest.mark.parametrize("flags", [SYN | ACK, ACK])
def test_a_fast_open_syn_that_crosses_a_syn(profile: Profile, taken: int, flags: int) -> None:
    """The peer may take any part of the SYN's data; the rest is sent behind the handshake."""
    request = bytes(range(250)) + b"r" * 50
    pair, theirs, answer = crossed(profile, request)
    ack = (answer.seq + 1 + taken) % 2**32
    seq = theirs.seq if flags & SYN else theirs.seq + 1
    reply = replace(theirs, flags=flags, seq=seq, ack=ack, payload=b"")
    if not flags & SYN:
        reply = replace(reply, options=tuple(o for o in theirs.options if isinstance(o, Timestamps)))
    before = len(pair.segments("up"))
    pair.deliver(pair.client, reply)
    pair.run(until=pair.now + 100 * MILLISECOND)
    sent = pair.segments("up")[before:]
    assert sent or flags == ACK  # an ACK without data needs no answer
    assert not any(one.flags & (RST | SYN) for one in sent)
    assert pair.client.connected()
    assert all(one.ack == 1_235 for one in sent)
    rest = {(one.seq - ack) % 2**32: one.payload for one in sent if one.payload}
    assert b"".join(rest[at] for at in sorted(rest)) == request[taken:]
    pair.deliver(pair.client, replace(reply, flags=ACK, seq=1_235, ack=ack, payload=b"hello", options=()))
    assert pair.client.received() == b"hello"
    assert pair.client.report().bytes_sent == len(request)


@pytest.mark.parametrize("taken", [-1, 301, 1 << 31])
def test_an_ack_of_what_no_syn_carried_is_answered_by_a_reset(taken: int) -> None:
    pair, theirs, answer = crossed(Profile.TCP, bytes(300))
    ack = (answer.seq + 1 + taken) % 2**32
    pair.deliver(pair.client, replace(theirs, flags=ACK, seq=theirs.seq + 1, ack=ack, payload=b""))
    assert pair.segments("up")[-1].flags == RST
    assert pair.segments("up")[-1].seq == ack
    assert pair.client.closed() is None


@pytest.mark.parametrize("profile", SPOKEN)
def test_a_syn_again_after_the_crossing_gets_the_synack_again(profile: Profile) -> None:
    pair, theirs, answer = crossed(profile, bytes(300))
    pair.run(until=pair.now + SECOND // 2)
    before = len(pair.segments("up"))
    pair.deliver(pair.client, replace(theirs, payload=b""))
    (again,) = pair.segments("up")[before:]
    assert (again.flags, again.seq, again.ack) == (SYN | ACK, answer.seq, 1_235)


@pytest.mark.parametrize("profile", SPOKEN)
def test_data_on_the_synack_that_ends_a_crossing(profile: Profile) -> None:
    pair, theirs, answer = crossed(profile, bytes(300))
    reply = replace(theirs, flags=SYN | ACK, ack=(answer.seq + 301) % 2**32, payload=b"early")
    pair.deliver(pair.client, reply)
    assert pair.client.received() == b"early"
    assert pair.segments("up")[-1].ack == 1_240
