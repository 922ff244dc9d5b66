"""The simulator itself: determinism, values against bytes, invalid runs, routes, captures, bulk goodput."""

from __future__ import annotations

import dataclasses
import json

import pytest

from testbed.errors import UserError
from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.wire import Segment
from testbed.sim import simulate
from testbed.workloads import ROW_KEYS, HostSpec, RunOutcome, Workload, overflowed
from testbed.workloads.outcome import warnings_of
from tests.sim.cells import SECOND, ends, hosts, network, run_cell, two_path, why

ROUGH = {
    "paths.1.loss.up": 10,
    "paths.1.loss.down": 5,
    "paths.1.jitter.up": "3ms",
    "paths.1.reorder.down": 5,
    "paths.1.duplicate.up": 5,
}


def text(outcome: RunOutcome) -> str:
    return json.dumps(dataclasses.asdict(outcome))


def test_same_seed_same_bytes() -> None:
    first, second = (text(run_cell(Profile.V1, overrides=ROUGH, connections=30, seed=5)) for _ in range(2))
    assert first == second
    assert first != text(run_cell(Profile.V1, overrides=ROUGH, connections=30, seed=6))


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
def test_values_and_bytes_agree(profile: Profile, cookies: SynCookies) -> None:
    """Segments that travel as values do what their encoded and decoded selves do."""
    plain, coded = (
        text(
            run_cell(profile, overrides=ROUGH, cookies=cookies, connections=20, seed=3, through_bytes=through)
        )
        for through in (False, True)
    )
    assert plain == coded


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
def test_quiet_network(profile: Profile, cookies: SynCookies) -> None:
    """No loss: every connection ends well, both ends agree, times are in order."""
    outcome = run_cell(profile, cookies=cookies, connections=20)
    assert outcome.invalid is None
    assert len(outcome.rows) == 40
    wanted = "tcp" if profile is Profile.TCP else "mptcp"
    for client, server in ends(outcome):
        assert server is not None
        for row in (client, server):
            assert tuple(row) == ROW_KEYS
            # A server that sees a plain SYN cannot tell whether anyone wanted more.
            plain = row["role"] == "server" and profile is Profile.TCP
            reason = "no_capable_in_syn" if plain else "none"
            assert (row["verdict"], row["reason"]) == (wanted, reason), why(client, server)
            assert row["intact"]
            assert row["retransmits"] == 0
            assert row["subflows"] == 1
            times = [row[key] for key in ("opened_ns", "connected_ns", "first_byte_ns", "done_ns")]
            assert all(isinstance(time, int) for time in times)
            assert times == sorted(times)  # type: ignore[type-var]
        assert client["bytes_sent"] == server["bytes_received"] == 300
        assert client["bytes_received"] == server["bytes_sent"] == 10_000
        assert client["profile"] == server["profile"] == str(profile)
    # 10 ms each way, 74 to 86 bytes at 10 Mbit/s; the first connection meets no other's packets.
    first = ends(outcome)[0][0]
    assert 20_100_000 < int(str(first["connected_ns"])) - int(str(first["opened_ns"])) < 20_200_000
    quiet = {cause for link in outcome.links.values() for cause, count in link["dropped"].items() if count}
    assert quiet == set()


def test_a_full_queue_is_counted_and_leaves_the_run_valid() -> None:
    outcome = run_cell(
        Profile.V1,
        overrides={"paths.1.queue.down": 3, "paths.1.bw.down": 1},
        connections=20,
        workload=Workload(arrivals=200.0),
    )
    assert outcome.invalid is None
    assert list(overflowed(outcome.links)) == ["client-r1/backward"]


def test_rule_that_took_nothing_is_visible() -> None:
    outcome = run_cell(Profile.V1, overrides={"paths.1.drop.up": ("data:99",)})
    assert outcome.links["client-r1/forward"]["unmatched"] == ["data:99"]


def test_what_a_run_did_not_do_is_a_warning() -> None:
    outcome = run_cell(
        Profile.V1,
        overrides={
            "paths.1.drop.up": ("data:99",),
            "paths.1.at.down": {"1ms": {"delay": "11ms"}, "1000s": {"loss": 100}},
            "paths.2.blackout.up": "2000s-3000s",
        },
    )
    assert warnings_of(outcome) == [
        "client-r1/forward: drop data:99 never matched a packet",
        "client-r1/backward: change at 1000 s came after the end of the run",
        "client-r2/forward: blackout 2000s-3000s came after the end of the run",
    ]


def test_a_damaged_packet_is_dropped_by_its_receiver_and_counted() -> None:
    outcome = run_cell(
        Profile.V1,
        overrides={"paths.1.corrupt.up": 10},
        workload=Workload(type="bulk", request=500_000, response=0),
    )
    corrupted = outcome.links["client-r1/forward"]["corrupted"]
    assert corrupted > 10
    assert outcome.counters["server"]["TcpInErrs"] == corrupted
    assert all(row["intact"] for row in outcome.rows)
    assert outcome.links["r1-server/forward"]["packets"] == outcome.links["client-r1/forward"]["delivered"]


def test_a_path_that_dies_and_comes_back() -> None:
    outcome = run_cell(
        Profile.V1,
        overrides={"paths.*.at": {"100ms": {"loss": 100}, "400ms": {"loss": 0}}},
        workload=Workload(type="bulk", request=500_000, response=0),
    )
    assert outcome.invalid is None
    assert outcome.elapsed_ns > 400_000_000
    assert outcome.links["client-r1/forward"]["dropped"]["random"] > 0


def test_cut_off() -> None:
    outcome = run_cell(Profile.V1, connections=40, until=SECOND // 2)
    assert outcome.elapsed_ns <= SECOND // 2
    assert outcome.invalid is not None
    assert "cut off" in outcome.invalid


def test_capture_sees_every_packet_and_why_it_was_dropped() -> None:
    seen: list[tuple[int, str, str, Segment, str | None]] = []
    outcome = run_cell(
        Profile.V0,
        overrides={"paths.1.drop.up": ("third_ack",)},
        capture=lambda *packet: seen.append(packet),
    )
    assert len(seen) == sum(link["packets"] for link in outcome.links.values())
    dropped = [(link, way, cause) for _, link, way, _, cause in seen if cause]
    assert dropped == [("client-r1", "forward", "exact: third_ack")]
    times = [time for time, *_ in seen]
    assert times == sorted(times)
    assert {link for _, link, _, _, _ in seen} == {"client-r1", "r1-server"}


def test_second_address_takes_the_second_path() -> None:
    client, server = hosts(ClientConfig(), ServerConfig(), Workload(), 3, 1)
    client = dataclasses.replace(client, addresses=client.addresses[1:], remote=server.addresses[1:])
    outcome = simulate(network(), (client, server), 1)
    assert outcome.links["client-r1/forward"]["packets"] == 0
    assert outcome.links["client-r2/forward"]["packets"] > 0
    assert all(client_row["verdict"] == "mptcp" for client_row, _ in ends(outcome))


def test_address_that_the_node_has_not() -> None:
    client, server = hosts(ClientConfig(), ServerConfig(), Workload(), 1, 1)
    with pytest.raises(UserError, match=r"192\.0\.2\.1"):
        simulate(network(), (dataclasses.replace(client, addresses=("192.0.2.1",)), server), 1)


def test_peer_without_a_route_makes_a_run_invalid() -> None:
    client, server = hosts(ClientConfig(), ServerConfig(), Workload(timeout=SECOND), 1, 1)
    outcome = simulate(network(), (dataclasses.replace(client, remote=("192.0.2.1",)), server), 1)
    assert outcome.invalid is not None
    assert "192.0.2.1" in outcome.invalid
    assert outcome.rows[0]["verdict"] == "hang"


def test_nobody_listens() -> None:
    client, server = hosts(ClientConfig(), ServerConfig(), Workload(), 1, 1)
    outcome = simulate(network(), (dataclasses.replace(client, port=9), server), 1)
    (client_row,) = outcome.rows
    assert (client_row["verdict"], client_row["reason"]) == ("reset", "rst_received")


@pytest.mark.parametrize("profile", [Profile.TCP, Profile.V0, Profile.DRAFT, Profile.V1])
@pytest.mark.parametrize("way", ["up", "down"])
def test_bulk_fills_the_link(profile: Profile, way: str) -> None:
    """Window under BDP + queue, no loss: at least 95 % of what the frames can carry."""
    size = 4_000_000
    tcp = TcpConfig(receive_buffer=100_000)
    workload = Workload(
        type="bulk", request=size if way == "up" else 1, response=size if way == "down" else 0
    )
    longest = 0

    def measure(time: int, link: str, direction: str, segment: Segment, cause: str | None) -> None:
        nonlocal longest
        longest = max(longest, len(segment.payload))

    outcome = simulate(
        network(),
        hosts(ClientConfig(profile=profile, tcp=tcp), ServerConfig(tcp=tcp), workload, 1, 1),
        1,
        capture=measure,
    )
    ((client, server),) = ends(outcome)
    assert server is not None
    receiver = server if way == "up" else client
    assert receiver["intact"], why(client, server)
    assert outcome.links["client-r1/forward"]["dropped"]["queue"] == 0
    assert outcome.links["client-r1/backward"]["dropped"]["queue"] == 0
    seconds = (int(str(receiver["done_ns"])) - int(str(client["opened_ns"]))) / SECOND
    capacity = 10_000_000 * longest / (1500 + 14)
    assert size * 8 / seconds >= 0.95 * capacity, (size * 8 / seconds, capacity, longest)


def test_hosts_are_checked() -> None:
    far = two_path().addresses("server")
    with pytest.raises(UserError, match="client configuration"):
        HostSpec("client", "client", ("10.0.1.1",), far)
    with pytest.raises(UserError, match="IPv4 or IPv6"):
        HostSpec("client", "client", ("10.0.1",), far, client=ClientConfig())
    with pytest.raises(UserError, match="44001"):
        HostSpec("client", "client", ("10.0.1.1",), far, client=ClientConfig(), connections=50_000)
    with pytest.raises(UserError, match="unknown type"):
        Workload(type="nothing")  # type: ignore[arg-type]
