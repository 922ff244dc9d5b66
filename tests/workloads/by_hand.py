"""The applications of `testbed client` and `testbed server` in virtual time, over two paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.link import stream
from testbed.mptcp.config import SECOND, ClientConfig, ServerConfig
from testbed.mptcp.endpoint import Endpoint
from testbed.sim.network import Network
from testbed.workloads import PORT, HostSpec, packed
from testbed.workloads.host import Application, Hosted
from testbed.workloads.intervals import Interval, Metered
from testbed.workloads.one_connection import OneConnection
from testbed.workloads.serving import Serving
from tests.sim.cells import network, two_path

FIRST_PORT = 61_000


@dataclass
class Side:
    host: Any  # a Hosted that knows its specification, as the network asks for
    row: dict[str, Any] = field(default_factory=dict)
    intervals: list[Interval] = field(default_factory=list)
    fault: str = ""  # the client's


def by_hand(
    service: str,
    *,
    overrides: Mapping[str, object] | None = None,
    client: ClientConfig | None = None,
    server: ServerConfig | None = None,
    every: int = SECOND,
    stop_after: int | None = None,
    limit: int = 600 * SECOND,
    server_patience: int | None = None,
    **asked: Any,
) -> tuple[Side, Side]:
    """One connection until its end: both sides' rows and intervals. `stop_after`: then comes Ctrl-C."""
    near, far = two_path().addresses("client"), two_path().addresses("server")
    client, server = client or ClientConfig(), server or ServerConfig()
    asked = {"send": None, "receive": None, **asked}
    application = OneConnection((packed(near[0]), FIRST_PORT), (packed(far[0]), PORT), client, **asked)
    sides = (
        _side(
            HostSpec("client", "client", near, far, client=client),
            application if stop_after is None else _Impatient(application, stop_after),
            every,
        ),
        _side(
            HostSpec("server", "server", far, near, server=server),
            Serving(service, PORT, tuple(map(packed, far)), server, once=True, patience=server_patience),
            every,
        ),
    )
    net = Network(network(overrides), 1, None, through_bytes=False)
    for side in sides:
        net.place(side.host)
    net.start()
    net.run(lambda: all(side.host.done for side in sides), limit)
    for side in sides:
        (side.row,) = side.host.rows()
    sides[0].fault = application.fault
    return sides


class _Impatient:
    """A client whose user presses Ctrl-C at `moment`."""

    def __init__(self, application: OneConnection, moment: int) -> None:
        self._application = application
        self._moment: int | None = moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)

    def poll_timeout(self) -> int | None:
        times = (self._application.poll_timeout(), self._moment)
        return min((at for at in times if at is not None), default=None)

    def handle_timeout(self, now: int, endpoint: Endpoint) -> None:
        if self._moment is not None and now >= self._moment:
            self._moment = None
            self._application.stop(now, endpoint)
        else:
            self._application.handle_timeout(now, endpoint)


def _side(spec: HostSpec, application: Application, every: int) -> Side:
    intervals: list[Interval] = []
    entropy = stream(1, spec.name, "entropy").randbytes
    endpoint = Endpoint(
        entropy=entropy, addresses=tuple(map(packed, spec.addresses)), ports=(FIRST_PORT, FIRST_PORT + 9)
    )
    host: Any = Hosted(endpoint, Metered(application, every, intervals.append) if every else application)
    host.spec, host.name = spec, spec.name
    return Side(host, intervals=intervals)
