"""The server and the client that a user runs by hand, in any host or namespace.

Decides what the programs set up (TUN, rules, the application), when they end, and the results that they
hand out: one dictionary per connection, with the counters of the endpoint. Printing is the command line's
business, parsing too. Nothing is left behind, whatever ends them.
Read first: divert.py, loop.py; testbed/workloads/serving.py and one_connection.py for what they do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from testbed.drive.addresses import (
    addresses_of_host,
    check_devices,
    check_ends,
    check_target,
    local_address_towards,
)
from testbed.drive.arguments import ClientArguments, Common, ServerArguments
from testbed.drive.control import Control
from testbed.drive.divert import Divert
from testbed.drive.icmp import Icmp
from testbed.drive.loop import Loop
from testbed.drive.memory import settle
from testbed.drive.stop import Stop
from testbed.drive.timer import ask_for_exact_timers
from testbed.drive.tun import Tun
from testbed.errors import UserError
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.paths import parse_endpoint
from testbed.workloads.host import Application, Hosted
from testbed.workloads.intervals import Interval, Metered
from testbed.workloads.one_connection import OneConnection
from testbed.workloads.paced import Paced, parse_pace
from testbed.workloads.serving import Serving
from testbed.workloads.spec import packed

SECOND = 1_000_000_000

Result = dict[str, Any]
OnInterval = Callable[[Interval], None]


def _with_endpoints(addresses: tuple[str, ...], endpoints: tuple[str, ...]) -> tuple[str, ...]:
    """An endpoint's address is the stack's as well: its packets must come here."""
    return tuple(dict.fromkeys((*addresses, *(parse_endpoint(text).text for text in endpoints))))


def _doors(endpoints: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Announced addresses with a port of their own: joins come there."""
    found = map(parse_endpoint, endpoints)
    return tuple((endpoint.text, endpoint.port) for endpoint in found if endpoint.port)


def _metered(app: Application, arguments: Common, on_interval: OnInterval) -> Application:
    return Metered(app, int(arguments.interval * SECOND), on_interval) if arguments.interval else app


def result_of(row: dict[str, Any], counters: dict[str, int]) -> Result:
    """What the programs print of one connection."""
    began = row["connected_ns"] if row["connected_ns"] is not None else row["opened_ns"]
    seconds = max((row["done_ns"] or began) - began, 0) / SECOND
    count = row["bytes_sent"] + row["bytes_received"]
    most = max(row["bytes_sent"], row["bytes_received"])
    return {
        "verdict": row["verdict"],
        "reason": row["reason"],
        "profile": row["profile"],
        "local": f"{row['local_address']} {row['local_port']}",
        "remote": f"{row['remote_address']} {row['remote_port']}",
        "subflows": row["subflows"],
        "bytes": count,
        "bytes_sent": row["bytes_sent"],
        "bytes_received": row["bytes_received"],
        "intact": row["intact"],
        "seconds": seconds,
        "bitrate": most * 8 / seconds if seconds else 0.0,  # bit/s in the direction that carried more
        "retransmits": row["retransmits"],
        "fast_open": row["fast_open"],
        "syn_data": row["syn_data"],
        "closed_by": row["closed_by"],
        "paths": _with_shares(row["paths"]),
        "counters": counters,
    }


def _with_shares(paths: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the payload that all subflows carried, both ways, copies included."""
    moved = [path["bytes_sent"] + path["bytes_received"] for path in paths]
    total = sum(moved)
    return [
        {**path, "share": count / total if total else None} for path, count in zip(paths, moved, strict=True)
    ]


def run_server(
    arguments: ServerArguments,
    *,
    on_ready: Callable[[tuple[str, ...]], None] = lambda addresses: None,
    on_connection: Callable[[Result], None] = lambda result: None,
    on_interval: OnInterval = lambda interval: None,
) -> Result:
    """Serves until a signal, or with `once` until the first connection has ended.

    `on_ready` gets the addresses, `on_connection` each result as its connection ends, `on_interval` what
    each connection did in an interval, as that ends. Returns the number of connections, the counters, the
    loop's figures, whether a signal or the timeout ended it, and how many connections the timeout cut off.
    """
    stop = Stop()
    stop.on_signals()
    check_devices(arguments.endpoints)
    addresses = _with_endpoints(arguments.bind or addresses_of_host(), arguments.endpoints)
    if not addresses:
        raise UserError("this host has no address to serve on; give one to an interface first")
    ended = 0

    def hand_out() -> None:
        nonlocal ended
        while app.ended:
            ended += 1
            on_connection(result_of(app.ended.pop(0), host.counters()))

    def finished() -> bool:
        hand_out()
        return host.done

    ports = (arguments.port, arguments.port)
    doors = _doors(arguments.endpoints)
    with Tun(offload=arguments.offload) as tun, Icmp() as icmp, Divert(tun, ports, addresses, doors):
        config = arguments.config(tun.gso_max_size)
        local = tuple(map(packed, addresses))
        patience = None if arguments.timeout is None else int(arguments.timeout * SECOND)
        app = Serving(arguments.serve, arguments.port, local, config, once=arguments.once, patience=patience)
        metered = _metered(app, arguments, on_interval)
        host = Hosted(Endpoint(entropy=os.urandom, addresses=local), metered)
        loop = Loop(host, tun, stop, icmp=icmp)
        if arguments.control:
            loop.listen(0, Control(host, loop.now).hear)
        ask_for_exact_timers()
        settle()
        on_ready(addresses)
        loop.start()
        if loop.run(finished):
            loop.run_until_quiet()
        else:
            host.act(loop.now(), app.stop)
            loop.flush()
        loop.close()
    hand_out()
    return {
        "connections": ended,
        "counters": host.counters(),
        "interrupted": stop.requested,
        "timed_out": app.timed_out,
        "cut_off": app.cut_off,
        "fidelity": loop.figures(),
    }


def _addresses_towards(peer: str) -> tuple[str, ...]:
    """All of the host's, first the one that the routes give towards the peer."""
    first = local_address_towards(peer)
    return first, *(one for one in addresses_of_host() if one != first)


def run_client(arguments: ClientArguments, *, on_interval: OnInterval = lambda interval: None) -> Result:
    """One connection, from its SYN to its end; `interrupted` when a signal cut it off."""
    stop = Stop()
    stop.on_signals()
    check_devices(arguments.endpoints)
    check_target(arguments.address)
    local = _with_endpoints(arguments.bind or _addresses_towards(arguments.address), arguments.endpoints)
    check_ends(local[0], arguments.address)
    doors = _doors(arguments.endpoints)
    with Tun(offload=arguments.offload) as tun, Icmp() as icmp, Divert(tun, None, local, doors) as divert:
        app = OneConnection(
            (packed(local[0]), divert.ports[0]),
            (packed(arguments.address), arguments.port),
            arguments.config(tun.gso_max_size),
            send=arguments.size,
            receive=arguments.receive,
            lasts=None if arguments.time is None else int(arguments.time * SECOND),
            patience=int(arguments.timeout * SECOND),
            check=arguments.check,
        )
        addresses = tuple(map(packed, local))
        ports = (divert.ports[0], divert.ports[-1])
        paced = Paced(app, parse_pace(arguments.pace))
        metered = _metered(paced, arguments, on_interval)
        host = Hosted(Endpoint(entropy=os.urandom, addresses=addresses, ports=ports), metered)
        loop = Loop(host, tun, stop, icmp=icmp)
        if arguments.control:
            loop.listen(0, Control(host, loop.now, paced.go).hear)
        ask_for_exact_timers()
        settle()
        loop.start()
        if loop.run(lambda: host.done):
            loop.run_until_quiet(SECOND // 2)
        else:
            host.act(loop.now(), app.stop)
            loop.flush()
        loop.close()
    row = app.row or app.rows(host.endpoint)[0]
    result = result_of(row, host.counters())
    checked = {"checked": arguments.check}
    return {
        **result,
        **checked,
        "fault": app.fault,
        "interrupted": stop.requested,
        "fidelity": loop.figures(),
    }
