"""What flags, versions and lengths of MP_CAPABLE lead to. Read first: RFC 8684 §3.1, RFC 6824 §3.1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import Dss, MpCapable, Segment
from tests.core.boxes import (
    BOTH_COOKIES,
    KEYS_LATER,
    MPTCP,
    changing,
    exchange,
    find,
    is_syn,
    is_synack,
    is_third_ack,
    option,
    pair_of,
)
from tests.pair import Pair

When = Callable[[str, Segment, MpCapable], bool]
in_syn: When = lambda way, segment, capable: is_syn(segment)  # noqa: E731
in_synack: When = lambda way, segment, capable: is_synack(segment)  # noqa: E731


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
def test_keys_tokens_and_first_numbers(profile: Profile, cookies: SynCookies) -> None:
    """Lengths 12/12/20 or 4/12/20; SHA-256 for RFC 8684 only; the first byte is IDSN + 1 (§3.1, §3.3.1)."""
    pair = pair_of(profile, cookies)
    exchange(pair)
    client, server = pair.client.report(), pair.server.report()
    assert client.verdict is server.verdict is Verdict.MPTCP
    assert (client.local_key, client.remote_key) == (server.remote_key, server.local_key)
    assert client.local_key is not None
    assert client.remote_key is not None
    sizes = [len(one.encode()) for one in find(pair, "up", MpCapable)]
    assert sizes[:2] == ([12, 20] if profile is Profile.V0 else [4, 20])
    assert len(find(pair, "down", MpCapable)[0].encode()) == 12
    sha256 = profile is Profile.V1
    token, idsn = token_and_idsn(client.local_key, sha256)
    assert token == client.local_token == server.remote_token
    acked = [one.data_ack for one in find(pair, "down", Dss) if one.data_ack_8]
    assert acked
    assert acked[-1] == (idsn + 1 + 3_000 + 1) % 2**64  # the DATA_FIN included
    first = next(one for one in find(pair, "down", Dss) if one.dsn is not None)
    assert first.dsn == (token_and_idsn(client.remote_key, sha256)[1] + 1) % 2**64
    assert first.ssn == 1


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("fields", [{"flags": 0x41}, {"flags": 0x00}, {"version": 0, "sender_key": 7}])
def test_syn_that_a_v1_server_cannot_take(fields: dict[str, int], cookies: SynCookies) -> None:
    """Flag B, no HMAC flag, or RFC 6824's form: the SYN/ACK has no MP_CAPABLE, no DSS either way."""
    pair = pair_of(Profile.V1, cookies, changing(MpCapable, in_syn, **fields))
    pair.server.endpoint.listen(20080, ServerConfig(profiles=(Profile.V1, Profile.TCP), syn_cookies=cookies))
    exchange(pair)
    assert find(pair, "down", MpCapable) == []
    assert find(pair, "up", Dss) == find(pair, "down", Dss) == []
    assert pair.client.report().reason is Reason.NO_CAPABLE_IN_SYNACK


def test_v0_syn_with_flag_b_gets_no_answer() -> None:
    """RFC 6824 §3.1 has it silently ignored; the plain SYN of the third retry is answered."""
    pair = pair_of(Profile.V0, SynCookies.OFF, changing(MpCapable, in_syn, flags=0x41))
    exchange(pair)
    assert len([one for one in pair.segments("up") if is_syn(one)]) == 4
    assert pair.client.report().reason is Reason.SYN_RETRIES_EXHAUSTED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"flags": 0x41}, Reason.NO_CAPABLE_IN_SYNACK),
        ({"flags": 0x00}, Reason.NO_CAPABLE_IN_SYNACK),
        ({"version": 0}, Reason.VERSION_NOT_OFFERED),
        ({"version": 3}, Reason.VERSION_NOT_OFFERED),
        ({"sender_key": None}, Reason.NO_CAPABLE_IN_SYNACK),
    ],
)
def test_synack_that_a_v1_client_cannot_take(fields: dict[str, int], reason: Reason) -> None:
    """The third ACK then has no MPTCP option, and it is plain TCP at both ends."""
    pair = pair_of(Profile.V1, SynCookies.OFF, changing(MpCapable, in_synack, **fields))
    exchange(pair)
    assert find(pair, "up", MpCapable) == find(pair, "up", MpCapable)[:1]
    assert find(pair, "up", Dss) == []
    assert pair.client.report().reason is reason
    assert pair.server.report().reason is Reason.THIRD_ACK_WITHOUT_CAPABLE


@pytest.mark.parametrize("fields", [{"version": 5}, {"flags": 0x41}, {"flags": 0x00}])
@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
def test_third_ack_that_counts_as_absent(
    profile: Profile, cookies: SynCookies, fields: dict[str, int]
) -> None:
    """Wrong version nibble or flag B behind the SYN/ACK: the server falls back and sends no DSS."""
    change = changing(MpCapable, lambda way, segment, one: way == "up" and not is_syn(segment), **fields)
    pair = pair_of(profile, cookies, change)
    exchange(pair)
    assert find(pair, "down", Dss) == []
    assert pair.server.report().verdict is not Verdict.MPTCP
    assert pair.client.report().verdict is Verdict.FALLBACK


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
def test_another_server_key_than_ours_counts_as_absent(profile: Profile, cookies: SynCookies) -> None:
    pair = pair_of(profile, cookies, changing(MpCapable, is_third_ack, receiver_key=99))
    exchange(pair)
    expected = (
        Reason.COOKIE_KEY_MISMATCH if cookies is SynCookies.ALWAYS else Reason.THIRD_ACK_WITHOUT_CAPABLE
    )
    assert pair.server.report().reason is expected
    assert find(pair, "down", Dss) == []


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
def test_v0_client_and_a_server_that_speaks_v1_only(cookies: SynCookies) -> None:
    pair = Pair(
        client=ClientConfig(profile=Profile.V0),
        server=ServerConfig(profiles=(Profile.V1, Profile.TCP), syn_cookies=cookies),
    )
    exchange(pair)
    assert find(pair, "down", MpCapable) == []


def test_a_draft_client_and_a_server_that_answers_with_version_1() -> None:
    """A listener that speaks less than was offered answers with its own version: the client falls back."""
    pair = Pair(
        client=ClientConfig(profile=Profile.DRAFT), server=ServerConfig(profiles=(Profile.V1, Profile.TCP))
    )
    exchange(pair)
    assert find(pair, "down", MpCapable)[0].version == 1
    assert pair.client.report().reason is Reason.VERSION_NOT_OFFERED


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
@pytest.mark.parametrize("who", ["client", "server", "both"])
def test_checksums_when_either_side_asks(profile: Profile, cookies: SynCookies, who: str) -> None:
    asks = {side: MptcpConfig(checksum=who in (side, "both")) for side in ("client", "server")}
    pair = Pair(
        client=ClientConfig(profile=profile, mptcp=asks["client"]),
        server=ServerConfig(syn_cookies=cookies, mptcp=asks["server"]),
    )
    exchange(pair)
    assert pair.client.report().verdict is pair.server.report().verdict is Verdict.MPTCP
    for way in ("up", "down"):
        mapped = [one for one in find(pair, way, Dss) if one.dsn is not None]
        assert mapped
        assert all(one.checksum is not None for one in mapped)
    if profile is not Profile.V0:
        long = [one for one in find(pair, "up", MpCapable) if one.data_length is not None]
        assert [len(one.encode()) for one in long] == [24]


@pytest.mark.parametrize("profile", [Profile.DRAFT, Profile.V1])
def test_without_checksums_the_long_option_has_22_bytes(profile: Profile) -> None:
    pair = pair_of(profile)
    exchange(pair)
    long = [one for one in find(pair, "up", MpCapable) if one.data_length is not None]
    assert [len(one.encode()) for one in long] == [22]


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("profile", MPTCP)
@pytest.mark.parametrize("refuses", ["client", "server"])
def test_refused_checksums_mean_plain_tcp(profile: Profile, cookies: SynCookies, refuses: str) -> None:
    refuse, ask = MptcpConfig(refuse_checksum=True), MptcpConfig(checksum=True)
    pair = Pair(
        client=ClientConfig(profile=profile, mptcp=refuse if refuses == "client" else ask),
        server=ServerConfig(syn_cookies=cookies, mptcp=refuse if refuses == "server" else ask),
    )
    exchange(pair)
    assert find(pair, "up", Dss) == find(pair, "down", Dss) == []
    expected = Reason.CHECKSUM_REFUSED if refuses == "client" else Reason.NO_CAPABLE_IN_SYNACK
    assert pair.client.report().reason is expected


@pytest.mark.parametrize("profile", MPTCP)
@pytest.mark.parametrize("cookies", BOTH_COOKIES)
def test_over_ipv6(profile: Profile, cookies: SynCookies) -> None:
    pair = pair_of(
        profile,
        cookies,
        client_addresses=(bytes.fromhex("fd00000000000000000000000000000a"),),
        server_addresses=(bytes.fromhex("fd00000000000000000000000000000b"),),
    )
    exchange(pair, b"q" * 30_000, b"a" * 30_000)
    assert pair.client.report().verdict is pair.server.report().verdict is Verdict.MPTCP
    assert max(segment.length for way in ("up", "down") for segment in pair.segments(way)) <= 1500


def test_the_last_word_is_the_third_packets() -> None:
    """A stateful v0 server knows the key from the SYN; an ACK that arrives without MP_CAPABLE ends it."""

    def strip(way: str, n: int, segment: Segment) -> Segment:
        capable = option(segment, MpCapable)
        if capable is not None and is_third_ack(way, segment, capable):
            return replace(segment, options=tuple(o for o in segment.options if o is not capable))
        return segment

    pair = pair_of(Profile.V0, SynCookies.OFF, strip)
    exchange(pair)
    assert pair.server.report().reason is Reason.THIRD_ACK_WITHOUT_CAPABLE
    assert pair.client.report().reason is Reason.NO_DATA_ACK


@pytest.mark.parametrize("profile", KEYS_LATER)
def test_a_data_ack_from_before_the_first_data_proves_nothing(profile: Profile) -> None:
    """The client closes its side first, with DATA_FIN and DATA_ACK; of what then comes it speaks plain TCP.
    So does a client of Linux that has fallen back in between (RFC 8684 §3.7)."""
    gone = False

    def strip(way: str, _n: int, segment: Segment) -> Segment:
        if way == "down" or not gone:
            return segment
        return replace(segment, options=tuple(o for o in segment.options if not isinstance(o, Dss)))

    pair = pair_of(profile, rewrite=strip)
    number = pair.establish()
    pair.client.close(number)
    pair.run(until=lambda: pair.server.finished())
    gone = True
    pair.server.send(b"a" * 300)
    pair.server.close()
    pair.run()
    assert pair.client.received() == b"a" * 300
    for side in (pair.client, pair.server):
        end = side.closed()
        assert end is not None
        assert end.clean, end
    assert pair.server.report().verdict is Verdict.FALLBACK
    assert pair.server.report().reason is Reason.NO_DATA_ACK


@pytest.mark.parametrize("with_dss", [False, True])
def test_a_third_ack_with_another_client_key_does_not_replace_the_syns(with_dss: bool) -> None:
    """RFC 6824 §3.1: the key came in the SYN. The option counts as absent, as with another server key."""
    changed: list[Segment] = []

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        capable = next((one for one in segment.options if isinstance(one, MpCapable)), None)
        if way != "up" or capable is None or capable.receiver_key is None:
            return segment
        changed.append(segment)
        assert capable.sender_key is not None
        options = tuple(
            replace(one, sender_key=capable.sender_key ^ 1) if one is capable else one
            for one in segment.options
        )
        return replace(segment, options=(*options, Dss(data_ack=1)) if with_dss else options)

    pair = Pair(client=ClientConfig(profile=Profile.V0), rewrite=rewrite)
    pair.establish()
    assert changed
    pair.client.send(bytes(5_000))
    pair.server.send(bytes(5_000))
    pair.run(until=lambda: len(pair.server.received()) == len(pair.client.received()) == 5_000)
    assert pair.server.report().remote_key == pair.client.report().local_key
    assert pair.server.report().verdict is pair.client.report().verdict
