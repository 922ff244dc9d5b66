"""What half-open connections cost: proportional to their number without cookies, nothing with them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from testbed.bench import half_open
from testbed.errors import UserError
from testbed.mptcp.config import Profile


@pytest.mark.slow
def test_memory_grows_with_half_open_connections_alone() -> None:
    rows = half_open.measure(2000, profiles=(Profile.V0, Profile.V1))
    assert [(row["profile"], row["syn_cookies"], row["syns"]) for row in rows] == [
        (profile, mode, syns)
        for profile in ("v0", "v1")
        for mode in ("off", "always")
        for syns in (0, 1000, 2000)
    ]
    for start, half, end in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert (start["bytes"], start["half_open"]) == (0, 0)
        if end["syn_cookies"] == "always":
            assert half["half_open"] == end["half_open"] == 0
            assert end["bytes"] < 20_000, "a few counters, however many SYNs"
            assert end["rss_bytes"] - half["rss_bytes"] < 500_000
        else:
            assert (half["half_open"], end["half_open"]) == (1000, 2000)
            assert end["bytes"] == pytest.approx(2 * half["bytes"], rel=0.1)
            assert end["bytes"] > 2000 * 1000, "a connection is more than its addresses"
            assert end["rss_bytes"] - start["rss_bytes"] > 0.8 * end["bytes"]


@pytest.mark.slow
def test_on_the_command_line() -> None:
    command = [sys.executable, "-P", "-m", "testbed.cli", "bench", "half-open", "--syns", "10", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 16
    assert set(rows[0]) == {"profile", "syn_cookies", "syns", "half_open", "bytes", "rss_bytes"}


@pytest.mark.parametrize("syns", [0, -1, 2_000_000])
def test_how_many_syns_make_sense(syns: int) -> None:
    with pytest.raises(UserError, match="--syns"):
        half_open.measure(syns)
