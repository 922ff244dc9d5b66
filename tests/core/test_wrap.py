"""Data sequence numbers that wrap, the low half and the whole: promotion in both forms, in every profile.

No key has such an IDSN at will, so the hash is asked for the token only. Read first: RFC 8684 §3.3.1.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.link import LinkParams
from testbed.mptcp import connection
from testbed.mptcp.config import MptcpConfig, Profile, SynCookies
from testbed.mptcp.keys import token_and_idsn
from testbed.mptcp.reasons import Verdict
from testbed.mptcp.wire import Dss
from tests.core.boxes import find
from tests.core.multipath import CLIENT, MPTCP_PROFILES, SERVER, multipath, open_subflows
from tests.pair import MILLISECOND, SECOND, Pair

DATA = bytes(range(256)) * 300
WRAPS = [
    (1 << 32) - 1,
    (5 << 32) - 30_000,
    (1 << 64) - 1,
    (1 << 64) - 30_000,
    (1 << 31) - 30_000,
    (1 << 63) - 1,
]


def begin_at(monkeypatch: pytest.MonkeyPatch, idsn: int) -> None:
    """Both directions of every connection begin there."""
    monkeypatch.setattr(
        connection, "token_and_idsn", lambda key, sha256: (token_and_idsn(key, sha256)[0], idsn)
    )


def exchange(pair: Pair) -> None:
    pair.client.send(DATA)
    pair.server.send(DATA[::-1])
    pair.run(
        until=lambda: len(pair.server.received()) > len(DATA) and len(pair.client.received()) > len(DATA),
        limit=60 * SECOND,
    )
    assert pair.server.received() == b"?" + DATA
    assert pair.client.received() == b"!" + DATA[::-1]
    pair.client.close()
    pair.server.close()
    pair.run()
    for side in (pair.client, pair.server):
        end = side.closed()
        assert end is not None
        assert end.clean
        assert side.report().verdict is Verdict.MPTCP


@pytest.mark.parametrize("idsn", WRAPS)
@pytest.mark.parametrize("form", [4, 8])
@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_numbers_wrap(monkeypatch: pytest.MonkeyPatch, profile: Profile, form: int, idsn: int) -> None:
    begin_at(monkeypatch, idsn)
    mptcp = MptcpConfig(dsn_bytes=form, checksum=idsn % 2 == 0)  # type: ignore[arg-type]
    pair = multipath(profile=profile, client={"mptcp": mptcp}, server={"mptcp": mptcp})
    open_subflows(pair)
    exchange(pair)
    numbers = [one for way in ("up", "down") for one in find(pair, way, Dss) if one.dsn is not None]
    assert {one.dsn_8 for one in numbers} >= {form == 8}
    low = [one.dsn & 0xFFFF_FFFF for one in numbers if one.dsn is not None]
    if idsn % (1 << 32) > 1 << 31:
        assert min(low) < 1 << 20
        assert idsn % 2 or max(low) > (1 << 32) - (1 << 20)


@pytest.mark.parametrize("idsn", [(5 << 32) - 30_000, (1 << 64) - 30_000])
@pytest.mark.parametrize("form", [4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_numbers_from_both_sides_of_a_wrap(
    monkeypatch: pytest.MonkeyPatch, form: int, idsn: int, seed: int
) -> None:
    """Late, twice and out of order over unequal paths, so that old and new ones come mixed."""
    begin_at(monkeypatch, idsn)
    mptcp = MptcpConfig(dsn_bytes=form)  # type: ignore[arg-type]
    rough = LinkParams(delay=5 * MILLISECOND, jitter=4 * MILLISECOND, loss=0.03, reorder=0.3, duplicate=0.2)
    slow = replace(rough, delay=60 * MILLISECOND)
    ways = {(CLIENT[0], SERVER[0]): rough, (SERVER[0], CLIENT[0]): rough}
    ways |= {(CLIENT[1], SERVER[1]): slow, (SERVER[1], CLIENT[1]): slow}
    pair = multipath(links=ways, seed=seed, client={"mptcp": mptcp}, server={"mptcp": mptcp})
    open_subflows(pair)
    exchange(pair)


@pytest.mark.parametrize("profile", [Profile.DRAFT, Profile.V1])
@pytest.mark.parametrize("idsn", WRAPS)
def test_keys_with_data_at_a_wrap(monkeypatch: pytest.MonkeyPatch, profile: Profile, idsn: int) -> None:
    """The first byte's number is the one behind the IDSN, whatever that is, also from a cookie."""
    begin_at(monkeypatch, idsn)
    pair = multipath(1, profile, server={"syn_cookies": SynCookies.ALWAYS}, up=("third_ack",))
    pair.connect()
    pair.client.send(b"?")
    pair.run(until=lambda: pair.server.received() == b"?")
    pair.server.send(b"!")
    pair.run(until=lambda: pair.client.received() == b"!")
    acks = [one.data_ack for one in find(pair, "down", Dss) if one.data_ack_8]
    assert acks[0] == (idsn + 2) & ((1 << 64) - 1)
    exchange(pair)
