"""The path manager's rules as tables: endpoints, limits and what is known in, joins and announcements out."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from testbed.mptcp.paths import (
    Announce,
    Join,
    Known,
    Limits,
    PathsConfig,
    Subflow,
    View,
    endpoint_of,
    parse_endpoint,
    parse_limits,
    wanted,
    withdrawn,
)
from testbed.plan import load_topology, plan_from


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


C1, C2, C3, S1, S2, S3 = (
    packed(f"10.{side}.{path}.1") for side in (0, 1) for path in (1, 2, 3)
)  # as in two_path
C6, S6 = packed("fd00:0:1::1"), packed("fd00:1:1::1")
FIRST = Subflow(C1, 0, S1, 80, 0)


def config(*lines: str, limits: str = "") -> PathsConfig:
    return PathsConfig(tuple(parse_endpoint(line) for line in lines), parse_limits(limits))


def view(*peer: Known, **more: Any) -> View:
    plain = View("client", C1, 5000, S1, 80, (C1, C2), (FIRST,), peer=peer)
    return replace(plain, **more)


def joins(config: PathsConfig, view: View) -> list[tuple[bytes, int, bytes, int, int]]:
    return [
        (one.local, one.local_id, one.remote, one.port, one.remote_id)
        for one in wanted(config, view)
        if isinstance(one, Join)
    ]


def announced(config: PathsConfig, view: View) -> list[Announce]:
    return [one for one in wanted(config, view) if isinstance(one, Announce)]


TABLE = {
    "nothing configured, nothing wanted": (config(), view(), []),
    "subflow: the initial address": (config("10.0.2.1 subflow"), view(), [(C2, 1, S1, 80, 0)]),
    "subflow from the initial address is there": (config("10.0.1.1 subflow"), view(), []),
    "signal opens nothing": (config("10.0.2.1 signal"), view(), []),
    "signal and subflow do both": (config("10.0.2.1 signal subflow"), view(), [(C2, 1, S1, 80, 0)]),
    "no flag, nothing": (config("10.0.2.1"), view(), []),
    "in the order given": (
        config("10.0.3.1 subflow", "10.0.2.1 subflow"),
        view(),
        [(C3, 1, S1, 80, 0), (C2, 2, S1, 80, 0)],
    ),
    "limit 0": (config("10.0.2.1 subflow", limits="subflow 0"), view(), []),
    "limit counts what is there": (
        config("10.0.2.1 subflow", "10.0.3.1 subflow", limits="subflow 1"),
        view(subflows=(FIRST, Subflow(C2, 1, S1, 80, 0)), extra=1),
        [],
    ),
    "one that failed gives its place to the next": (
        config("10.0.2.1 subflow", "10.0.3.1 subflow", limits="subflow 1"),
        view(attempted=frozenset({(C2, S1, 80)})),
        [(C3, 2, S1, 80, 0)],
    ),
    "the end of the first subflow brings no second from there": (
        config("10.0.1.1 subflow"),
        view(subflows=(), extra=0),
        [],
    ),
    "an announcement is joined from the initial address": (
        config(),
        view(Known(7, S2)),
        [(C1, 0, S2, 80, 7)],
    ),
    "with its port": (config(), view(Known(7, S2, 81)), [(C1, 0, S2, 81, 7)]),
    "the initial address on another port": (config(), view(Known(7, S1, 81)), [(C1, 0, S1, 81, 7)]),
    "the initial address again is no news": (config(), view(Known(7, S1), Known(0, S1)), []),
    "announcements not accepted": (config(limits="add_addr_accepted 0"), view(Known(7, S2)), []),
    "as many announcements as accepted, by id": (
        config(limits="add_addr_accepted 1"),
        view(Known(7, S2), Known(6, S3)),
        [(C1, 0, S3, 80, 6)],
    ),
    "accepted earlier counts": (
        config(limits="add_addr_accepted 1"),
        view(Known(7, S2), Known(6, S3), subflows=(FIRST, Subflow(C1, 0, S2, 80, 7)), extra=1),
        [],
    ),
    "fullmesh: every local with every remote": (
        config("10.0.1.1 subflow fullmesh", "10.0.2.1 subflow fullmesh"),
        view(Known(7, S2)),
        [(C2, 2, S1, 80, 0), (C1, 0, S2, 80, 7), (C2, 2, S2, 80, 7)],
    ),
    "fullmesh answers for the initial address": (
        config("10.0.2.1 subflow fullmesh"),
        view(Known(7, S2)),
        [(C2, 1, S1, 80, 0), (C2, 1, S2, 80, 7)],
    ),
    "flag C: not the initial address": (config("10.0.2.1 subflow"), view(deny_join_initial=True), []),
    "flag C: other addresses and ports": (
        config(),
        view(Known(6, S1), Known(7, S1, 81), Known(8, S2), deny_join_initial=True),
        [(C1, 0, S1, 81, 7), (C1, 0, S2, 80, 8)],
    ),
    "flag C, nothing accepted: subflow endpoints take the announced address": (
        config("10.0.2.1 subflow", "10.0.3.1 subflow", limits="add_addr_accepted 0"),
        view(Known(7, S2), Known(8, S3), deny_join_initial=True),
        [(C2, 1, S2, 80, 7), (C3, 2, S2, 80, 7)],
    ),
    "families do not mix": (
        config("fd00:0:1::1 subflow fullmesh", "10.0.2.1 subflow fullmesh"),
        view(Known(7, S6)),
        [(C2, 2, S1, 80, 0), (C6, 1, S6, 80, 7)],
    ),
    "an IPv6 announcement has no answer from an IPv4 address": (config(), view(Known(7, S6)), []),
    "it is answered from the first IPv6 endpoint, whatever that is for": (
        config("10.0.2.1 signal", "fd00:0:1::1 signal", "fd00:0:2::1 signal"),
        view(Known(7, S6)),
        [(C6, 2, S6, 80, 7)],
    ),
    "pair waits for the announcement": (config("10.0.2.1 subflow pair"), view(), []),
    "pair joins it": (config("10.0.2.1 subflow pair"), view(Known(1, S2)), [(C2, 1, S2, 80, 1)]),
    "pair goes by rank": (
        config("10.0.2.1 subflow pair", "10.0.3.1 subflow pair"),
        view(Known(2, S3), Known(1, S2)),
        [(C2, 1, S2, 80, 1), (C3, 2, S3, 80, 2)],
    ),
    "the initial address has no rank": (
        config("10.0.1.1 subflow pair", "10.0.2.1 subflow pair"),
        view(Known(1, S1), Known(2, S2)),
        [(C2, 2, S2, 80, 2)],
    ),
    "pair waits for a gap to close": (config("10.0.2.1 subflow pair"), view(Known(2, S3)), []),
    "but not for ever": (
        config("10.0.2.1 subflow pair"),
        view(Known(2, S3), settled=True),
        [(C2, 1, S3, 80, 2)],
    ),
    "a server with one address is joined there": (
        config("10.0.2.1 subflow pair"),
        view(settled=True),
        [(C2, 1, S1, 80, 0)],
    ),
    "unless it denies that": (
        config("10.0.2.1 subflow pair"),
        view(settled=True, deny_join_initial=True),
        [],
    ),
    "a pair is joined once": (
        config("10.0.2.1 subflow pair"),
        view(Known(1, S2), subflows=(FIRST, Subflow(C2, 1, S1, 80, 0)), extra=1, settled=True),
        [],
    ),
    "pairs obey the limits": (
        config("10.0.2.1 subflow pair", "10.0.3.1 subflow pair", limits="subflow 1"),
        view(Known(1, S2), Known(2, S3)),
        [(C2, 1, S2, 80, 1)],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_joins(case: str) -> None:
    config, view, expected = TABLE[case]
    assert joins(config, view) == expected


def test_backup_endpoints_join_as_backup() -> None:
    one, two = wanted(config("10.0.2.1 subflow backup", "10.0.3.1 subflow"), view())
    assert isinstance(one, Join)
    assert isinstance(two, Join)
    assert (one.backup, two.backup) == (True, False)
    [first] = wanted(config("10.0.1.1 backup"), view(Known(7, S2)))
    assert isinstance(first, Join)
    assert (first.local, first.backup) == (C1, True)


@pytest.mark.parametrize(
    ("lines", "known", "expected"),
    [
        (["10.0.2.1 signal"], [], [Announce(1, C2, 0)]),
        (["10.0.1.1 signal"], [], []),
        (["10.0.1.1 signal port 81"], [], [Announce(1, C1, 81)]),
        (["10.0.1.1 signal port 5000"], [], []),  # the port of the first subflow
        (["10.0.2.1 signal", "10.0.3.1 signal"], [Known(1, C2)], [Announce(2, C3, 0)]),
        (["10.0.2.1 subflow pair"], [], []),
    ],
)
def test_announcements(lines: list[str], known: list[Known], expected: list[Announce]) -> None:
    assert announced(config(*lines), view(announced=tuple(known))) == expected


def test_what_has_no_endpoint_any_more_is_withdrawn() -> None:
    seen = view(announced=(Known(1, C2), Known(2, C3)), subflows=(FIRST, Subflow(C3, 3, S1, 80, 0)))
    assert withdrawn(config("10.0.2.1 id 1 signal"), seen) == [2, 3]
    assert withdrawn(config("10.0.2.1 id 1 signal", "10.0.3.1 id 2", "10.0.3.2 id 3"), seen) == []


def test_a_local_address_has_the_id_of_its_endpoint() -> None:
    found = endpoint_of(config("10.0.2.1 id 4 signal port 81 backup"), view(), C2, 81)
    assert found is not None
    assert found.id == 4
    assert endpoint_of(config("10.0.2.1 id 4 signal port 81"), view(), C2, 80) is None
    assert endpoint_of(PathsConfig(), view(), C2) is not None


# Without any configuration.


def test_the_host_s_further_addresses_stand_in() -> None:
    everything = (packed("127.0.0.1"), C1, C2, C6, C3)
    assert announced(PathsConfig(), view(role="server", addresses=everything)) == [
        Announce(1, C2, 0),
        Announce(2, C3, 0),
    ]
    assert wanted(PathsConfig(), view(addresses=everything)) == []  # a client announces nothing
    assert joins(PathsConfig(), view(Known(1, S2), Known(2, S3), addresses=everything)) == [
        (C2, 1, S2, 80, 1),
        (C3, 2, S3, 80, 2),
    ]
    v6 = view(local=C6, remote=S6, addresses=everything, subflows=(Subflow(C6, 0, S6, 80, 0),))
    assert wanted(PathsConfig(), v6) == []


def test_two_path_comes_to_exactly_its_two_disjoint_paths() -> None:
    """Whichever path the first subflow takes: the other one is joined, and its packets go there."""
    plan = plan_from(load_topology("two_path"))
    for first, other in (plan.paths, plan.paths[::-1]):
        here = tuple(packed(path.client_address) for path in plan.paths)
        there = tuple(packed(path.server_address) for path in plan.paths)
        local, remote = packed(first.client_address), packed(first.server_address)
        initial = Subflow(local, 0, remote, 80, 0)
        server = View("server", remote, 80, local, 5000, there, (Subflow(remote, 0, local, 5000, 0),))
        [signal] = wanted(PathsConfig(), server)
        assert isinstance(signal, Announce)
        client = View("client", local, 5000, remote, 80, here, (initial,), peer=(Known(*_of(signal)),))
        [join] = wanted(PathsConfig(), client)
        assert isinstance(join, Join)
        assert (join.local, join.remote) == (packed(other.client_address), packed(other.server_address))
        assert plan.next_hop("client", other.client_address, other.server_address) == other.up[0]
        assert plan.next_hop("server", other.server_address, other.client_address) == other.down[0]
        assert not {link for link, _ in first.links} & {link for link, _ in other.links}
        done = replace(client, subflows=(initial, Subflow(*_join(join))), extra=1)
        assert wanted(PathsConfig(), replace(done, settled=True)) == []


def _of(signal: Announce) -> tuple[int, bytes, int]:
    return signal.id, signal.address, signal.port


def _join(join: Join) -> tuple[bytes, int, bytes, int, int]:
    return join.local, join.local_id, join.remote, join.port, join.remote_id


def test_limits_default_to_room_for_eight() -> None:
    assert Limits() == Limits(8, 8)
