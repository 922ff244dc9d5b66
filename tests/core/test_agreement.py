"""What both ends must hold for agreed: keys, versions and checksums, and a fallback that one end may miss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.reasons import Reason, Verdict
from testbed.mptcp.wire import Dss, MpCapable, MpFail, Segment
from tests.core.boxes import BOTH_COOKIES, MPTCP, changing, exchange, find, is_syn, option, pair_of
from tests.core.test_checksum_and_fail import checked, corrupt
from tests.pair import MILLISECOND, SECOND, Pair


@pytest.mark.parametrize("profile", MPTCP)
def test_lost_mp_fail(profile: Profile) -> None:
    """The one MP_FAIL is lost: the data that follows says it too, by an infinite mapping (RFC 8684 §3.7)."""
    taken: list[int] = []

    def lose(way: str, n: int, segment: Segment) -> bool:
        if way == "down" and option(segment, MpFail) is not None and not taken:
            taken.append(n)
            return True
        return False

    pair = checked(profile, corrupt(b"bad"), lose=lose)
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=pair.now + SECOND)
    pair.client.send(b"bad")
    pair.run(until=lambda: len(pair.server.received()) == 303)
    pair.server.send(b"a" * 300)
    pair.run(until=lambda: pair.client.received() == b"a" * 300 or pair.client.closed() is not None)


@pytest.mark.parametrize("profile", MPTCP)
def test_mp_fail_while_sending(profile: Profile) -> None:
    """MP_FAIL has no room beside data, and still leaves at once."""
    pair = checked(profile, corrupt(b"bad"))
    pair.establish()
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.server.send(b"a" * 300_000)
    pair.run(until=pair.now + 30 * MILLISECOND)
    pair.client.send(b"bad")
    pair.run(until=lambda: len(pair.client.received()) == 300_000 or pair.client.closed() is not None)
    assert find(pair, "down", MpFail)


def test_server_falls_back_unseen() -> None:
    """draft: fourth ACK confirms client; options of the client's data stripped; short exchange."""

    def strip(way: str, n: int, s: Segment) -> Segment:
        if way == "up" and s.payload:
            return replace(s, options=tuple(o for o in s.options if not isinstance(o, (Dss, MpCapable))))
        return s

    pair = pair_of(Profile.DRAFT, SynCookies.ALWAYS, strip)
    pair.establish()
    pair.run(until=pair.now + SECOND)
    pair.client.send(b"q" * 300)
    pair.run(until=lambda: pair.server.received() == b"q" * 300)
    pair.server.send(b"a" * 300)
    pair.run(until=lambda: pair.client.received() == b"a" * 300 or pair.client.closed() is not None)


def test_isn_recovery_and_early_close() -> None:
    """The DATA_FIN behind the lost first segment is dropped, not answered by a reset (draft §3.2)."""
    m = MptcpConfig(isn_recovery=True)
    pair = Pair(
        client=ClientConfig(profile=Profile.DRAFT, mptcp=m),
        server=ServerConfig(syn_cookies=SynCookies.ALWAYS, mptcp=m),
        up=("third_ack", "data:1"),
    )
    pair.connect()
    pair.client.send(b"q" * 14_000)
    pair.client.close()
    pair.run(until=lambda: len(pair.server.received()) == 14_000 or pair.client.closed() is not None)
    assert pair.client.closed() is None


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
def test_third_ack_with_the_nibble_of_another_profile(cookies: SynCookies) -> None:
    """A key belongs to the version that was agreed, also where a cookie is all that is left of it."""
    change = changing(MpCapable, lambda way, s, one: way == "up" and not is_syn(s), version=2)
    pair = pair_of(Profile.V1, cookies, change)
    exchange(pair)
    assert find(pair, "down", Dss) == []
    assert pair.client.report().verdict is Verdict.FALLBACK


@pytest.mark.parametrize("profile", MPTCP)
def test_long_dsn_is_answered_by_long_ack(profile: Profile) -> None:
    """RFC 8684 §3.3.1, whatever form our own DSNs have."""
    pair = Pair(client=ClientConfig(profile=profile), server=ServerConfig(mptcp=MptcpConfig(dsn_bytes=4)))
    exchange(pair)
    assert all(one.data_ack_8 for one in find(pair, "down", Dss)[2:] if one.data_ack is not None)


def test_a_bit_in_the_third_ack_alone() -> None:
    """A stateful server knows what was agreed; the third ACK does not change it (RFC 8684 §3.1)."""
    change = changing(MpCapable, lambda way, s, one: way == "up" and not is_syn(s), flags=0x81)
    pair = pair_of(Profile.V1, SynCookies.OFF, change)
    exchange(pair)
    assert pair.client.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize("fields", [{"receiver_key": 9}, {"version": 5}, {"flags": 0x41}])
def test_long_option_with_wrong_key_after_a_good_third_ack(fields: dict[str, int]) -> None:
    """It counts as absent, so the data has no mapping."""
    change = changing(MpCapable, lambda way, s, one: way == "up" and one.data_length is not None, **fields)
    pair = pair_of(Profile.V1, SynCookies.OFF, change)
    exchange(pair)
    assert pair.server.report().verdict is Verdict.FALLBACK


def test_mapping_never_comes() -> None:
    """A receive window of data without a mapping ends the subflow (RFC 8684 §3.3.1), in good time."""

    def strip(way: str, n: int, s: Segment) -> Segment:
        if way == "up" and n > 12:
            return replace(
                s,
                options=tuple(
                    replace(o, dsn=None, dsn_8=False, length=0, ssn=0) if isinstance(o, Dss) else o
                    for o in s.options
                ),
            )
        return s

    pair = pair_of(Profile.V1, SynCookies.OFF, strip)
    pair.server.endpoint.listen(20080, ServerConfig(tcp=TcpConfig(receive_buffer=65_535)))
    pair.establish()
    pair.server.send(b"a" * 300)
    pair.client.send(b"q" * 300_000)
    pair.run(until=lambda: pair.server.closed() is not None, limit=60 * SECOND)
    assert pair.server.report().reason is Reason.MAPPING_NEVER_CAME
