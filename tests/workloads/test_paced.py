"""A paced client against an echo in virtual time, over two paths: it never sends more than it may."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.errors import UserError
from testbed.link import stream
from testbed.mptcp.config import SECOND, ClientConfig, ServerConfig
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.paths import Limits, PathsConfig
from testbed.sim.network import Network
from testbed.workloads import PORT, HostSpec, packed
from testbed.workloads.host import Application, Hosted
from testbed.workloads.one_connection import OneConnection
from testbed.workloads.paced import FIRST_PIECE, JOIN_PATIENCE, Pace, Paced, parse_pace
from testbed.workloads.serving import Serving
from tests.sim.cells import network, two_path

SIZE = 200_000


class Talk:
    """A client with `pace` and an echo, not started yet."""

    def __init__(self, pace: str, **client: Any) -> None:
        near, far = two_path().addresses("client"), two_path().addresses("server")
        config = ClientConfig(**client)
        app = OneConnection(
            (packed(near[0]), 61_000), (packed(far[0]), PORT), config, send=SIZE, receive=None
        )
        self.paced = Paced(app, parse_pace(pace))
        self.serving = Serving("echo", PORT, tuple(map(packed, far)), ServerConfig(), once=True)
        self.net = Network(network(), 1, None, through_bytes=False)
        self.client = self._host(HostSpec("client", "client", near, far, client=config), self.paced)
        self.server = self._host(HostSpec("server", "server", far, near, server=ServerConfig()), self.serving)

    def _host(self, spec: HostSpec, application: Application) -> Any:
        endpoint = Endpoint(
            entropy=stream(1, spec.name, "entropy").randbytes, addresses=tuple(map(packed, spec.addresses))
        )
        host: Any = Hosted(endpoint, application)
        host.spec, host.name = spec, spec.name
        self.net.place(host)
        return host

    def act(self, host: Any, action: Any) -> None:
        host.act(self.net.now, action)
        self.net._settle(self.net.nodes[host.name], host)

    def finish(self) -> None:
        self.net.run(lambda: self.client.done and self.server.done, self.net.now + 100 * SECOND)
        for row in (self.client.rows()[0], self.serving.ended[0]):
            assert (row["intact"], row["bytes_sent"], row["bytes_received"]) == (True, SIZE, SIZE)


def test_no_more_than_a_first_piece_before_all_subflows() -> None:
    talk = Talk("subflows 2")
    seen = []

    def look() -> bool:
        seen.append((talk.paced._subflows, talk.paced.sent))
        return talk.client.done and talk.server.done

    talk.net.start()
    talk.net.run(look, 100 * SECOND)
    assert {sent for subflows, sent in seen if subflows < 2} == {0, FIRST_PIECE}
    talk.finish()


def test_waiting_for_subflows_ends() -> None:
    talk = Talk("subflows 2", paths=PathsConfig(endpoints=(), limits=Limits(subflows=0)))
    talk.net.start()
    talk.net.run(lambda: talk.paced.sent > FIRST_PIECE, 100 * SECOND)
    assert JOIN_PATIENCE <= talk.net.now < JOIN_PATIENCE + SECOND
    talk.finish()


def test_a_block_waits_for_the_one_before() -> None:
    talk = Talk("block 5000")
    sent = set()

    def look() -> bool:
        sent.add((talk.paced.sent, talk.paced.received // 5000))
        return talk.client.done and talk.server.done

    talk.net.start()
    talk.net.run(look, 100 * SECOND)
    blocks = range(0, SIZE, 5000)
    assert sent == {(0, 0), *((at + 5000, at // 5000) for at in blocks), (SIZE, SIZE // 5000)}
    talk.finish()


def test_hold_lasts_until_go() -> None:
    talk = Talk("hold 50000")
    talk.net.start()
    talk.net.run(lambda: False, 20 * SECOND)
    assert talk.paced.sent == talk.paced.received == 50_000
    talk.act(talk.client, talk.paced.go)
    talk.finish()


def test_the_words() -> None:
    assert parse_pace("") == Pace()
    assert parse_pace("hold 5 subflows 2 block 7") == Pace(2, 7, 5)
    for text in ("fast", "hold", "hold x", "subflows 2 block", "speed 5"):
        with pytest.raises(UserError, match="`subflows N`, `block BYTES`, `hold BYTES`"):
            parse_pace(text)


def test_a_server_that_is_stopped_aborts_its_connections() -> None:
    talk = Talk("hold 50000")
    talk.net.start()
    talk.net.run(lambda: talk.paced.received == 50_000, 20 * SECOND)
    talk.act(talk.server, talk.serving.stop)
    talk.net.run(lambda: talk.client.done and talk.server.done, talk.net.now + SECOND)
    assert (talk.client.rows()[0]["verdict"], talk.client.rows()[0]["reason"]) == (
        "reset",
        "fastclose_received",
    )
    assert talk.serving.ended[0]["reason"] == "aborted"
