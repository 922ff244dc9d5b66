"""Mappings, DATA_FINs and DATA_ACKs that a good peer never sends: counted, answered, and bounded.

Read first: RFC 8684 §3.3.1-§3.3.4, §3.7.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import MptcpConfig, Profile, ServerConfig, TcpConfig
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import ACK, FIN, RST, Dss, MpFail, MpTcpRst, Segment, Timestamps
from testbed.mptcp.wire.checksum import dss_checksum
from tests.core.multipath import (
    MPTCP_PROFILES,
    SERVER,
    forged,
    has,
    multipath,
    open_subflows,
    transfer,
    usable,
)
from tests.pair import SECOND, Pair
from tests.properties.memory import deep_size

QUAD = (1 << 64) - 1
NEXT = 2  # data offset: the client has sent one byte


def dsn(pair: Pair, offset: int) -> int:
    """The client's DSN of a data offset; 1 is its first byte."""
    report = pair.client.report()
    assert report.local_key is not None
    return (token_and_idsn(report.local_key, report.profile == "v1")[1] + offset) & QUAD


def mapping(pair: Pair, ssn: int, offset: int, length: int, **more: object) -> Dss:
    return replace(Dss(None, False, dsn(pair, offset), True, ssn, length), **more)  # type: ignore[arg-type]


def opened(profile: Profile = Profile.V1, **more: object) -> Pair:
    pair = multipath(profile=profile, **more)
    open_subflows(pair)
    pair.run(until=pair.now + SECOND)
    return pair


def resets(pair: Pair) -> list[Segment]:
    return [one for one in pair.segments("down") if one.flags & RST]


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize(
    ("ssn", "offset", "length"),
    [(10, 105, 10), (15, 105, 10), (5, 95, 10), (10, 100, 5), (10, 100, 15), (12, 500, 3), (5, 95, 30)],
)
def test_a_mapping_that_contradicts_another_resets_its_subflow(
    profile: Profile, ssn: int, offset: int, length: int
) -> None:
    """Other bytes, an overlap, another length: mappings are immutable (RFC 8684 §3.3.1)."""
    pair = opened(profile)
    pair.deliver(pair.server, forged(pair, "up", 2, mapping(pair, 10, 100, 10)))
    pair.deliver(pair.server, forged(pair, "up", 2, mapping(pair, 10, 100, 10)))
    assert resets(pair) == []
    pair.deliver(pair.server, forged(pair, "up", 2, mapping(pair, ssn, offset, length)))
    (reset,) = resets(pair)
    assert reset.src == SERVER[1]
    assert [one for one in reset.options if isinstance(one, MpTcpRst)] == (
        [MpTcpRst(1)] if profile is Profile.V1 else []
    )
    assert pair.server.endpoint.counters["DSSNotMatching"] == 1
    pair.run(until=lambda: usable(pair.client) == 1)
    transfer(pair, bytes(50_000))


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("ssn", [0, -3])
def test_a_mapping_of_the_syn(ssn: int, checksum: bool) -> None:
    """Subflow bytes begin at 1: what begins before, and reaches into them, is no mapping of this stream."""
    mptcp = {"mptcp": MptcpConfig(checksum=checksum)}
    pair = opened(client=mptcp, server=mptcp)
    bad = mapping(pair, ssn & 0xFFFF_FFFF, NEXT, 20, checksum=5 if checksum else None)
    pair.deliver(pair.server, forged(pair, "up", 2, bad, payload=bytes(30)))
    assert len(resets(pair)) == 1
    transfer(pair, bytes(50_000))


@pytest.mark.parametrize("offset", [-(1 << 62), -(1 << 33), -5_000, 1 << 21, 1 << 33, 1 << 62, (1 << 63) - 1])
@pytest.mark.parametrize("eight", [True, False])
def test_data_far_outside_the_window(offset: int, eight: bool) -> None:
    """Dropped, not DATA_ACKed, kept nowhere (RFC 8684 §3.3.4)."""
    pair = opened()
    before = pair.server.received()
    number = dsn(pair, NEXT + offset)
    far = Dss(None, False, number if eight else number & 0xFFFF_FFFF, eight, 1, 4)
    pair.deliver(pair.server, forged(pair, "up", 2, far, payload=b"far!"))
    if eight or abs(offset) < 1 << 31:
        name = "NoDSSInWindow" if offset > 0 else "DuplicateData"
        assert pair.server.endpoint.counters[name] == 1
    for segment in pair.segments("down")[-2:]:
        for one in segment.options:
            assert not isinstance(one, Dss) or one.data_ack == dsn(pair, NEXT)
    if eight:
        assert pair.server.received() == before
        transfer(pair, bytes(50_000))


def data_fin(pair: Pair, offset: int) -> Dss:
    return mapping(pair, 0, offset, 1, data_fin=True)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_data_fin_that_comes_again_is_acknowledged_again(profile: Profile) -> None:
    pair = opened(profile)
    for path in (1, 2, 1):
        before = len(pair.segments("down"))
        pair.deliver(pair.server, forged(pair, "up", path, data_fin(pair, NEXT)))
        (answer,) = pair.segments("down")[before:]
        acks = [one.data_ack for one in answer.options if isinstance(one, Dss)]
        assert acks == [dsn(pair, NEXT + 1)]
    assert pair.server.finished()
    assert sum(type(event).__name__ == "PeerFinished" for _, event in pair.server.events) == 1


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("offset", [-1, 1, 50])
def test_two_data_fins_that_differ(profile: Profile, offset: int) -> None:
    """The first one counts; the other is only answered."""
    pair = opened(profile)
    pair.deliver(pair.server, forged(pair, "up", 1, data_fin(pair, NEXT + 10)))
    pair.deliver(pair.server, forged(pair, "up", 2, data_fin(pair, NEXT + 10 + offset)))
    assert pair.server.endpoint.counters["DSSNotMatching"] == 1
    assert not pair.server.finished()
    pair.client.send(b"0123456789")
    pair.run(until=pair.server.finished)
    assert pair.server.received() == b"?0123456789"


@pytest.mark.parametrize("order", ["fin first", "data first"])
def test_data_behind_the_data_fin(order: str) -> None:
    """It is in no stream. What came before contradicts a DATA_FIN in front of it."""
    pair = opened()
    behind = forged(pair, "up", 2, mapping(pair, 1, NEXT + 5, 20), payload=b"x" * 20)
    fin = forged(pair, "up", 1, data_fin(pair, NEXT + 10))
    for segment in (fin, behind) if order == "fin first" else (behind, fin):
        pair.deliver(pair.server, segment)
    pair.client.send(b"01234")
    pair.run(until=lambda: len(pair.server.received()) > 6)
    if order == "fin first":
        assert pair.server.finished()
        assert pair.server.received() == b"?01234xxxxx"
        beyond = forged(pair, "up", 1, mapping(pair, 7, NEXT + 11, 4), payload=b"more")
        pair.deliver(pair.server, beyond)
        assert pair.server.received() == b"?01234xxxxx"
        assert pair.server.endpoint.counters["NoDSSInWindow"] == 1
    else:
        assert not pair.server.finished()
        assert pair.server.received() == b"?01234" + b"x" * 20
        assert pair.server.endpoint.counters["DSSNotMatching"] == 1


def test_a_data_fin_outside_the_window() -> None:
    pair = opened()
    for offset in (1 << 22, 1 << 60, -1, -(1 << 40)):
        pair.deliver(pair.server, forged(pair, "up", 1, data_fin(pair, NEXT + offset)))
    assert pair.server.endpoint.counters["DSSNotMatching"] == 4
    transfer(pair, bytes(50_000))
    pair.client.close()
    pair.run(until=pair.server.finished)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_flood_of_mappings_without_data(profile: Profile) -> None:
    pair = opened(profile)
    template = forged(pair, "up", 2)
    sizes = []
    for number in range(20_000):
        one = mapping(pair, 1_000 + 2 * number, 1_000 + 2 * number, 1)
        pair.server.endpoint.handle_segment(pair.now, replace(template, options=(*template.options, one)))
        if number in (9_999, 19_999):
            sizes.append(deep_size(pair.server.endpoint, without=(pair, pair.server)))
    assert sizes[1] - sizes[0] < 10_000
    assert sizes[1] < 2_000_000
    transfer(pair, bytes(50_000))


def test_crumbs_out_of_order() -> None:
    """Every other byte of the window, each with its mapping: what is held stays within what they may cost."""
    window = 60_000
    pair = opened(server={"tcp": TcpConfig(receive_buffer=window)})
    template = forged(pair, "up", 2)
    for number in range(1, window // 2):
        one = mapping(pair, 1 + 2 * number, NEXT + 2 * number, 1)
        crumb = replace(
            template,
            seq=(template.seq + 2 * number) & 0xFFFF_FFFF,
            payload=b"x",
            options=(*template.options, one),
        )
        pair.server.endpoint.handle_segment(pair.now, crumb)
        while pair.server.endpoint.poll_transmit(pair.now) is not None:
            pass
    assert deep_size(pair.server.endpoint, without=(pair, pair.server)) < 4 * window + 100_000
    transfer(pair, bytes(50_000))


def test_crumbs_of_the_data_sequence() -> None:
    """The same one level up: in order on the subflow, full of holes above."""
    window = 60_000
    pair = opened(server={"tcp": TcpConfig(receive_buffer=window)})
    template = forged(pair, "up", 2)
    for number in range(1, window // 2):
        one = mapping(pair, number, NEXT + 2 * number, 1)
        crumb = replace(
            template,
            seq=(template.seq + number - 1) & 0xFFFF_FFFF,
            payload=b"x",
            options=(*template.options, one),
        )
        pair.server.endpoint.handle_segment(pair.now, crumb)
        while pair.server.endpoint.poll_transmit(pair.now) is not None:
            pass
    assert deep_size(pair.server.endpoint, without=(pair, pair.server)) < 4 * window + 100_000
    assert pair.server.endpoint.counters["NoDSSInWindow"] > 0
    sent = bytes(50_000)
    pair.client.send(sent)
    pair.run(until=lambda: len(pair.server.received()) >= 50_001, limit=60 * SECOND)


def test_single_bytes_that_nobody_reads() -> None:
    """In order, and kept for the application: a byte costs about a byte."""
    pair = opened(server={"tcp": TcpConfig(receive_buffer=100_000)})
    pair.server.reading = False
    template = forged(pair, "up", 2)
    for number in range(20_000):
        one = mapping(pair, 1 + number, NEXT + number, 1)
        byte = replace(
            template,
            seq=(template.seq + number) & 0xFFFF_FFFF,
            payload=b"x",
            options=(*template.options, one),
        )
        pair.server.endpoint.handle_segment(pair.now, byte)
        while pair.server.endpoint.poll_transmit(pair.now) is not None:
            pass
        while pair.server.endpoint.poll_event() is not None:
            pass
    assert deep_size(pair.server.endpoint, without=(pair, pair.server)) < 200_000
    assert pair.server.read() == b"x" * 20_000


def checked(profile: Profile = Profile.V1) -> Pair:
    """One path, with checksums; the client has sent 1,000 bytes."""
    mptcp = MptcpConfig(checksum=True)
    pair = Pair(client=replace(multipath(profile=profile).config, mptcp=mptcp), server=ServerConfig())
    pair.establish()
    transfer(pair, b"q" * 1_000)
    pair.run(until=pair.now + SECOND)
    return pair


def last_of(pair: Pair) -> Segment:
    last = pair.segments("up")[-1]
    kept = tuple(one for one in last.options if isinstance(one, Timestamps))
    return replace(last, seq=last.seq + last.seq_length, flags=ACK, payload=b"", options=kept)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_wrong_checksum_behind_a_hole(profile: Profile) -> None:
    """The bytes cannot count as they are: what is missing would never come. RST with MP_FAIL (§3.7)."""
    pair = checked(profile)
    one = mapping(pair, 1_001, 1_101, 4, checksum=0xBAD)
    segment = last_of(pair)
    pair.deliver(pair.server, replace(segment, payload=b"evil", options=(*segment.options, one)))
    (reset,) = resets(pair)
    assert has(reset, MpFail)
    assert pair.server.closed() is not None
    assert pair.server.report().reason is Reason.CHECKSUM_FAILED
    assert pair.server.received() == b"q" * 1_000


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("infinite", [False, True])
def test_a_wrong_checksum_of_a_copy(profile: Profile, infinite: bool) -> None:
    """The bytes are known: a copy stays a copy, also when the peer falls back upon MP_FAIL."""
    pair = checked(profile)
    segment = last_of(pair)
    one = mapping(pair, 1_001, 501, 4, checksum=0xBAD)
    pair.deliver(pair.server, replace(segment, payload=b"evil", options=(*segment.options, one)))
    assert any(has(one, MpFail) for one in pair.segments("down"))
    assert pair.server.received() == b"q" * 1_000
    behind = replace(segment, seq=segment.seq + 4, payload=b"good")
    if infinite:
        sign = mapping(pair, 1_005, 1_001, 0, checksum=0)
    else:
        checksum = dss_checksum(dsn(pair, 1_001), 1_005, 4, sum(divmod(0x676F + 0x6F64, 0x10000)))
        sign = mapping(pair, 1_005, 1_001, 4, checksum=checksum)
    pair.deliver(pair.server, replace(behind, options=(*segment.options, sign)))
    assert pair.server.received() == b"q" * 1_000 + b"good"
    assert pair.server.report().verdict is (Verdict.FALLBACK if infinite else Verdict.MPTCP)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_data_fin_does_not_outlive_mptcp(profile: Profile) -> None:
    """Noted before the peer fell back, it would cut the plain stream that follows."""
    pair = checked(profile)
    segment = last_of(pair)
    checksum = dss_checksum(dsn(pair, 1_003), 0, 1, 0)
    fin = replace(data_fin(pair, 1_003), checksum=checksum)
    pair.deliver(pair.server, replace(segment, options=(*segment.options, fin)))
    infinite = mapping(pair, 1_001, 1_001, 0, checksum=0)
    plain = replace(segment, payload=b"0123456789", options=(*segment.options, infinite))
    pair.deliver(pair.server, plain)
    assert pair.server.received() == b"q" * 1_000 + b"0123456789"
    pair.deliver(pair.server, replace(segment, seq=segment.seq + 10, flags=ACK | FIN))
    assert pair.server.finished()


@pytest.mark.parametrize("offset", [1, 2, 10_000, 1 << 40])
def test_a_data_ack_of_what_was_never_sent(offset: int) -> None:
    """Ignored, and so is the window beside it (RFC 8684 §3.3.2)."""
    pair = multipath(server={"tcp": TcpConfig(receive_buffer=10_000, window_scale=0)})
    open_subflows(pair)
    pair.server.reading = False
    pair.client.send(bytes(50_000))
    pair.run(until=pair.now + SECOND)
    sent = sum(len(one.payload) for one in pair.segments("up"))
    number = dsn(pair, NEXT + 10_000 + offset)
    wide = forged(pair, "down", 2, Dss(data_ack=number, data_ack_8=True), window=60_000)
    pair.deliver(pair.client, wide)
    pair.run(until=pair.now + SECOND // 10)
    assert sum(len(one.payload) for one in pair.segments("up")) <= sent + 1
    pair.server.reading = True
    pair.server.read()
    pair.run(until=lambda: len(pair.server.received()) == 50_001)
