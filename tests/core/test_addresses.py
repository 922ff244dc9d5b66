"""ADD_ADDR, REMOVE_ADDR, MP_PRIO: RFC 8684 §3.3.8, §3.4; RFC 6824 §3.4 in the older profiles."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from testbed.mptcp.config import Profile
from testbed.mptcp.paths import PathsConfig, parse_endpoint
from testbed.mptcp.reasons import Reason
from testbed.mptcp.wire import AddAddr, MpPrio, RemoveAddr, Segment, Timestamps
from tests.core.multipath import (
    CLIENT,
    MPTCP_PROFILES,
    SERVER,
    closed_subflows,
    has,
    multipath,
    open_subflows,
    opened,
    transfer,
    usable,
)
from tests.pair import SECOND, Pair, Side

OLD = (Profile.V0, Profile.DRAFT)


def announcements(pair: Pair, way: str, echo: bool = False) -> list[AddAddr]:
    return [
        option
        for segment in pair.segments(way)
        for option in segment.options
        if isinstance(option, AddAddr) and option.echo is echo
    ]


def test_an_announcement_is_echoed_once_and_not_repeated() -> None:
    pair = multipath(3)
    open_subflows(pair, 3)
    pair.run(until=pair.now + 30 * SECOND)
    assert [(one.address_id, one.address) for one in announcements(pair, "down")] == [
        (1, SERVER[1]),
        (2, SERVER[2]),
    ]
    assert len(announcements(pair, "up", echo=True)) == 2
    assert pair.server.endpoint.counters["EchoAdd"] == 2
    assert pair.client.endpoint.counters["EchoAddTx"] == 2


def test_a_lost_announcement_is_repeated_until_its_echo() -> None:
    lost: list[Segment] = []

    def lose(way: str, number: int, segment: Segment) -> bool:
        if way == "down" and has(segment, AddAddr) and len(lost) < 2:
            lost.append(segment)
            return True
        return False

    pair = multipath(lose=lose)
    pair.establish()
    transfer(pair, b"x")
    pair.run(until=pair.now + 20 * SECOND)
    assert len(announcements(pair, "down")) == 3
    assert pair.server.endpoint.counters["EchoAdd"] == 1


def test_without_any_echo_it_gives_up() -> None:
    pair = multipath(lose=lambda way, number, segment: way == "up" and has(segment, AddAddr))
    pair.establish()
    transfer(pair, b"x")
    pair.run(until=pair.now + 60 * SECOND)
    said = [one.time for one in pair.crossings if one.way == "down" and has(one.segment, AddAddr)]
    assert [then - before for before, then in pairwise(said)] == [2 * SECOND, 4 * SECOND]
    transfer(pair, bytes(10_000))


@pytest.mark.parametrize("change", [{"hmac": bytes(8)}, {"hmac": None}, {"address": SERVER[3]}])
def test_a_wrong_hmac_is_silently_ignored(change: dict[str, object]) -> None:
    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        options = tuple(
            replace(option, **change) if isinstance(option, AddAddr) and not option.echo else option  # type: ignore[arg-type]
            for option in segment.options
        )
        return replace(segment, options=options)

    pair = multipath(rewrite=rewrite, client={"paths": PathsConfig(endpoints=())})
    pair.establish()
    transfer(pair, b"x")
    pair.run(until=pair.now + 5 * SECOND)
    assert pair.client.endpoint.counters["AddAddr"] == 0
    assert pair.client.endpoint.counters["EchoAddTx"] == 0
    assert usable(pair.client) == 1


@pytest.mark.parametrize("profile", OLD)
def test_the_older_form_has_no_hmac_and_no_echo(profile: Profile) -> None:
    pair = multipath(profile=profile)
    open_subflows(pair)
    (first, *_) = announcements(pair, "down")
    assert (first.version, first.hmac, first.address) == (0, None, SERVER[1])
    assert not announcements(pair, "up", echo=True)


def test_an_id_means_one_address() -> None:
    """A second ADD_ADDR with the same ID and another address changes nothing (RFC 8684 §3.4.1)."""
    pair = multipath(profile=Profile.V0)
    open_subflows(pair)
    known = AddAddr(0, 1, SERVER[3])
    last = pair.segments("down")[-1]
    pair.deliver(pair.client, replace(last, payload=b"", options=(*last.options[:1], known)))
    pair.run(until=pair.now + SECOND)
    assert usable(pair.client) == 2
    assert pair.client.endpoint.counters["AddAddrDrop"] == 1


def test_a_port_may_be_announced() -> None:
    server = PathsConfig(endpoints=(parse_endpoint("10.1.2.1 signal port 8080"),))
    pair = multipath(server={"paths": server}, client={"paths": PathsConfig(endpoints=())})
    pair.establish()
    transfer(pair, b"x")
    pair.run(until=lambda: usable(pair.client) == usable(pair.server) == 2)
    assert opened(pair.client)[0].remote == (SERVER[1], 8080)
    counters = pair.client.endpoint.counters
    assert counters["PortAdd"] == counters["MPJoinPortSynAckRx"] == 1
    counters = pair.server.endpoint.counters
    assert counters["PortAdd"] == counters["MPJoinPortSynRx"] == counters["MPJoinPortAckRx"] == 1


def test_nothing_is_announced_before_the_first_dss() -> None:
    """Linux takes an ADD_ADDR for the DATA_ACK that it has no room for, and joins; no DSS, no join."""
    pair = multipath()
    pair.establish()
    pair.run(until=pair.now + 5 * SECOND)
    assert not announcements(pair, "down")
    pair.client.send(b"x")
    pair.run(until=lambda: bool(announcements(pair, "down")))


def test_ipv6_with_a_port_finds_room() -> None:
    """30 bytes beside 10 for timestamps are all of the 40: no DATA_ACK."""
    six = [bytes.fromhex(f"20010db800{n:02x}0000000000000000000{n}") for n in (1, 2, 3, 4)]
    server = PathsConfig(endpoints=(parse_endpoint("2001:db8:4::4 signal port 8080"),))
    pair = Pair(
        client_addresses=(six[0], six[1]),
        server_addresses=(six[2], six[3]),
        server=replace(multipath().server_config, paths=server),
    )
    pair.server.endpoint.listen(8080, pair.server_config)
    pair.establish()
    transfer(pair, bytes(100))
    pair.run(until=pair.now + 3 * SECOND)
    (first, *_) = [s for s in pair.segments("down") if has(s, AddAddr)]
    assert [type(option) for option in first.options] == [Timestamps, AddAddr]
    assert pair.server.endpoint.counters["EchoAdd"] == 1


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
@pytest.mark.parametrize("who", ["client", "server"])
def test_a_removed_address_takes_its_subflow_along(profile: Profile, who: str) -> None:
    pair = multipath(profile=profile)
    open_subflows(pair)
    side: Side = getattr(pair, who)
    other = pair.server if who == "client" else pair.client
    side.endpoint.remove_address(pair.now, side.first(None), 1)
    pair.run(until=lambda: bool(closed_subflows(other)))
    assert closed_subflows(side)[0].reason is Reason.ADDRESS_REMOVED
    removals = [s for s in pair.segments("up" if who == "client" else "down") if has(s, RemoveAddr)]
    assert len(removals) == 1
    assert other.endpoint.counters["RmAddr"] == 1
    transfer(pair, bytes(100_000))
    assert usable(pair.client) == usable(pair.server) == 1


def test_an_unknown_id_is_ignored() -> None:
    pair = multipath()
    open_subflows(pair)
    last = pair.segments("down")[-1]
    pair.deliver(pair.client, replace(last, payload=b"", options=(*last.options[:1], RemoveAddr((77, 78)))))
    assert usable(pair.client) == 2
    transfer(pair, bytes(1000))


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_a_backup_subflow_is_used_only_when_the_other_dies(profile: Profile) -> None:
    backup = PathsConfig(endpoints=(parse_endpoint("10.0.2.1 subflow pair backup"),))
    pair = multipath(profile=profile, client={"paths": backup})
    open_subflows(pair)
    transfer(pair, bytes(300_000))
    first, second = pair.client.report().paths
    assert second.backup
    assert (first.bytes_sent, second.bytes_sent) == (300_001, 0)
    assert pair.server.report().paths[1].backup, "the B bit says it to the peer"
    pair.lose = lambda way, number, segment: segment.src == CLIENT[0]
    transfer(pair, bytes(300_000))
    assert pair.client.report().paths[1].bytes_sent >= 300_000


@pytest.mark.parametrize("profile", MPTCP_PROFILES)
def test_mp_prio_changes_it_at_any_time(profile: Profile) -> None:
    pair = multipath(profile=profile)
    open_subflows(pair)
    number = opened(pair.server)[0].subflow
    pair.server.endpoint.set_backup(pair.now, pair.server.first(None), number, True)
    pair.run(until=pair.now + SECOND)
    assert [s for s in pair.segments("down") if has(s, MpPrio)]
    assert pair.client.endpoint.counters["MPPrioRx"] == 1
    before = pair.client.report().paths[1].bytes_sent
    transfer(pair, bytes(300_000))
    assert pair.client.report().paths[1].bytes_sent == before
    pair.server.endpoint.set_backup(pair.now, pair.server.first(None), number, False)
    pair.run(until=pair.now + SECOND)
    transfer(pair, bytes(300_000))
    assert pair.client.report().paths[1].bytes_sent > before


def test_a_flood_of_announcements_is_bounded() -> None:
    pair = multipath(profile=Profile.V0)
    open_subflows(pair)
    last = pair.segments("down")[-1]
    for number in range(10_000):
        option = AddAddr(0, number % 256, bytes((10, 9, number >> 8 & 255, number & 255)))
        segment = replace(last, payload=b"", options=(*last.options[:1], option))
        pair.client.endpoint.handle_segment(pair.now, segment)
    pair.run(until=pair.now + 100_000)
    assert len(pair.client.endpoint) <= 1 + PathsConfig().limits.subflows
    pair.lose = lambda way, number, segment: segment.dst[1] == 9
    assert pair.client.report().subflows == 2
