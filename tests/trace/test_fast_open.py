"""Captures of connections whose SYN carried data, judged from the wire beside the endpoints' own reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.mptcp.config import SPOKEN, FastOpenAnswer, MptcpConfig, Profile, ServerConfig, TcpConfig
from testbed.mptcp.wire import MpCapable
from tests.fast_open import SERVER, pair_of, whole, with_cookie
from tests.pair import Pair
from tests.trace.against import captured, compared

SMALL = ServerConfig(fast_open=True, fast_open_cookie=6, tcp=TcpConfig(receive_buffer=600))
LATE = ServerConfig(fast_open=True, fast_open_cookie=6, fast_open_answer=FastOpenAnswer.AFTER_KEY)


def judged(pair: Pair, path: Path, request: int, response: int = 5_000) -> None:
    with_cookie(pair)
    whole(pair, bytes(request), bytes(response))
    (wire,) = captured(pair, path)
    compared(pair, wire).check()


@pytest.mark.parametrize("request_bytes", [0, 300, 9_000])
@pytest.mark.parametrize("server", [SERVER, SMALL, LATE], ids=["at once", "in part", "after the key"])
@pytest.mark.parametrize("profile", SPOKEN)
def test_syn_data_counts_once(
    profile: Profile, server: ServerConfig, request_bytes: int, tmp_path: Path
) -> None:
    judged(pair_of(profile, server=server), tmp_path / "a.pcapng", request_bytes)


@pytest.mark.parametrize("profile", [Profile.V0, Profile.V1])
def test_with_checksums(profile: Profile, tmp_path: Path) -> None:
    pair = pair_of(profile, client={"mptcp": MptcpConfig(checksum=True)})
    judged(pair, tmp_path / "a.pcapng", 9_000)


@pytest.mark.parametrize("profile", [Profile.DRAFT, Profile.V1])
def test_keys_said_once_and_lost(profile: Profile, tmp_path: Path) -> None:
    """Both fall back; nothing on the wire but a plain acknowledgement of a FIN tells so."""
    pair = pair_of(profile, client={"mptcp": MptcpConfig(repeat_keys=False)})
    pair.lose = lambda way, n, segment: any(
        isinstance(one, MpCapable) and one.receiver_key is not None for one in segment.options
    )
    judged(pair, tmp_path / "a.pcapng", 300)
