"""`Closed` is the last event of a connection, and its verbs are harmless from then on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from testbed.mptcp.config import Profile
from testbed.mptcp.endpoint import Endpoint
from testbed.mptcp.events import Closed
from testbed.mptcp.paths import Flag, LocalEndpoint
from tests.core.multipath import CLIENT, MPTCP_PROFILES, multipath, open_subflows
from tests.pair import SECOND, Pair, Side

VERBS: dict[str, Callable[[Endpoint, int, int], object]] = {
    "send": lambda endpoint, now, number: endpoint.send(now, number, b"data"),
    "receive": lambda endpoint, now, number: endpoint.receive(now, number),
    "close": lambda endpoint, now, number: endpoint.close(now, number),
    "abort": lambda endpoint, now, number: endpoint.abort(now, number),
    "set_backup": lambda endpoint, now, number: endpoint.set_backup(now, number, 0, True),
    "close_subflow": lambda endpoint, now, number: endpoint.close_subflow(now, number, 0),
    "remove_address": lambda endpoint, now, number: endpoint.remove_address(now, number, 0),
    "add_endpoint": lambda endpoint, now, number: endpoint.add_endpoint(
        now, number, LocalEndpoint(CLIENT[2], flags=Flag.SUBFLOW)
    ),
    "forget": lambda endpoint, now, number: endpoint.forget(number),
}


def nothing_behind_closed(side: Side) -> None:
    for number in side.connections:
        kinds = [type(event) for _, event in side.events if event.connection == number]
        assert Closed not in kinds[:-1], f"{side.name} {number}: {[kind.__name__ for kind in kinds]}"


def both_closed(pair: Pair) -> None:
    for side in (pair.client, pair.server):
        assert side.closed() is not None
        nothing_behind_closed(side)


@pytest.mark.parametrize("aborts", ["client", "server"])
@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_closed_is_the_last_event_after_an_abort(profile: Profile, aborts: str) -> None:
    pair = multipath(3, profile)
    open_subflows(pair, 3)
    side = pair.client if aborts == "client" else pair.server
    side.abort()
    pair.run(until=pair.now + 90 * SECOND)
    both_closed(pair)


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_closed_is_the_last_event_after_a_clean_end(profile: Profile) -> None:
    pair = multipath(2, profile)
    open_subflows(pair)
    pair.client.close()
    pair.server.close()
    pair.run()
    both_closed(pair)


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("end", ["clean", "abort"])
@pytest.mark.parametrize("profile", [*MPTCP_PROFILES, Profile.TCP])
def test_verbs_on_a_finished_connection_do_nothing(profile: Profile, end: str, forgotten: bool) -> None:
    """At once, while TIME-WAIT lasts, and when all is over."""
    pair = multipath(1 if profile is Profile.TCP else 2, profile)
    open_subflows(pair, 1 if profile is Profile.TCP else 2)
    if end == "abort":
        pair.client.abort()
    else:
        pair.client.close()
        pair.server.close()
    pair.run(until=lambda: pair.client.closed() is not None, limit=10 * SECOND)
    number, endpoint = pair.client.first(None), pair.client.endpoint
    told = len(pair.client.events)
    for later in (0, 1, 100):
        pair.run(until=pair.now + later * SECOND)
        if forgotten:
            endpoint.forget(number)
        sent = len(pair.crossings)
        for name, verb in VERBS.items():
            if name == "forget" and not forgotten:
                continue
            assert not verb(endpoint, pair.now, number), name
            pair.settle(pair.client)
        assert len(pair.crossings) == sent
    assert len(pair.client.events) == told


@pytest.mark.parametrize("number", [0, -1, 2, 10**9])
@pytest.mark.parametrize("verb", VERBS)
def test_verbs_on_an_unknown_connection_do_nothing(verb: str, number: int) -> None:
    pair = multipath(1)
    pair.establish()
    before = len(pair.crossings)
    assert not VERBS[verb](pair.client.endpoint, pair.now, number)
    pair.run(until=pair.now + SECOND)
    assert len(pair.crossings) == before


def test_what_came_before_the_end_can_still_be_read() -> None:
    pair = multipath(1, Profile.V1)
    pair.server.reading = False
    pair.establish()
    pair.client.send(b"last words")
    pair.run(until=pair.now + SECOND)
    pair.client.abort()
    pair.run(until=pair.now + SECOND)
    assert pair.server.closed() is not None
    number = pair.server.first(None)
    assert pair.server.endpoint.receive(pair.now, number, 4) == b"last"
    assert pair.server.endpoint.receive(pair.now, number) == b" words"
    pair.server.endpoint.forget(number)
    assert pair.server.endpoint.receive(pair.now, number) == b""
    with pytest.raises(KeyError, match="was forgotten"):
        pair.server.endpoint.describe(number)
