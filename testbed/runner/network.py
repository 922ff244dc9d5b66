"""A cell -> its network and its two hosts, as the plain values that simulator and lab run.

Decides which host is the client and which the server (the nodes with those roles), which of their
addresses take part (those of the paths, in path order), and each host's own seed. Must not know how
anything is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from testbed.errors import UserError
from testbed.linux.settings import refusals
from testbed.mptcp.config import ClientConfig, ServerConfig
from testbed.plan import Hop, NetPlan, load_topology, plan_from, with_overrides
from testbed.runner.seeds import derive
from testbed.runner.spec import Cell, build
from testbed.workloads import HostSpec, Workload


def network_of(cell: Cell) -> NetPlan:
    """UserError where the topology or a key for links and paths is wrong, beginning with that key."""
    what = cell.topology.file or cell.topology.name or ""
    plan = _plain_network(what, json.dumps(cell.topology.parameters, sort_keys=True))
    if not plan.paths:
        raise UserError(f"topology {what}: no path joins its client to its server")
    return with_overrides(plan, cell.network) if cell.network else plan


def impossible(cell: Cell, plan: NetPlan) -> Iterator[tuple[tuple[str, ...], str]]:
    """What its host cannot do: endpoints of other hosts, keys without a meaning to Linux. Key, and words."""
    for spec in hosts_of(cell, plan, 0):
        config = spec.client or spec.server
        if config is not None:
            yield from refusals(spec.role, config)
        for endpoint in (config.paths.endpoints or ()) if config else ():
            if endpoint.text not in spec.addresses:
                words = f"{endpoint.text} is no address of {spec.name}; it has {', '.join(spec.addresses)}"
                yield (spec.role, "paths", "endpoints"), words


def paths_of(cell: Cell) -> dict[str, dict[str, Any]]:
    """For a run's record: of each path by name both addresses, and the lowest rate each way in bit/s."""
    plan = network_of(cell)
    return {
        path.name: {
            "client": path.client_address,
            "server": path.server_address,
            "rate_up": _rate(plan, path.up),
            "rate_down": _rate(plan, path.down),
        }
        for path in plan.paths
    }


def _rate(plan: NetPlan, hops: Iterable[Hop]) -> int | None:
    rates = [plan.link(name).params(way).rate for name, way in hops]
    return min((rate for rate in rates if rate is not None), default=None)


@lru_cache(maxsize=256)
def _plain_network(name_or_file: str, parameters: str) -> NetPlan:
    return plan_from(load_topology(name_or_file, **json.loads(parameters)))


def hosts_of(cell: Cell, plan: NetPlan, seed: int) -> tuple[HostSpec, HostSpec]:
    """The client and the server of one run."""
    client, server = plan.only("client").name, plan.only("server").name
    workload = build(Workload, cell.workload)
    here = tuple(dict.fromkeys(path.client_address for path in plan.paths))
    there = tuple(dict.fromkeys(path.server_address for path in plan.paths))
    return (
        HostSpec(
            name=client,
            role="client",
            addresses=here,
            remote=there,
            client=build(ClientConfig, cell.client),
            workload=workload,
            connections=cell.connections,
            seed=derive(seed, "client"),
        ),
        HostSpec(
            name=server,
            role="server",
            addresses=there,
            remote=here,
            server=build(ServerConfig, cell.server),
            workload=workload,
            connections=cell.connections,
            seed=derive(seed, "server"),
        ),
    )
