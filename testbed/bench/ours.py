"""`python -m testbed.bench.ours TASK`: one end of a transfer with the userspace stack.

Decides the settings of a stack that is to be fast (buffers, large frames)
and, with a profile, what of it is reported. The stack is run as `testbed client` and `server` run it.
"""

from __future__ import annotations

import cProfile
import os
import pstats
from typing import Any

from testbed.bench.end import Meter, Report, Task, ready, run
from testbed.bench.load import Load
from testbed.drive.divert import Divert
from testbed.drive.icmp import Icmp
from testbed.drive.loop import Loop
from testbed.drive.memory import settle
from testbed.drive.stop import Stop
from testbed.drive.tun import Tun
from testbed.mptcp.config import ClientConfig, Profile, ServerConfig, TcpConfig
from testbed.mptcp.endpoint import Endpoint
from testbed.workloads import packed
from testbed.workloads.host import Application, Hosted
from testbed.workloads.serving import Serving

BUFFER = 4 << 20  # bytes; more leaves the caches
HOTTEST = 60  # functions that are reported


def transfer(task: Task) -> Report:
    stop = Stop()
    stop.on_signals()
    sender = task.role == "sender"
    ports = None if sender else (task.port, task.port)
    with (
        Tun(offload=task.gso_max_size > 0) as tun,
        Icmp() as icmp,
        Divert(tun, ports, task.addresses) as divert,
    ):
        tcp = TcpConfig(
            gso_max_size=min(task.gso_max_size, tun.gso_max_size), receive_buffer=BUFFER, send_buffer=BUFFER
        )
        application: Application = _sender(task, tcp, divert.ports[0]) if sender else _receiver(task, tcp)
        addresses = tuple(map(packed, task.addresses))
        host = Hosted(Endpoint(entropy=os.urandom, addresses=addresses, ports=divert.ports), application)
        loop = Loop(host, tun, stop, icmp=icmp)
        settle()
        if not sender:
            ready()
        loop.start()
        loop.run(lambda: host.open_connections > 0 or host.done)
        meter, profile = Meter(), cProfile.Profile()
        if task.profile:
            profile.enable()
        loop.run(lambda: host.done)
        profile.disable()
        seconds, cpu = meter.read()
        loop.run_until_quiet(200_000_000)
        loop.close()
        row: dict[str, Any] = dict(host.rows()[0])
    return Report(
        row["bytes_sent"] + row["bytes_received"],
        seconds,
        cpu,
        row["subflows"],
        row["verdict"] == "mptcp",
        row["retransmits"],
        loop.packets_in + loop.packets_out,
        _hottest(profile) if task.profile else [],
    )


def _sender(task: Task, tcp: TcpConfig, port: int) -> Load:
    local, remote = (packed(task.addresses[0]), port), (packed(task.peers[0]), task.port)
    return Load(local, remote, ClientConfig(Profile.V1, tcp=tcp), task.size)


def _receiver(task: Task, tcp: TcpConfig) -> Serving:
    addresses = tuple(map(packed, task.addresses))
    return Serving("sink", task.port, addresses, ServerConfig((Profile.V1,), tcp=tcp), once=True)


def _hottest(profile: cProfile.Profile) -> list[list[Any]]:
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    found = [[*place, calls, own] for place, (_, calls, own, _, _) in stats.items()]
    return sorted(found, key=lambda one: -float(one[4]))[:HOTTEST]


if __name__ == "__main__":
    run(transfer)
