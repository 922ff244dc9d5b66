"""The server and the client that a user runs by hand, in any host or namespace.

Decides what the programs set up (TUN, rules, the application), when they end, and the results that they
hand out: one dictionary per connection, with the counters of the endpoint. Printing is the command line's
business, parsing too. Nothing is left behind, whatever ends them.
Read first: divert.py, loop.py; testbed/workloads/serving.py and one_connection.py for what they do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testbed.drive.addresses import addresses_of_host, local_address_towards
from testbed.drive.control import Control
from testbed.drive.divert import Divert
from testbed.drive.icmp import Icmp
from testbed.drive.loop import Loop
from testbed.drive.memory import settle
from testbed.drive.stop import Stop
from testbed.drive.timer import ask_for_exact_timers
from testbed.drive.tun import Tun
from testbed.errors import UserError
from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.config import (
    ClientConfig,
    FastOpenAnswer,
    FirstData,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
    ThirdAck,
)
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.paths import Limits, PathsConfig, parse_endpoint, parse_limits
from testbed.mptcp.sched import SCHEDULERS
from testbed.workloads.host import Hosted
from testbed.workloads.one_connection import OneConnection
from testbed.workloads.paced import Paced, parse_pace
from testbed.workloads.serving import SERVICES, Serving
from testbed.workloads.spec import PORT, packed

SECOND = 1_000_000_000

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ServerArguments:
    """`bind` empty: all addresses of the host. `once`: end with the first connection."""

    bind: tuple[str, ...] = ()
    port: int = PORT
    profiles: tuple[Profile, ...] = (Profile.V1, Profile.DRAFT, Profile.V0, Profile.TCP)
    syn_cookies: SynCookies = SynCookies.AUTO
    serve: str = "echo"
    once: bool = False
    checksum: bool = False
    draft_version: int = 2
    isn_recovery: bool = False
    fast_open: bool = False
    fast_open_answer: FastOpenAnswer = FastOpenAnswer.AUTO
    endpoints: tuple[str, ...] = ()  # in ip-mptcp's words; none: what further addresses are for by themselves
    limits: str = ""
    scheduler: str = "lowest_rtt"
    congestion: str = "newreno"
    deny_join_initial: bool = False
    control: bool = False  # heed the words of control.py on standard input
    offload: bool = True  # large frames where the kernel takes them

    def __post_init__(self) -> None:
        if self.serve not in SERVICES:
            raise UserError(f"--serve {self.serve}: there are {', '.join(SERVICES)}")
        _check_port(self.port)
        for text in self.bind:
            packed(text)
        _paths(self.endpoints, self.limits)
        _check_names(self.scheduler, self.congestion)

    def config(self, gso_max_size: int) -> ServerConfig:
        mptcp = MptcpConfig(
            checksum=self.checksum,
            draft_version=self.draft_version,
            isn_recovery=self.isn_recovery,
            scheduler=self.scheduler,
            deny_join_initial=self.deny_join_initial,
        )
        tcp = TcpConfig(gso_max_size=gso_max_size, congestion=self.congestion)
        paths = _paths(self.endpoints, self.limits)
        return ServerConfig(
            self.profiles,
            self.syn_cookies,
            fast_open=self.fast_open,
            fast_open_answer=self.fast_open_answer,
            tcp=tcp,
            mptcp=mptcp,
            paths=paths,
        )


@dataclass(frozen=True, slots=True)
class ClientArguments:
    """`receive` None: whatever the server sends until it has finished."""

    address: str
    port: int = PORT
    bind: tuple[str, ...] = ()
    profile: Profile = Profile.V1
    send: int = 1_000_000
    receive: int | None = None
    third_ack: ThirdAck = ThirdAck.BARE
    first_data: FirstData = FirstData.CAPABLE
    syn_retries: int = 2
    checksum: bool = False
    draft_version: int = 2
    fast_open: bool = False
    timeout: float = 60.0  # seconds without progress
    endpoints: tuple[str, ...] = ()
    limits: str = ""
    scheduler: str = "lowest_rtt"
    congestion: str = "newreno"
    control: bool = False
    pace: str = ""  # in paced.py's words; none: as fast as it goes
    offload: bool = True

    def __post_init__(self) -> None:
        _check_port(self.port)
        parse_pace(self.pace)
        for text in (self.address, *self.bind):
            packed(text)
        if self.send < 0 or (self.receive is not None and self.receive < 0):
            raise UserError("--send and --receive take a number of bytes, 0 or more")
        if self.timeout <= 0:
            raise UserError(f"--timeout {self.timeout:g}: a number of seconds above 0 is expected")
        _paths(self.endpoints, self.limits)
        _check_names(self.scheduler, self.congestion)

    def config(self, gso_max_size: int) -> ClientConfig:
        return ClientConfig(
            self.profile,
            self.third_ack,
            self.first_data,
            self.syn_retries,
            fast_open=self.fast_open,
            tcp=TcpConfig(gso_max_size=gso_max_size, congestion=self.congestion),
            mptcp=MptcpConfig(
                checksum=self.checksum, draft_version=self.draft_version, scheduler=self.scheduler
            ),
            paths=_paths(self.endpoints, self.limits),
        )


def _check_names(scheduler: str, congestion: str) -> None:
    for option, name, known in (
        ("--scheduler", scheduler, SCHEDULERS),
        ("--congestion", congestion, CONTROLLERS),
    ):
        if name not in known:
            raise UserError(f"{option} {name}: there are {', '.join(known)}")


def _paths(endpoints: tuple[str, ...], limits: str) -> PathsConfig:
    """UserError for words that mean nothing."""
    found = tuple(parse_endpoint(text) for text in endpoints)
    return PathsConfig(found or None, parse_limits(limits) if limits else Limits())


def _with_endpoints(addresses: tuple[str, ...], endpoints: tuple[str, ...]) -> tuple[str, ...]:
    """An endpoint's address is the stack's as well: its packets must come here."""
    return tuple(dict.fromkeys((*addresses, *(parse_endpoint(text).text for text in endpoints))))


def _doors(endpoints: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Announced addresses with a port of their own: joins come there."""
    found = map(parse_endpoint, endpoints)
    return tuple((endpoint.text, endpoint.port) for endpoint in found if endpoint.port)


def _check_port(port: int) -> None:
    if not 0 < port < 65536:
        raise UserError(f"port {port}: 1 to 65535 is expected")


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
        "closed_by": row["closed_by"],
        "counters": counters,
    }


def run_server(
    arguments: ServerArguments,
    *,
    on_ready: Callable[[tuple[str, ...]], None] = lambda addresses: None,
    on_connection: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Serves until a signal, or with `once` until the first connection has ended.

    `on_ready` gets the addresses, `on_connection` each result as its connection ends. Returns the number
    of connections, the counters, the loop's figures and whether a signal ended it.
    """
    stop = Stop()
    stop.on_signals()
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
        app = Serving(arguments.serve, arguments.port, local, config, once=arguments.once)
        host = Hosted(Endpoint(entropy=os.urandom, addresses=local), app)
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
        "fidelity": loop.figures(),
    }


def _addresses_towards(peer: str) -> tuple[str, ...]:
    """All of the host's, first the one that the routes give towards the peer."""
    first = local_address_towards(peer)
    return first, *(one for one in addresses_of_host() if one != first)


def run_client(arguments: ClientArguments) -> Result:
    """One connection, from its SYN to its end; `interrupted` when a signal cut it off."""
    stop = Stop()
    stop.on_signals()
    local = _with_endpoints(arguments.bind or _addresses_towards(arguments.address), arguments.endpoints)
    doors = _doors(arguments.endpoints)
    with Tun(offload=arguments.offload) as tun, Icmp() as icmp, Divert(tun, None, local, doors) as divert:
        app = OneConnection(
            (packed(local[0]), divert.ports[0]),
            (packed(arguments.address), arguments.port),
            arguments.config(tun.gso_max_size),
            send=arguments.send,
            receive=arguments.receive,
            patience=int(arguments.timeout * SECOND),
        )
        addresses = tuple(map(packed, local))
        ports = (divert.ports[0], divert.ports[-1])
        paced = Paced(app, parse_pace(arguments.pace))
        host = Hosted(Endpoint(entropy=os.urandom, addresses=addresses, ports=ports), paced)
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
    return {**result, "interrupted": stop.requested, "fidelity": loop.figures()}
