"""Bulk transfers that compete for bottlenecks, packet by packet in the simulator: who gets how much.

One connection of the client, with a subflow through each of the bottlenecks that `client` names, and single
TCPs with NewReno beside it. The links to the bottlenecks jitter by more than a packet takes: where all
packets arrive in step with the queue, drop-tail takes them from whoever grows fastest and spares the others
(phase effects), whatever their windows.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from statistics import mean

from mininet.topo import Topo

from testbed.mptcp.config import (
    SECOND,
    ClientConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
)
from testbed.mptcp.wire import Segment
from testbed.plan import plan_from
from testbed.sim import simulate
from testbed.workloads import HostSpec, Workload
from testbed.workloads.path_rows import address_text

BUFFER = 4_000_000  # bytes
ENDLESS = Workload(type="bulk", request=1_000_000_000, response=0, timeout=10**6 * SECOND)


@dataclass(frozen=True)
class Bottleneck:
    """`rate` in Mbit/s, `delay` one way in ms, `queue` in packets; so many single TCPs go through it."""

    rivals: int
    rate: float = 8
    delay: int = 20
    queue: int = 40


@dataclass(frozen=True)
class Shares:
    """Mbit/s of payload that entered the bottlenecks' queues and left them, all but the first quarter of the
    time: the client's through each, and a single TCP's through each on average."""

    client: list[float]
    tcp: list[float]


class Crossing(Topo):  # type: ignore[misc]
    def build(self, bottlenecks: dict[str, Bottleneck], client: str, jitter: int) -> None:
        access = {"delay": f"{jitter}ms", "jitter": f"{jitter}ms"}
        self.addHost("client", ip=None, role="client")
        self.addHost("server", ip=None, role="server")
        for name, one in bottlenecks.items():
            for end in "12":
                self.addHost(f"{name}{end}", ip=None, role="router")
            queue = {"bw": one.rate, "delay": f"{one.delay}ms", "max_queue_size": one.queue}
            self.addLink(f"{name}1", f"{name}2", **queue)
            self.addLink(f"{name}2", "server")
            for number in range(one.rivals):
                self.addHost(rival := f"{name}tcp{number}", ip=None, role="client")
                self.addLink(rival, f"{name}1", **access)
        far_ends = [f"{name}2" for name in bottlenecks]
        for one, other in itertools.pairwise(far_ends):
            self.addLink(one, other)  # so that every address of the server is there for everybody
        for name in client:
            self.addLink("client", f"{name}1", **access)


def compete(
    controller: str,
    bottlenecks: dict[str, Bottleneck],
    client: str,
    *,
    seconds: int = 200,
    seed: int = 1,
    jitter: int = 15,
) -> Shares:
    """`client`: the bottlenecks of its subflows, 'ab' or 'aa'; with one name it is a single TCP."""
    plan = plan_from(Crossing(bottlenecks=bottlenecks, client=client, jitter=jitter))
    far = plan.addresses("server")
    newreno, own = (
        TcpConfig(congestion=name, receive_buffer=BUFFER, send_buffer=BUFFER)
        for name in ("newreno", controller)
    )
    served = ServerConfig(tcp=newreno, syn_cookies=SynCookies.OFF)
    hosts = [HostSpec("server", "server", far, plan.addresses("client"), server=served, workload=ENDLESS)]
    for node in plan.nodes:
        if node.role == "client":
            config = ClientConfig(profile=Profile.V1 if len(client) > 1 else Profile.TCP, tcp=own)
            there = far
            if node.name != "client":
                config = ClientConfig(profile=Profile.TCP, tcp=newreno)
                there = (far[list(bottlenecks).index(node.name[0])],)
            near = plan.addresses(node.name)
            hosts.append(
                HostSpec(node.name, "client", near, there, client=config, workload=ENDLESS, seed=seed)
            )
    sent: Counter[tuple[str, str]] = Counter()
    middle = {f"{name}1-{name}2": name for name in bottlenecks}
    begun = seconds * SECOND // 4

    def look(now: int, link: str, way: str, segment: Segment, cause: str | None) -> None:
        if now >= begun and way == "forward" and cause is None and link in middle:
            owner = plan.owner(address_text(segment.src))
            assert owner is not None
            sent[middle[link], owner] += len(segment.payload)

    simulate(plan, tuple(hosts), seed, capture=look, until=seconds * SECOND)
    scale = 8 / 1e6 / (seconds * 3 / 4)
    return Shares(
        [sent[name, "client"] * scale for name in bottlenecks],
        [
            mean(sent[name, f"{name}tcp{number}"] * scale for number in range(one.rivals))
            for name, one in bottlenecks.items()
        ],
    )
