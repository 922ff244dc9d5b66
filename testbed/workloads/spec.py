"""What one host runs, as plain values: as JSON on the way to a lab's processes, as they are in the simulator.

Decides which combinations make sense, and the words in which the error says so. Knows nothing of links,
plans or clocks.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

from testbed.errors import UserError
from testbed.mptcp.config import SECOND, ClientConfig, ServerConfig
from testbed.workloads.http import LEAST_REQUEST, MOST_BODY, MOST_REQUEST

PORT = 20080
FIRST_EPHEMERAL = 21_000
LAST_EPHEMERAL = 65_000
MOST_CONNECTIONS = (
    LAST_EPHEMERAL - FIRST_EPHEMERAL + 1
)  # each has a port of its own, so that rows can be joined

MOST_SYN_RATE = 100_000  # of a flood, per second
MOST_SYNS = 1_000_000  # of a flood, in one run

LONGEST = 3_600 * SECOND  # that a bulk transfer may take, where its timeout does not say more

TYPES = {
    "request": "connections open at random moments (Poisson); each sends a request and reads a response",
    "http": "as request, in HTTP/1.1: one GET on each connection",
    "bulk": "all connections open at once and move their bytes as fast as they can",
}


@dataclass(frozen=True, slots=True)
class Workload:
    """Sizes in bytes per connection, `arrivals` in connections per second, times in nanoseconds.

    The client sends `request` bytes (with http a GET that takes so many), the server answers with `response`
    bytes (with http a body of so many) once it has them all; at once if there are none: the server speaks
    first. Both are checked byte for byte. The client closes when it has the whole response; the server when
    the client has.
    `timeout`: how long either end waits. A `request` or `http` connection may take so long in all; a `bulk`
    one goes on while data moves, for LONGEST or `timeout`, whichever is more, and gives up after `timeout`
    without data. A server waits for `timeout` longer (patience.py).
    `start`: how long the client waits before it begins.
    """

    type: Literal["request", "http", "bulk"] = "request"
    request: int = 300
    response: int = 10_000
    arrivals: float = 40.0
    timeout: int = 120 * SECOND
    start: int = 0

    @property
    def limit(self) -> int:
        """Nanoseconds that a connection may take in all."""
        return max(self.timeout, LONGEST) if self.type == "bulk" else self.timeout

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise UserError(f"workload: unknown type {self.type!r}; there are {', '.join(TYPES)}")
        for name in ("request", "response"):
            if getattr(self, name) < 0:
                raise UserError(f"workload: {name} of {getattr(self, name)} bytes; 0 or more is expected")
        if self.type == "http" and not (
            LEAST_REQUEST <= self.request <= MOST_REQUEST and 0 < self.response <= MOST_BODY
        ):
            raise UserError(
                f"workload: a request of {self.request} and a response of {self.response} bytes; http has "
                f"requests of {LEAST_REQUEST} to {MOST_REQUEST} and responses of 1 to {MOST_BODY} bytes"
            )
        if self.type != "bulk" and not self.arrivals > 0:
            raise UserError(f"workload: arrivals of {self.arrivals}/s; more than 0 is expected")
        if self.timeout <= 0:
            raise UserError(f"workload: timeout of {self.timeout} ns; more than 0 is expected")
        if self.start < 0:
            raise UserError(f"workload: start of {self.start} ns; 0 or more is expected")


@dataclass(frozen=True, slots=True)
class Flood:
    """SYNs per second, at `most` so many, to the host `victim`."""

    rate: float
    most: int
    victim: str

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= MOST_SYN_RATE or not 0 < self.most <= MOST_SYNS:
            raise UserError(
                f"flood of {self.victim}: {self.most} SYNs, {self.rate:g}/s; up to {MOST_SYNS} and "
                f"{MOST_SYN_RATE}/s are expected"
            )


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One host. Addresses are text, in path order: the first is the first subflow's. `remote` are the peer's.

    A client has a `client` configuration and opens `connections` connections; a server has a `server`
    configuration and serves until it is stopped. `seed` is this host's own: keys, ports, arrival times.
    `background`: it competes with what is measured; no run waits for it, and its rows stand apart. `flood`: a
    client that only sends SYNs, with the options of its configuration.
    """

    name: str
    role: Literal["client", "server"]
    addresses: tuple[str, ...]
    remote: tuple[str, ...]
    port: int = PORT
    client: ClientConfig | None = None
    server: ServerConfig | None = None
    workload: Workload = field(default_factory=Workload)
    connections: int = 1
    seed: int = 1
    background: bool = False
    flood: Flood | None = None

    def __post_init__(self) -> None:
        if self.role not in ("client", "server"):
            raise UserError(f"host {self.name}: role {self.role!r}; client or server is expected")
        if (self.client if self.role == "client" else self.server) is None:
            raise UserError(f"host {self.name}: a {self.role} needs a {self.role} configuration")
        if not self.addresses or (self.role == "client" and not self.remote):
            raise UserError(f"host {self.name}: no addresses; the first is the one of the first subflow")
        for text in (*self.addresses, *self.remote):
            packed(text)
        if not 0 < self.port < 65536:
            raise UserError(f"host {self.name}: port {self.port}; 1 to 65535 is expected")
        if self.role == "client" and not 1 <= self.connections <= MOST_CONNECTIONS:
            raise UserError(
                f"host {self.name}: {self.connections} connections; one run of one client has 1 to "
                f"{MOST_CONNECTIONS}, since each has a port of its own; spread more over several seeds"
            )


def packed(text: str) -> bytes:
    """The 4 or 16 bytes of an address."""
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        raise UserError(f"address {text!r}: an IPv4 or IPv6 address is expected") from None
