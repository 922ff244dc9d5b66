"""Whole cells of the simulator, captured on all links of their paths, judged and held against the rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.capture import CaptureWriter, Interface
from testbed.mptcp.config import Profile, SynCookies
from testbed.mptcp.wire import Segment, encode
from testbed.trace import connections, read_capture
from testbed.workloads import RunOutcome
from tests.sim.cells import ends, network, run_cell


def run_captured(path: Path, profile: Profile, cookies: SynCookies, loss: float, count: int) -> RunOutcome:
    """One interface per link, as the wires of a lab write it; a packet shows on each link of its way."""
    links = [link.name for link in network().links]
    with path.open("wb") as stream:
        writer = CaptureWriter(stream, [Interface(name) for name in links])

        def capture(time: int, link: str, way: str, segment: Segment, dropped: str | None) -> None:
            writer.packet(time, encode(segment), dropped, links.index(link))

        return run_cell(
            profile,
            overrides={"paths.*.loss.up": loss, "paths.*.loss.down": loss / 2},
            cookies=cookies,
            connections=count,
            seed=7,
            capture=capture,
        )


@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize("profile", [Profile.V0, Profile.DRAFT, Profile.V1, Profile.TCP])
def test_wire_and_endpoints_agree_on_every_connection(
    profile: Profile, cookies: SynCookies, tmp_path: Path
) -> None:
    path = tmp_path / "cell.pcapng"
    outcome = run_captured(path, profile, cookies, 15.0, 60)
    found = {each.initiator[1]: each for each in connections(read_capture(path).packets)}
    both = ends(outcome)
    assert sum(sum(link["dropped"].values()) for link in outcome.links.values()) > 100
    assert len(both) == len(found) == 60
    for client, server in both:
        wire = found[int(str(client["local_port"]))]
        judged = wire.ends[0]
        assert judged is not None
        assert (judged.verdict, judged.reason) == (client["verdict"], client["reason"]), client
        assert wire.profile == client["profile"]
        assert wire.closed_by == client["closed_by"], client
        assert wire.bytes[1] == client["bytes_received"], client
        if server is None:
            assert wire.ends[1] is None or wire.ends[1].reason == "cookie_invalid"
            continue
        judged = wire.ends[1]
        assert judged is not None, server
        assert judged.verdict == server["verdict"], server
        if judged.verdict != "tcp":
            assert judged.reason == server["reason"], server
        assert wire.bytes[0] == server["bytes_received"], server
