"""One cell in the simulator, with both ends of each connection side by side."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.paths import PathsConfig
from testbed.plan import NetPlan, load_topology, plan_from, with_overrides
from testbed.sim import simulate
from testbed.workloads import HostSpec, Row, RunOutcome, Workload

MSS = 1460
SECOND = 1_000_000_000
ONE_PATH = PathsConfig(endpoints=())  # no joins, no announcements


@functools.cache
def two_path() -> NetPlan:
    return plan_from(load_topology("two_path"))


def network(overrides: Mapping[str, object] | None = None) -> NetPlan:
    return with_overrides(two_path(), overrides or {})


def hosts(
    client: ClientConfig, server: ServerConfig, workload: Workload, connections: int, seed: int
) -> tuple[HostSpec, HostSpec]:
    near, far = two_path().addresses("client"), two_path().addresses("server")
    common: dict[str, Any] = {"workload": workload, "connections": connections, "seed": seed}
    return (
        HostSpec("client", "client", near, far, client=client, **common),
        HostSpec("server", "server", far, near, server=server, **common),
    )


def run_cell(
    profile: Profile,
    *,
    overrides: Mapping[str, object] | None = None,
    cookies: SynCookies = SynCookies.ALWAYS,
    workload: Workload | None = None,
    connections: int = 1,
    seed: int = 1,
    isn_recovery: bool = False,
    paths: PathsConfig = ONE_PATH,
    **arguments: Any,
) -> RunOutcome:
    mptcp = MptcpConfig(isn_recovery=isn_recovery)
    return simulate(
        network(overrides),
        hosts(
            ClientConfig(profile=profile, mptcp=mptcp, paths=paths),
            ServerConfig(syn_cookies=cookies, mptcp=mptcp, paths=paths),
            workload or Workload(),
            connections,
            seed,
        ),
        seed,
        **arguments,
    )


def ends(outcome: RunOutcome) -> list[tuple[Row, Row | None]]:
    """Every connection as its client saw it, and as the server did (None: it never heard of it)."""
    server = {
        (row["remote_address"], row["remote_port"]): row for row in outcome.rows if row["role"] == "server"
    }
    return [
        (row, server.get((row["local_address"], row["local_port"])))
        for row in outcome.rows
        if row["role"] == "client"
    ]


def verdict(client: Row, server: Row | None) -> str:
    """Fallback if either end fell back; else what the client says."""
    verdicts = [client["verdict"], server["verdict"] if server else None]
    return "fallback" if "fallback" in verdicts and "reset" not in verdicts[:1] else str(verdicts[0])


def why(client: Row, server: Row | None) -> str:
    """For the message of a failing test."""
    keys = ("verdict", "reason", "closed_by", "intact", "retransmits")
    shown = [{key: row[key] for key in keys} if row else None for row in (client, server)]
    return f"client {shown[0]}, server {shown[1]}"
