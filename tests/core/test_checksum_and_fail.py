"""DSS checksums, MP_FAIL and the infinite mapping on the only subflow. Read first: RFC 8684 §3.3.1, §3.7."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import RST, SYN, Dss, MpCapable, MpFail, MpJoinSyn, MpTcpRst, Segment
from testbed.mptcp.wire.checksum import dss_checksum, residue
from tests.core.boxes import KEYS_LATER, MPTCP, Rewrite, changing, exchange, find, onward, option, pair_of
from tests.core.multipath import CLIENT, SERVER, closed_subflows, forged, multipath, open_subflows
from tests.pair import MILLISECOND, PORT, SECOND, Pair, Side


def checked(profile: Profile, rewrite: Rewrite | None = None, **more: object) -> Pair:
    mptcp = MptcpConfig(checksum=True)
    return Pair(
        client=ClientConfig(profile=profile, mptcp=mptcp),
        server=ServerConfig(mptcp=mptcp),
        rewrite=rewrite,
        **more,  # type: ignore[arg-type]
    )


def corrupt(marker: bytes) -> Rewrite:
    def rewrite(way: str, n: int, segment: Segment) -> Segment:
        return replace(segment, payload=segment.payload.replace(marker, b"X" * len(marker)))

    return rewrite


def failing(profile: Profile, way: str, **more: object) -> tuple[Pair, Side, Side]:
    """A connection on which b"bad" has just arrived with a wrong checksum: pair, its sender, its receiver."""
    pair = checked(profile, corrupt(b"bad"), **more)
    pair.establish()
    sender, receiver = (pair.client, pair.server) if way == "up" else (pair.server, pair.client)
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.server.send(b"a" * 300)
    pair.run(until=lambda: pair.client.received() == b"a" * 300)
    sender.send(b"bad")
    pair.run(until=lambda: len(receiver.received()) == 303)
    pair.run(until=pair.now + SECOND)
    return pair, sender, receiver


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("profile", MPTCP)
def test_wrong_checksum_on_the_only_subflow(profile: Profile, way: str) -> None:
    """MP_FAIL with the DSN of the bytes in question; the other end answers with an infinite mapping and,
    since RFC 8684, with MP_FAIL; no DATA_ACK follows, and the bytes count as they are."""
    pair, sender, receiver = failing(profile, way)
    back = "down" if way == "up" else "up"
    mapped = next(one for one in reversed(find(pair, way, Dss)) if one.dsn is not None and one.length == 3)
    (fail,) = find(pair, back, MpFail)
    assert fail.dsn == mapped.dsn
    assert len(find(pair, way, MpFail)) == (1 if profile is Profile.V1 else 0)
    since = len(pair.segments(way))
    sender.send(b"more" * 100)
    pair.run(until=lambda: len(receiver.received()) == 703)
    infinite = [dss for one in pair.segments(way)[since:] if (dss := option(one, Dss)) is not None]
    assert infinite
    assert all(one.length == 0 and one.dsn is not None and one.checksum == 0 for one in infinite)
    assert receiver.report().reason is Reason.CHECKSUM_FAILED
    assert sender.report().reason is Reason.MP_FAIL_RECEIVED
    sent = len(pair.segments("up")), len(pair.segments("down"))
    receiver.send(b"else" * 100)
    pair.run(until=lambda: len(sender.received()) == 700)
    for one in (*pair.segments("up")[sent[0] :], *pair.segments("down")[sent[1] :]):
        dss = option(one, Dss)
        assert dss is None or (dss.data_ack is None and dss.length == 0)
    end_cleanly(pair)
    assert receiver.received()[300:303] == b"XXX"


def end_cleanly(pair: Pair) -> None:
    pair.client.close()
    pair.server.close()
    pair.run()
    assert pair.client.closed().clean  # type: ignore[union-attr]
    assert pair.server.closed().clean  # type: ignore[union-attr]


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("profile", MPTCP)
def test_dss_goes_on_until_the_peer_has_fallen_back(profile: Profile, way: str) -> None:
    """Linux sends no more if an infinite mapping comes before it has sent its own."""
    pair, sender, receiver = failing(profile, way)
    assert receiver.report().verdict is Verdict.MPTCP
    back = "down" if way == "up" else "up"
    since = len(pair.segments(back))
    receiver.send(b"else" * 100)
    pair.run(until=lambda: len(sender.received()) == 700)
    (dss,) = [option(one, Dss) for one in pair.segments(back)[since:] if one.payload]
    assert dss is not None
    assert (dss.length, dss.checksum is not None) == (400, True)
    # Its ACK comes without a DATA_ACK: that is plain TCP.
    pair.run(until=pair.now + SECOND)
    assert receiver.report().reason is Reason.CHECKSUM_FAILED
    sender.send(b"more" * 100)
    receiver.send(b"again" * 100)
    pair.run(until=lambda: len(receiver.received()) == 703 and len(sender.received()) == 1200)
    end_cleanly(pair)


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("profile", MPTCP)
def test_a_wrong_checksum_before_the_end(profile: Profile, way: str, first: str) -> None:
    """Nothing more is sent: a FIN without a DATA_FIN says it, or a DATA_FIN that nobody answers."""
    pair, _, receiver = failing(profile, way)
    side = getattr(pair, first)
    side.close()
    pair.run(until=pair.now + 5 * SECOND)
    end_cleanly(pair)
    assert receiver.report().reason is Reason.CHECKSUM_FAILED


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("profile", MPTCP)
def test_without_mp_fail_the_sender_goes_on(profile: Profile, way: str) -> None:
    """It was lost, or the sender is Linux with nothing more to send: so does the receiver, and says it again
    when it happens again."""

    def lose(way: str, n: int, segment: Segment) -> bool:
        return option(segment, MpFail) is not None

    pair, sender, receiver = failing(profile, way, lose=lose)
    sender.send(b"good")
    receiver.send(b"good")
    pair.run(until=lambda: len(receiver.received()) == 307 and len(sender.received()) == 304)
    sender.send(b"bad")
    pair.run(until=lambda: len(receiver.received()) == 310)
    pair.run(until=pair.now + SECOND)
    assert receiver.endpoint.counters["MPFailTx"] == receiver.endpoint.counters["DataCsumErr"] == 2
    end_cleanly(pair)
    assert sender.report().verdict is receiver.report().verdict is Verdict.MPTCP
    assert receiver.received()[300:] == b"XXXgoodXXX"


def test_no_subflow_after_a_wrong_checksum() -> None:
    pair, _, _ = failing(Profile.V1, "up", client_addresses=CLIENT[:2], server_addresses=SERVER[:1])
    token = pair.server.report().local_token
    assert token is not None
    syn = Segment(CLIENT[1], SERVER[0], 41_000, PORT, 7, 0, SYN, 65_535, (MpJoinSyn(False, 1, token, 5),))
    pair.deliver(pair.server, syn)
    assert pair.segments("down")[-1].flags & RST


@pytest.mark.parametrize("profile", KEYS_LATER)
def test_wrong_checksum_in_the_long_option(profile: Profile) -> None:
    """Payload changed on the way: the checksum inside MP_CAPABLE tells (draft §3.1.6)."""
    pair = checked(profile, corrupt(b"bad"))
    pair.connect()
    pair.client.send(b"bad request")
    pair.run(until=lambda: len(pair.server.received()) == 11)
    pair.server.send(b"answer")
    pair.run(until=lambda: pair.client.received() == b"answer")
    pair.run(until=pair.now + SECOND)
    assert pair.server.report().reason is Reason.CHECKSUM_FAILED
    assert len(find(pair, "down", MpFail)) == 1


@pytest.mark.parametrize("profile", MPTCP)
def test_right_checksum_with_more_than_one_segment_per_mapping(profile: Profile) -> None:
    exchange(checked(profile), b"q" * 20_000, b"a" * 20_000)


@pytest.mark.parametrize("kind", [Dss, MpCapable])
@pytest.mark.parametrize("profile", MPTCP)
def test_checksum_that_nobody_negotiated(profile: Profile, kind: type) -> None:
    """RFC 6824 (and so the draft) ignores the field, RFC 8684 resets the subflow."""

    def maps(way: str, segment: Segment, one: Any) -> bool:
        number = one.dsn if kind is Dss else one.data_length
        return way == "up" and number is not None

    add = changing(kind, maps, checksum=0x1234)
    pair = pair_of(profile, rewrite=add)
    pair.connect()
    pair.client.send(b"q" * 3_000)
    pair.run(until=pair.now + 2 * SECOND)
    if profile is Profile.V1:
        end = pair.server.closed()
        assert end is not None
        assert end.reason is Reason.CHECKSUM_UNEXPECTED
        reset = next(one for one in pair.segments("down") if one.flags & RST)
        assert option(reset, MpTcpRst) == MpTcpRst(1)
    else:
        assert pair.server.received() == b"q" * 3_000
        assert pair.server.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize(
    ("profile", "kind"), [*((profile, Dss) for profile in MPTCP), *((one, MpCapable) for one in KEYS_LATER)]
)
def test_negotiated_checksum_is_missing(profile: Profile, kind: type) -> None:
    """Reset, whatever the option's own A bit says: what was negotiated decides between 22 and 24 bytes."""
    cut = changing(kind, lambda way, segment, one: way == "up", checksum=None)
    pair = checked(profile, cut)
    pair.connect()
    pair.client.send(b"q" * 3_000)
    pair.run(until=pair.now + SECOND)
    end = pair.server.closed()
    assert end is not None
    assert end.reason is Reason.CHECKSUM_MISSING


@pytest.mark.parametrize("profile", MPTCP)
def test_an_infinite_mapping_ends_mptcp_for_good(profile: Profile) -> None:
    """Later DATA_ACKs, and mappings that say what plain TCP does anyway, change nothing (RFC 8684 §3.7)."""
    pair = pair_of(profile)
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.run(until=pair.now + 100 * MILLISECOND)
    key = find(pair, "up", MpCapable)[-1].sender_key
    assert key is not None
    following = token_and_idsn(key, profile is Profile.V1)[1] + 301
    mapping = Dss(dsn=following, dsn_8=True, ssn=301)
    pair.deliver(pair.server, onward(pair, "up", replace(mapping, length=0)))
    assert pair.server.report().reason is Reason.INFINITE_MAPPING_RECEIVED
    before = len(pair.segments("down"))
    pair.deliver(pair.server, onward(pair, "up", Dss(data_ack=1)))
    pair.deliver(pair.server, onward(pair, "up", replace(mapping, length=9)))
    pair.client.send(b"r" * 300)
    pair.run(until=lambda: len(pair.server.received()) == 600)
    assert all(option(one, Dss) is None for one in pair.segments("down")[before:])


@pytest.mark.parametrize("profile", MPTCP)
def test_mp_fail_without_checksums_is_taken_at_its_word(profile: Profile) -> None:
    pair = pair_of(profile)
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.deliver(pair.server, onward(pair, "up", MpFail(0)))
    assert pair.server.report().reason is Reason.MP_FAIL_RECEIVED


def with_data_fin(payload: bytes, checksum: int | None, agreed: bool = True) -> Pair:
    """Two subflows; on the second the server has just heard the client's DATA_FIN, behind `payload`.
    `checksum`: what is added to the right one, None for no checksum at all."""
    mptcp = MptcpConfig(checksum=agreed)
    pair = multipath(2, client={"mptcp": mptcp}, server={"mptcp": mptcp})
    open_subflows(pair)
    capable = find(pair, "up", MpCapable)[1]
    assert capable.sender_key is not None
    dsn = token_and_idsn(capable.sender_key, True)[1] + 2  # behind b"?"
    ssn, length = (1 if payload else 0), len(payload) + 1
    if checksum is not None:
        checksum = (dss_checksum(dsn, ssn, length, residue(payload)) + checksum) & 0xFFFF
    acked = find(pair, "up", Dss)[-1].data_ack
    fin = Dss(acked, True, dsn, True, ssn, length, checksum, data_fin=True)
    pair.deliver(pair.server, forged(pair, "up", 2, fin, payload=payload))
    return pair


@pytest.mark.parametrize("payload", [b"", b"the last bytes"])
@pytest.mark.parametrize(
    ("checksum", "agreed", "reason"),
    [
        (0, True, None),
        (1, True, Reason.CHECKSUM_FAILED),
        (None, True, Reason.CHECKSUM_MISSING),
        (0, False, Reason.CHECKSUM_UNEXPECTED),
        (None, False, None),
    ],
)
def test_the_checksum_of_a_data_fin(
    payload: bytes, checksum: int | None, agreed: bool, reason: Reason | None
) -> None:
    """Looked at before it ends the stream, also behind data (RFC 8684 §3.3.1, §3.3.3)."""
    pair = with_data_fin(payload, checksum, agreed)
    assert pair.server.finished() is (reason is None)
    assert pair.server.received() == b"?" + (payload if reason is None else b"")
    assert [one.reason for one in closed_subflows(pair.server)] == ([] if reason is None else [reason])
    if reason is not None:
        pair.client.send(b"more")
        pair.client.close()
        pair.run(until=pair.server.finished, limit=10 * SECOND)
        assert pair.server.received() == b"?more"


@pytest.mark.parametrize("profile", MPTCP)
def test_a_data_fin_that_is_always_wrong_on_the_only_subflow(profile: Profile) -> None:
    """MP_FAIL, and plain TCP ends the stream."""
    spoil = changing(Dss, lambda way, segment, one: way == "up" and one.data_fin, checksum=0x1234)
    pair = checked(profile, spoil)
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.client.close()
    pair.run(until=pair.now + 5 * SECOND)
    assert pair.server.finished()
    end_cleanly(pair)
    assert pair.server.report().reason is Reason.CHECKSUM_FAILED
