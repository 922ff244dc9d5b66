"""Keys that travel with the first data: draft §3.1.1 to §3.1.5 and §3.2, RFC 8684 §3.1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import ACK, Dss, MpCapable, Segment, Timestamps, encoded_length
from tests.core.boxes import (
    BOTH_COOKIES,
    KEYS_LATER,
    MPTCP,
    exchange,
    find,
    is_syn,
    onward,
    option,
    pair_of,
)
from tests.pair import MILLISECOND, SECOND, Pair


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
def test_the_first_data_overtakes_the_third_ack(profile: Profile, cookies: SynCookies) -> None:
    """The draft and RFC 8684 find the keys on the data. RFC 6824 has fallen back when they come late, and
    ignores them (a stateful server knows the key since the SYN)."""
    held: list[Segment] = []

    def hold(way: str, n: int, segment: Segment) -> bool:
        if way == "up" and not held and not is_syn(segment):
            held.append(segment)
            return True
        return False

    pair = pair_of(profile, cookies, lose=hold)
    pair.connect()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.deliver(pair.server, held[0])
    pair.client.send(b"r" * 300)
    pair.server.send(b"a" * 300)
    pair.run(until=lambda: pair.client.received() == b"a" * 300 and len(pair.server.received()) == 600)
    pair.client.close()
    pair.server.close()
    pair.run()
    lost = profile is Profile.V0 and cookies is SynCookies.ALWAYS
    assert pair.server.report().verdict is (Verdict.FALLBACK if lost else Verdict.MPTCP)
    assert pair.server.report().reason is (Reason.COOKIE_WITHOUT_KEY if lost else Reason.NONE)
    assert len(pair.server.connections) == 1


def _with_long_option(pair: Pair) -> Segment:
    return next(
        segment
        for segment in pair.segments("up")
        if (capable := option(segment, MpCapable)) is not None and capable.data_length is not None
    )


def _after_a_mapped_exchange(profile: Profile, cookies: SynCookies) -> Pair:
    pair = pair_of(profile, cookies)
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.client.send(b"r" * 300)
    pair.run(until=lambda: len(pair.server.received()) == 600)
    return pair


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", KEYS_LATER)
def test_the_long_option_again_does_no_harm(profile: Profile, cookies: SynCookies) -> None:
    """Also on a later segment, as segmentation offload copies it (draft §3.1.6)."""
    pair = _after_a_mapped_exchange(profile, cookies)
    first = _with_long_option(pair)
    pair.deliver(pair.server, first)
    capable = option(first, MpCapable)
    pair.deliver(pair.server, onward(pair, "up", capable))
    pair.server.send(b"a" * 300)
    pair.run(until=lambda: pair.client.received() == b"a" * 300)
    assert pair.server.report().verdict is Verdict.MPTCP
    assert pair.server.received() == b"q" * 300 + b"r" * 300


@pytest.mark.parametrize("profile", KEYS_LATER)
def test_the_long_option_with_another_length_is_a_broken_mapping(profile: Profile) -> None:
    pair = _after_a_mapped_exchange(profile, SynCookies.OFF)
    capable = option(_with_long_option(pair), MpCapable)
    assert capable is not None
    pair.deliver(pair.server, onward(pair, "up", replace(capable, data_length=299)))
    end = pair.server.closed()
    assert end is not None
    assert end.reason is Reason.MAPPING_CONTRADICTS


@pytest.mark.parametrize("profile", KEYS_LATER)
def test_the_first_segment_split_on_the_way(profile: Profile) -> None:
    """Both halves carry the option; the Data-Level Length says how far the mapping reaches (draft §3.1.6)."""
    pair = pair_of(profile, SynCookies.ALWAYS, lose=lambda way, n, segment: way == "up" and n in (2, 3))
    pair.connect()
    pair.client.send(b"q" * 500 + b"r" * 500)
    pair.run(until=lambda: len(pair.segments("up")) == 3)
    whole = _with_long_option(pair)
    pair.deliver(pair.server, replace(whole, payload=whole.payload[:500]))
    pair.deliver(pair.server, replace(whole, seq=whole.seq + 500 & 0xFFFF_FFFF, payload=whole.payload[500:]))
    assert pair.server.received() == b"q" * 500 + b"r" * 500
    assert pair.server.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", KEYS_LATER)
def test_a_resent_first_segment_cut_smaller_keeps_its_length(profile: Profile, cookies: SynCookies) -> None:
    """The option belongs to the mapping, not to the segment: Data-Level Length stays on every copy."""
    pair = pair_of(profile, cookies, lose=lambda way, n, segment: way == "up" and n in (2, 3, 4))
    pair.connect()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    long = [one for one in find(pair, "up", MpCapable) if one.data_length is not None]
    assert len(long) >= 2
    assert {one.data_length for one in long} == {300}
    assert pair.server.report().verdict is Verdict.MPTCP


def test_the_drafts_fourth_ack() -> None:
    """On learning the key the server says a DATA_ACK of IDSN-A + 1 at once (draft §3.1.1)."""
    pair = pair_of(Profile.DRAFT, SynCookies.ALWAYS)
    pair.establish()
    pair.run(until=pair.now + 100 * MILLISECOND)
    fourth = pair.segments("down")[1]
    dss = option(fourth, Dss)
    assert dss is not None
    assert dss.data_ack is not None
    assert not fourth.payload
    assert len(pair.segments("down")) == 2
    before = pair.client.report().retransmits
    pair.client.send(b"q" * 20_000)
    pair.run(until=lambda: len(pair.server.received()) == 20_000)
    assert pair.client.report().retransmits == before == 0
    # Confirmed by that DATA_ACK, the client's first write needs no MP_CAPABLE (§3.1.2).
    assert all(one.data_length is None for one in find(pair, "up", MpCapable))


@pytest.mark.parametrize("data_first", [True, False])
def test_the_fourth_ack_is_no_sign_of_loss(data_first: bool) -> None:
    """It acknowledges nothing new. With data in flight the first DATA_ACK is exempt; without, any number."""
    pair = pair_of(Profile.DRAFT, SynCookies.ALWAYS)
    pair.connect()
    if data_first:
        pair.client.send(b"q" * 14_000)
    pair.run(until=lambda: len(pair.segments("down")) >= 2)
    fourth = pair.segments("down")[1]
    assert not fourth.payload
    for _ in range(2 if data_first else 6):  # the real one makes three
        pair.deliver(pair.client, fourth)
    if not data_first:
        pair.client.send(b"q" * 14_000)
    pair.run(until=lambda: len(pair.server.received()) == 14_000)
    assert pair.client.report().retransmits == 0


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", KEYS_LATER)
def test_keys_on_every_ack_until_confirmed(profile: Profile, cookies: SynCookies) -> None:
    """The server speaks first and its DATA_ACKs are lost: each ACK of the client carries both keys, with a
    4-byte DATA_ACK beside them, in exactly 40 bytes (draft §3.1.2)."""

    def silence(way: str, n: int, segment: Segment) -> Segment:
        if way != "down" or segment.flags & 2:
            return segment
        options = tuple(
            replace(one, data_ack=None, data_ack_8=False) if isinstance(one, Dss) else one
            for one in segment.options
        )
        options = tuple(o for o in options if not (isinstance(o, Dss) and o.dsn is None))
        return replace(segment, options=options)

    pair = pair_of(profile, cookies, silence)
    pair.establish()
    pair.server.send(b"a" * 20_000)
    pair.run(until=lambda: len(pair.client.received()) == 20_000)
    acks = [one for one in pair.segments("up") if not is_syn(one)]
    assert len(acks) > 3
    for ack in acks:
        capable = option(ack, MpCapable)
        assert capable is not None
        assert len(capable.encode()) == 20
    for ack in acks[1:]:
        dss = option(ack, Dss)
        assert dss is not None
        assert not dss.data_ack_8
        assert option(ack, Timestamps) is not None
        assert encoded_length(ack.options) == 40
    assert pair.server.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", KEYS_LATER)
def test_a_data_ack_ends_it_and_plain_dss_follows(profile: Profile, cookies: SynCookies) -> None:
    """Server first: its data confirms; then neither ACKs nor the client's first write carry the keys."""
    pair = pair_of(profile, cookies)
    pair.establish()
    pair.server.send(b"a" * 300)
    pair.run(until=lambda: len(pair.client.received()) == 300)
    pair.run(until=pair.now + SECOND)
    sent = len(pair.segments("up"))
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: len(pair.server.received()) == 300)
    later = pair.segments("up")[sent:]
    assert all(option(segment, MpCapable) is None for segment in later)
    assert pair.server.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize("profile", MPTCP)
def test_stateful_server_first_and_the_third_ack_is_lost(profile: Profile) -> None:
    """The SYN/ACK comes again and the answer has the keys again (draft §3.1.1, RFC 6824 §3.1)."""
    pair = pair_of(profile, up=("third_ack",))
    pair.connect()
    pair.run(until=lambda: pair.server.connected())
    pair.server.send(b"a" * 300)
    pair.run(until=lambda: pair.client.received() == b"a" * 300)
    assert pair.client.report().verdict is pair.server.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
def test_the_third_ack_again_after_data(profile: Profile, cookies: SynCookies) -> None:
    """Answered with the current DATA_ACK, no harm; ignored by RFC 6824."""
    pair = pair_of(profile, cookies)
    pair.establish()
    third = next(one for one in pair.segments("up") if not is_syn(one))
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.run(until=pair.now + SECOND)
    before = len(pair.segments("down"))
    stamped = option(pair.segments("up")[-1], Timestamps)
    assert stamped is not None
    fresh = tuple(stamped if isinstance(one, Timestamps) else one for one in third.options)
    pair.deliver(pair.server, replace(third, options=fresh))
    for answer in pair.segments("down")[before:]:
        dss = option(answer, Dss)
        assert dss is not None
        assert dss.data_ack is not None
    assert pair.server.report().verdict is Verdict.MPTCP


def test_isn_recovery_answers_with_the_next_expected_octet() -> None:
    """draft §3.2: the duplicate ACK for a later segment carries DSN - SSN + 1, in the DSN's own form."""
    mptcp = MptcpConfig(isn_recovery=True)
    pair = Pair(
        client=ClientConfig(profile=Profile.DRAFT, mptcp=mptcp),
        server=ServerConfig(syn_cookies=SynCookies.ALWAYS, mptcp=mptcp),
        up=("third_ack", "data:1"),
    )
    pair.connect()
    pair.client.send(b"q" * 14_000)
    pair.run(until=lambda: len(pair.segments("down")) == 2)
    answer = pair.segments("down")[1]
    second = next(one for one in pair.segments("up") if option(one, Dss) is not None)
    dss, mapped = option(answer, Dss), option(second, Dss)
    assert dss is not None
    assert mapped is not None
    assert mapped.dsn is not None
    assert answer.flags & ACK
    assert dss.data_ack == (mapped.dsn - mapped.ssn + 1) % 2**64
    pair.run(until=lambda: len(pair.server.received()) == 14_000)
    assert pair.server.report().verdict is Verdict.MPTCP


def test_isn_recovery_drops_what_does_not_start_its_mapping() -> None:
    """Offload copies a DSS onto every segment: no reset, the first segment comes again."""
    mptcp = MptcpConfig(isn_recovery=True)

    def cut(way: str, n: int, segment: Segment) -> Segment:
        dss = option(segment, Dss)
        if way == "up" and dss is not None and segment.payload and n < 14:
            return replace(segment, payload=segment.payload[:-1])
        return segment

    pair = Pair(
        client=ClientConfig(profile=Profile.DRAFT, mptcp=mptcp),
        server=ServerConfig(syn_cookies=SynCookies.ALWAYS, mptcp=mptcp),
        up=("third_ack", "data:1"),
        rewrite=cut,
    )
    pair.connect()
    pair.client.send(b"q" * 14_000)
    pair.run(until=lambda: len(pair.server.received()) == 14_000)
    assert not any(segment.flags & 4 for segment in pair.segments("down"))


@pytest.mark.parametrize("profile", KEYS_LATER)
def test_everything_fits_forty_bytes(profile: Profile) -> None:
    """With timestamps, checksums and 8-byte numbers; the endpoint asserts it by encoding every segment."""
    pair = Pair(
        client=ClientConfig(profile=profile, mptcp=MptcpConfig(checksum=True)),
        server=ServerConfig(mptcp=MptcpConfig(checksum=True)),
    )
    exchange(pair, b"q" * 30_000, b"a" * 30_000)
    assert max(encoded_length(one.options) for way in ("up", "down") for one in pair.segments(way)) == 40
