"""`python -m testbed.drive.host SPEC.json OUT.json [--stay] [--origin NS]`: one host of a lab.

Decides how a host's process begins and ends: `ready` once the TUN and the rules stand, rows and counters
written last and atomically. A server goes on after the end of its input until its connections are closed,
unless it is in the background, where they may never be. A client that is done goes on answering for a
while (its last ACK may be lost), with --stay (after printing `done`) until the end of its input. Rows
count time from --origin, a value of time.monotonic_ns.
Read first: loop.py, divert.py; testbed/workloads/spec.py for the specification.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from testbed.drive import kernel_host
from testbed.drive.divert import Divert
from testbed.drive.icmp import Icmp
from testbed.drive.loop import Loop
from testbed.drive.memory import MemoryMeter, settle
from testbed.drive.report import write_report
from testbed.drive.stop import Stop
from testbed.drive.timer import HOSTS, ask_for_exact_timers, ask_for_precedence, has_precedence
from testbed.drive.tun import Tun
from testbed.errors import TestbedError, UserError
from testbed.link import stream
from testbed.linux.settings import is_kernel
from testbed.workloads.host import Host
from testbed.workloads.spec import FIRST_EPHEMERAL, LAST_EPHEMERAL, HostSpec

SECOND = 1_000_000_000
LEAVE_WITHIN = 8 * SECOND  # for a server's open connections to end


def read_spec(path: Path) -> HostSpec:
    try:
        return TypeAdapter(HostSpec).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(f"{path}: no specification of a host: {error}") from None


def within(spec: HostSpec, gso_max_size: int) -> HostSpec:
    """With frames no larger than the kernel cuts here; a specification may ask for less, or for none."""
    changes = {}
    for role, config in (("client", spec.client), ("server", spec.server)):
        if config is not None and config.tcp.gso_max_size > gso_max_size:
            changes[role] = replace(config, tcp=replace(config.tcp, gso_max_size=gso_max_size))
    return replace(spec, **changes)  # type: ignore[arg-type]


def doors(spec: HostSpec) -> tuple[tuple[str, int], ...]:
    """Announced addresses with a port of their own: joins come there."""
    config = spec.client or spec.server
    endpoints = config.paths.endpoints if config is not None else None
    return tuple((endpoint.text, endpoint.port) for endpoint in endpoints or () if endpoint.port)


def run(spec: HostSpec, stop: Stop, *, stay: bool, origin: int | None) -> dict[str, Any]:
    """Runs the host in the current namespace; what OUT.json is to hold."""
    if (config := spec.client or spec.server) is not None and is_kernel(config):
        return kernel_host.run(spec, stop, stay=stay, origin=origin, leave_within=LEAVE_WITHIN)
    client = spec.role == "client"
    ports = (FIRST_EPHEMERAL, LAST_EPHEMERAL) if client else (spec.port, spec.port)
    with Tun() as tun, Icmp() as icmp, Divert(tun, ports, spec.addresses, doors(spec)) as divert:
        spec = within(spec, tun.gso_max_size)
        host = Host(spec, os.urandom, stream(spec.seed, spec.name, "application"))
        loop = Loop(host, tun, stop, icmp=icmp, origin=origin)
        loop.watch_input(sys.stdin.fileno())
        ask_for_exact_timers()
        settle()
        if spec.flood is None:  # a flood keeps a core busy
            ask_for_precedence(HOSTS)
        memory = MemoryMeter()
        print("ready", flush=True)
        began = loop.now()
        loop.start()
        loop.run(lambda: host.done or loop.input_ended)
        elapsed = loop.now() - began
        if client and host.done:
            if stay:
                print("done", flush=True)
                loop.run(lambda: loop.input_ended)
            else:
                loop.run_until_quiet()
        elif not client and not spec.background:
            loop.run(lambda: host.open_connections == 0, loop.now() + LEAVE_WITHIN)
        drops = divert.tun_drops()
        loop.close()
        return {
            "rows": host.rows(),
            "counters": host.counters(),
            "held": {**host.held(), **memory.figures()},
            "fidelity": {
                **loop.figures(),
                "host_tun_drops": float(drops),
                "host_realtime": float(has_precedence()),
            },
            "elapsed_ns": elapsed,
            "invalid": f"{spec.name} was too slow: {drops} packets were dropped before it" if drops else None,
        }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m testbed.drive.host")
    parser.add_argument("spec", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stay", action="store_true")
    parser.add_argument("--origin", type=int)
    given = parser.parse_args(arguments)
    stop = Stop()
    stop.on_signals()
    try:
        report = run(read_spec(given.spec), stop, stay=given.stay, origin=given.origin)
    except TestbedError as error:
        print(error, file=sys.stderr)
        return error.status
    write_report(given.out, report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
