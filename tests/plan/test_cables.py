"""topologies/cables.py: as many paths as cables, and nothing that shapes."""

from __future__ import annotations

import pytest

from testbed.plan import load_topology, plan_from


@pytest.mark.parametrize("paths", [1, 2, 4])
def test_each_cable_is_a_path(paths: int) -> None:
    plan = plan_from(load_topology("cables", paths=paths))
    assert [(path.client_address, path.server_address) for path in plan.paths] == [
        (f"10.0.{number}.1", f"10.0.{number}.2") for number in range(1, paths + 1)
    ]
    assert not any(link.shaped for link in plan.links)
    assert {node.role for node in plan.nodes} == {"client", "server"}
