"""A run in a real lab, captured on its wires, judged and held against the rows of both ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, SynCookies
from testbed.net import run_in_lab
from testbed.trace import connections, ladder, read_capture
from testbed.workloads import HostSpec, Workload
from tests.net.needs import lab_only, two_path

pytestmark = [pytest.mark.lab, pytest.mark.slow, lab_only]


@pytest.mark.parametrize("profile", [Profile.V0, Profile.V1])
def test_wire_and_endpoints_agree(profile: Profile, tmp_path: Path) -> None:
    plan = two_path({"paths.*.loss.up": 15}, delay="2ms")
    near, far = plan.addresses("client"), plan.addresses("server")
    common: dict[str, Any] = {"workload": Workload(arrivals=40.0), "connections": 30, "seed": 5}
    hosts = (
        HostSpec("client", "client", near, far, client=ClientConfig(profile=profile), **common),
        HostSpec("server", "server", far, near, server=ServerConfig(syn_cookies=SynCookies.ALWAYS), **common),
    )
    outcome = run_in_lab(plan, hosts, 5, directory=tmp_path, capture=True, timeout=200)
    found = {each.initiator[1]: each for each in connections(read_capture(*outcome.captures).packets)}
    assert len(found) == 30
    for row in outcome.rows:
        side = 0 if row["role"] == "client" else 1
        wire = found[int(str(row["local_port" if side == 0 else "remote_port"]))]
        judged = wire.ends[side]
        assert judged is not None, ladder(wire)
        assert judged.verdict == row["verdict"], ladder(wire)
        assert judged.reason == row["reason"], ladder(wire)
        assert wire.closed_by == row["closed_by"], ladder(wire)
        assert wire.bytes[1 - side] == row["bytes_received"], ladder(wire)
    if profile is Profile.V0:
        assert any(each.reason == "cookie_without_key" for each in found.values())
