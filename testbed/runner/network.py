"""A cell -> its network and its hosts, as the plain values that simulator and lab run.

Decides which hosts are clients and which servers (the nodes with those roles), which of their addresses
take part (those of the paths, in path order), and each host's own seed; what runs beside them is
traffic.py's. Must not know how anything is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from testbed.errors import UserError
from testbed.linux.settings import refusals
from testbed.mptcp.config import ClientConfig, ServerConfig
from testbed.plan import Hop, NetPlan, PathPlan, load_topology, plan_from, with_overrides
from testbed.runner.bind import bound, in_order, without_effect
from testbed.runner.document import Path_
from testbed.runner.seeds import derive
from testbed.runner.spec import Cell, build
from testbed.runner.traffic import pairs_of, rivals
from testbed.runner.units import written_time
from testbed.workloads import HostSpec, Workload


def network_of(cell: Cell) -> NetPlan:
    """UserError where the topology or a key for links and paths is wrong, beginning with that key."""
    what = cell.topology.file or cell.topology.name or ""
    plan = _plain_network(what, json.dumps(cell.topology.parameters, sort_keys=True), _changed_at(what))
    if isinstance(plan, UserError):
        raise UserError(str(plan))
    return with_overrides(plan, cell.network) if cell.network else plan


def impossible(cell: Cell, plan: NetPlan) -> Iterator[tuple[Path_, str]]:
    """What its host cannot do: endpoints of other hosts, keys without a meaning to Linux, traffic from and to
    hosts that are not there for it. Key, and words."""
    yield from pairs_of(cell, plan)[1]
    try:
        for name in _clients(plan):
            _bound(cell, plan, name)
    except UserError as error:
        yield ("client", "bind"), str(error)
        return
    yield from without_effect(build(ClientConfig, cell.client), build(ServerConfig, cell.server))
    for spec in _measured(cell, plan, 0):
        config = spec.client or spec.server
        if config is not None:
            yield from refusals(spec.role, config)
            yield from _timeouts(spec.role, config)
        devices = {host: end.name for end in plan.interfaces(spec.name) for host in end.hosts}
        for endpoint in (config.paths.endpoints or ()) if config else ():
            text, dev = endpoint.text, endpoint.dev
            words = ""
            if text not in spec.addresses:
                chosen = " by client.bind" if spec.role == "client" and _words(cell) else ""
                words = f"{text} is no address of {spec.name}; it has {', '.join(spec.addresses)}{chosen}"
            elif dev and dev != devices[text]:
                words = f"dev {dev}: {text} is the address of {devices[text]}"
            if words:
                yield (spec.role, "paths", "endpoints"), words


def _timeouts(role: str, config: ClientConfig | ServerConfig) -> Iterator[tuple[Path_, str]]:
    tcp = config.tcp
    for name in ("rto_min", "rto_initial"):
        if (value := getattr(tcp, name)) > tcp.rto_max:
            words = f"{written_time(value)} is above rto_max, {written_time(tcp.rto_max)}"
            yield (role, "tcp", name), words


def paths_of(cell: Cell) -> dict[str, dict[str, Any]]:
    """For a run's record: of each path by name both addresses, and each way the lowest rate in bit/s and the
    link that has it."""
    plan = network_of(cell)
    return {
        path.name: {
            "client": path.client_address,
            "server": path.server_address,
            **_slowest(plan, path.up, "up"),
            **_slowest(plan, path.down, "down"),
        }
        for path in plan.paths
    }


def base_rtt(plan: NetPlan) -> int:
    """The smallest RTT of any path without queues, in ns; of delays that change, the smallest."""
    trips = [sum(_least_delay(plan, hop) for hop in (*path.up, *path.down)) for path in plan.paths]
    return min(trips, default=0)


def _least_delay(plan: NetPlan, hop: Hop) -> int:
    params = plan.link(hop[0]).params(hop[1])
    return (
        min(params.delay, *(later.delay for _, later in params.steps())) if params.changes else params.delay
    )


def _slowest(plan: NetPlan, hops: Iterable[Hop], way: str) -> dict[str, Any]:
    rates = [(rate, name) for name, each in hops if (rate := plan.link(name).params(each).rate) is not None]
    rate, link = min(rates, default=(None, None))
    return {f"rate_{way}": rate, f"bottleneck_{way}": link}


def _clients(plan: NetPlan) -> list[str]:
    return [node.name for node in plan.nodes if node.role == "client"]


def _words(cell: Cell) -> tuple[str, ...]:
    words: tuple[str, ...] = getattr(cell.client, "bind", ())
    return words


def _bound(cell: Cell, plan: NetPlan, client: str) -> list[PathPlan]:
    """The paths that a client uses, to the first server that it has paths to; the first subflow's first."""
    server = next(path.server for path in plan.paths if path.client == client)
    paths = [path for path in plan.paths if (path.client, path.server) == (client, server)]
    return bound(_words(cell), paths)


@lru_cache(maxsize=256)
def _plain_network(name_or_file: str, parameters: str, changed_at: int) -> NetPlan | UserError:
    """The error is kept as well: a file that never ends costs its time once, and not for each cell."""
    try:
        return plan_from(load_topology(name_or_file, **json.loads(parameters)))
    except UserError as error:
        return error


def _changed_at(name_or_file: str) -> int:
    """When the file was written last, so that a corrected file is read again; 0 for a name."""
    try:
        return Path(name_or_file).stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


def hosts_of(cell: Cell, plan: NetPlan, seed: int) -> tuple[HostSpec, ...]:
    """The clients and the servers of one run, and what competes with them."""
    return *_measured(cell, plan, seed), *rivals(cell, plan, seed)


def _measured(cell: Cell, plan: NetPlan, seed: int) -> tuple[HostSpec, ...]:
    """Each client talks to the first server that it has paths to."""
    workload = build(Workload, cell.workload)
    common: dict[str, Any] = {"workload": workload, "connections": cell.connections}
    specs = []
    clients = _clients(plan)
    chosen = {name: _bound(cell, plan, name) for name in clients}
    for name, paths in chosen.items():
        here = tuple(dict.fromkeys(path.client_address for path in paths))
        server = [path for path in plan.paths if (path.client, path.server) == (name, paths[0].server)]
        there = tuple(dict.fromkeys(path.server_address for path in in_order(paths, server)))
        own = derive(seed, "client") if len(clients) == 1 else derive(seed, "client", name)
        config = build(ClientConfig, cell.client)
        specs.append(HostSpec(name, "client", here, there, client=config, seed=own, **common))
    servers = list(dict.fromkeys(path.server for path in plan.paths))
    for name in servers:
        ordered = in_order((path for paths in chosen.values() for path in paths), plan.paths)
        paths = [path for path in (ordered if _words(cell) else plan.paths) if path.server == name]
        here = tuple(dict.fromkeys(path.server_address for path in paths))
        there = tuple(dict.fromkeys(path.client_address for path in paths))
        own = derive(seed, "server") if len(servers) == 1 else derive(seed, "server", name)
        served = build(ServerConfig, cell.server)
        specs.append(HostSpec(name, "server", here, there, server=served, seed=own, **common))
    return tuple(specs)
