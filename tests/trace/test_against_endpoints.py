"""The verdict judged from the wire against the endpoints' own, for every rule that one subflow can meet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.link import LinkParams
from testbed.mptcp.config import (
    ClientConfig,
    FirstData,
    LostThirdAck,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    ThirdAck,
)
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import Segment
from tests.pair import SECOND, Pair
from tests.trace.against import captured, compare, compared, request_and_response

PROFILES = (Profile.V0, Profile.DRAFT, Profile.V1, Profile.TCP)
DROPS: tuple[tuple[str, ...], ...] = (
    (),
    ("third_ack",),
    ("data:1",),
    ("third_ack", "data:1"),
    ("syn",),
    ("syn:1-3",),
    ("synack",),
    ("third_ack", "synack"),
    ("syn", "third_ack"),
)


@pytest.mark.parametrize("request_bytes", [300, 14_000])
@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize("drops", DROPS, ids="+".join)
@pytest.mark.parametrize("profile", PROFILES)
def test_exact_drops(
    profile: Profile, drops: tuple[str, ...], cookies: SynCookies, request_bytes: int, tmp_path: Path
) -> None:
    client, server = ClientConfig(profile=profile), ServerConfig(syn_cookies=cookies)
    compare(tmp_path / "a.pcapng", client, server, drops, request_bytes).check()


def _client(profile: Profile, **fields: object) -> ClientConfig:
    own = {name: fields.pop(name) for name in ("third_ack", "first_data", "syn_retries") if name in fields}
    return ClientConfig(profile=profile, mptcp=MptcpConfig(**fields), **own)  # type: ignore[arg-type]


def _server(cookies: SynCookies = SynCookies.OFF, **fields: object) -> ServerConfig:
    own = {name: fields.pop(name) for name in ("profiles",) if name in fields}
    return ServerConfig(syn_cookies=cookies, mptcp=MptcpConfig(**fields), **own)  # type: ignore[arg-type]


CONFIGURED = {
    "checksums": (_client(Profile.V0, checksum=True), _server(), (), Verdict.MPTCP, Reason.NONE),
    "checksums, v1": (_client(Profile.V1), _server(checksum=True), (), Verdict.MPTCP, Reason.NONE),
    "4-byte DSNs": (_client(Profile.V1, dsn_bytes=4), _server(dsn_bytes=4), (), Verdict.MPTCP, Reason.NONE),
    "checksum refused": (
        _client(Profile.V1, refuse_checksum=True),
        _server(checksum=True),
        (),
        Verdict.FALLBACK,
        Reason.CHECKSUM_REFUSED,
    ),
    "listener of another profile": (
        _client(Profile.V0),
        _server(profiles=(Profile.V1, Profile.TCP)),
        (),
        Verdict.FALLBACK,
        Reason.NO_CAPABLE_IN_SYNACK,
    ),
    "plain listener": (
        _client(Profile.V1),
        _server(profiles=(Profile.TCP,)),
        (),
        Verdict.FALLBACK,
        Reason.NO_CAPABLE_IN_SYNACK,
    ),
    "letter of RFC 6824": (
        _client(Profile.V0),
        _server(lost_third_ack=LostThirdAck.FALL_BACK),
        ("third_ack",),
        Verdict.FALLBACK,
        Reason.COOKIE_WITHOUT_KEY,  # from the wire: nothing shows that this listener keeps state
    ),
    "data as third ACK": (
        _client(Profile.DRAFT, third_ack=ThirdAck.PIGGYBACK),
        _server(SynCookies.ALWAYS),
        (),
        Verdict.MPTCP,
        Reason.NONE,
    ),
    "plain DSS first": (
        _client(Profile.V1, first_data=FirstData.DSS),
        _server(SynCookies.ALWAYS),
        ("third_ack",),
        Verdict.FALLBACK,
        Reason.COOKIE_WITHOUT_KEY,
    ),
    "plain DSS first, nothing lost": (
        _client(Profile.V1, first_data=FirstData.DSS),
        _server(SynCookies.ALWAYS),
        (),
        Verdict.MPTCP,
        Reason.NONE,
    ),
    "first MPTCP SYN lost, none repeated": (
        _client(Profile.V1, syn_retries=0),
        _server(),
        ("syn",),
        Verdict.FALLBACK,
        Reason.SYN_RETRIES_EXHAUSTED,
    ),
}


@pytest.mark.parametrize("name", CONFIGURED)
def test_configurations(name: str, tmp_path: Path) -> None:
    client, server, drops, verdict, reason = CONFIGURED[name]
    found = compare(tmp_path / "a.pcapng", client, server, drops)
    assert (found.wire.verdict, found.wire.reason) == (verdict, reason), found.text
    if name != "letter of RFC 6824":
        found.check()


def test_isn_recovery_of_the_draft(tmp_path: Path) -> None:
    """draft §3.2: the second segment rebuilds the connection whose third ACK and first data were lost."""
    drops = ("third_ack", "data:1")
    client, server = _client(Profile.DRAFT), _server(SynCookies.ALWAYS, isn_recovery=True)
    found = compare(tmp_path / "a.pcapng", client, server, drops, 14_000)
    found.check()
    assert found.wire.verdict is Verdict.MPTCP, found.text


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", range(12))
def test_random_loss(profile: Profile, seed: int, tmp_path: Path) -> None:
    """20 % of the packets lost in both directions: whatever comes of it, wire and ends agree."""
    link = LinkParams(delay=10_000_000, loss=0.2)
    server = ServerConfig(syn_cookies=SynCookies.ALWAYS if seed % 2 else SynCookies.OFF)
    pair = Pair(client=ClientConfig(profile=profile), server=server, up=link, down=link, seed=seed)
    request_and_response(pair, 6_000, 6_000)
    (wire,) = captured(pair, tmp_path / "a.pcapng")
    compared(pair, wire).check()


def test_server_speaks_first_and_the_third_ack_is_lost(tmp_path: Path) -> None:
    """A stateless listener then has no connection, and the client waits until its application gives up."""
    pair = Pair(server=ServerConfig(syn_cookies=SynCookies.ALWAYS), up=("third_ack",))
    pair.connect()
    pair.run(until=pair.now + 30 * SECOND)
    pair.client.abort(reason=Reason.NO_PROGRESS)
    pair.run()
    (wire,) = captured(pair, tmp_path / "a.pcapng")
    assert (wire.verdict, wire.reason) == (Verdict.HANG, Reason.NO_PROGRESS)
    assert wire.ends[1] is None
    compared(pair, wire)._check_end(wire.ends[0], pair.client.report())


def test_nobody_answers(tmp_path: Path) -> None:
    pair = Pair(lose=lambda way, n, segment: way == "up")
    pair.connect()
    pair.run()
    (wire,) = captured(pair, tmp_path / "a.pcapng")
    assert (wire.verdict, wire.reason) == (Verdict.HANG, Reason.CONNECT_TIMED_OUT)
    assert wire.verdict is pair.client.report().verdict
    assert wire.reason is pair.client.report().reason
    assert wire.closed_by == "open"


def test_aborted(tmp_path: Path) -> None:
    pair = Pair(client=ClientConfig(profile=Profile.V0))
    pair.establish()
    pair.client.send(b"hello")
    pair.run(until=lambda: pair.server.received() == b"hello")
    pair.client.abort()
    pair.run()
    (wire,) = captured(pair, tmp_path / "a.pcapng")
    compared(pair, wire).check()
    assert (wire.verdict, wire.reason) == (Verdict.RESET, Reason.ABORTED)


def test_fast_close(tmp_path: Path) -> None:
    pair = Pair(client=ClientConfig(profile=Profile.V1))
    pair.establish()
    pair.client.send(b"hello")
    pair.run(until=lambda: pair.server.received() == b"hello")
    pair.client.abort()
    pair.run()
    (wire,) = captured(pair, tmp_path / "a.pcapng")
    compared(pair, wire).check()
    assert wire.closed_by == "fastclose"


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("more", [True, False], ids=["more", "nothing more"])
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("profile", PROFILES[:3])
def test_a_payload_is_changed(profile: Profile, way: str, more: bool, first: str, tmp_path: Path) -> None:
    """MP_FAIL says so; when the end that said it falls back is for its peer to decide."""

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        return replace(segment, payload=segment.payload.replace(b"bad", b"BAD"))

    mptcp = MptcpConfig(checksum=True)
    pair = Pair(client=ClientConfig(profile=profile, mptcp=mptcp), rewrite=rewrite)
    pair.establish()
    sender, receiver = (pair.client, pair.server) if way == "up" else (pair.server, pair.client)
    pair.client.send(b"hello")
    pair.run(until=lambda: pair.server.received() == b"hello")
    sender.send(b"bad")
    pair.run(until=lambda: receiver.received().endswith(b"BAD"))
    if more:
        pair.client.send(bytes(100))
        pair.server.send(bytes(100))
    getattr(pair, first).close()
    pair.run(until=pair.now + SECOND)
    pair.client.close()
    pair.server.close()
    pair.run()
    (wire,) = captured(pair, tmp_path / "a.pcapng")
    compared(pair, wire).check()
    assert wire.verdict is Verdict.FALLBACK
    assert receiver.report().reason is Reason.CHECKSUM_FAILED


def test_many_connections_of_one_capture_are_kept_apart(tmp_path: Path) -> None:
    pair = Pair()
    for _ in range(20):
        pair.establish()
    for number in pair.client.connections:
        pair.client.send(number.to_bytes(2, "big") * 50, number)
        pair.client.close(number)
    pair.run(until=pair.now + SECOND)
    for number in pair.server.connections:
        pair.server.close(number)
    pair.run()
    found = captured(pair, tmp_path / "a.pcapng")
    assert len(found) == 20
    assert {each.verdict for each in found} == {Verdict.MPTCP}
    assert {each.closed_by for each in found} == {"data_fin"}
    assert {each.bytes for each in found} == {(100, 0)}
    assert len({each.keys for each in found}) == 20
