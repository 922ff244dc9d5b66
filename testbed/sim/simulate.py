"""One run of one cell in virtual time.

Decides when a run is over: every client is done and no server has an open connection left. Those in the
background are not asked, and fall silent then. What is still on a wire arrives, and that is all. Decides
also what makes a run invalid here: a packet without a route, or a cut-off by `until`.
Read first: network.py, testbed/workloads/host.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.link import stream
from testbed.sim.network import CaptureSink, Network
from testbed.workloads import HostSpec, RunOutcome
from testbed.workloads.host import Host

if TYPE_CHECKING:
    from testbed.plan.values import NetPlan

SECOND = 1_000_000_000


def simulate(
    plan: NetPlan,
    hosts: tuple[HostSpec, ...],
    seed: int,
    *,
    capture: CaptureSink | None = None,
    until: int | None = None,
    through_bytes: bool = False,
) -> RunOutcome:
    """The same arguments give the same outcome, byte for byte, on any machine.

    `seed` is the links'; each host brings its own. `capture` is called for every packet that enters a
    link: time, link, "forward" or "backward", segment, and why it was dropped (None: it was not). `until`
    cuts the run off at that virtual time. `through_bytes` encodes and decodes every segment on its way:
    slower, and the outcome must be the same.
    """
    network = Network(plan, seed, capture, through_bytes)
    running = [make_host(spec) for spec in hosts]
    for host in running:
        network.place(host)
    measured = [host for host in running if not host.spec.background]
    clients = [host.application for host in measured if host.spec.role == "client"]
    servers = [host.application for host in measured if host.spec.role == "server"]

    def finished() -> bool:
        for client in clients:
            if not client.done:
                return False
        return not any(server.open_connections for server in servers)

    network.start()
    network.run(finished, until)
    for host in running:
        if host.spec.background:
            network.silence(host.name)
    network.run(lambda: not network.in_flight, until)
    return _outcome(network, running)


def make_host(spec: HostSpec) -> Host:
    """The host with its own streams of randomness, which depend on its seed and its name only."""
    entropy = stream(spec.seed, spec.name, "entropy").randbytes
    return Host(spec, entropy, stream(spec.seed, spec.name, "application"))


def _outcome(network: Network, hosts: list[Host]) -> RunOutcome:
    links = {name: report for link in network.links for name, report in link.report().items()}
    return RunOutcome(
        rows=[row for host in hosts if not host.spec.background for row in host.rows()],
        counters={host.name: dict(sorted(host.counters().items())) for host in hosts},
        links=links,
        invalid=_invalid(network, hosts),
        retry=False,  # the same seed has the same outcome, and another seed would be chosen by it
        elapsed_ns=network.now,
        background=[row for host in hosts if host.spec.background for row in host.rows()],
        held={
            host.name: host.held()
            for host in hosts
            if host.spec.role == "server" and not host.spec.background
        },
    )


def _invalid(network: Network, hosts: list[Host]) -> str | None:
    if network.lost:
        lost = "; ".join(f"{count} packets: {why}" for why, count in network.lost.items())
        return (
            f"packets without a route ({lost}): check the routes of the topology, and the addresses in "
            "client.bind, client.paths and server.paths"
        )
    clients = [host for host in hosts if host.spec.role == "client" and not host.spec.background]
    undone = [host for host in clients if not host.done]
    if undone:
        texts = [f"{host.name} has {host.open_connections} connections open" for host in undone]
        return f"cut off after {network.now / SECOND:g} s of virtual time: {'; '.join(texts)}"
    return None
