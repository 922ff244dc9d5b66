"""A SYN flood: how punctual it is, what its SYNs look like, and that nothing makes it answer."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from testbed.errors import UserError
from testbed.mptcp.capable import find_capable
from testbed.mptcp.config import MILLISECOND, SECOND, ClientConfig, Profile
from testbed.mptcp.wire import ACK, RST, SYN, Segment, decode, encode
from testbed.workloads import HostSpec, Workload
from testbed.workloads.flood import BURST
from testbed.workloads.host import Host
from testbed.workloads.spec import FIRST_EPHEMERAL, LAST_EPHEMERAL, MOST_SYNS, Flood

OURS = ("10.9.1.1", "10.9.1.2", "fd00:9:1::1")


def flood(
    rate: float = 1000, most: int = MOST_SYNS, profile: Profile = Profile.TCP, seed: int = 1, start: int = 0
) -> Host:
    spec = HostSpec(
        "attacker",
        "client",
        OURS,
        ("10.1.1.1",),
        client=ClientConfig(profile),
        workload=Workload(start=start),
        background=True,
        flood=Flood(rate, most, "server"),
    )
    return Host(spec, random.Random(seed).randbytes, random.Random(seed))


def sent(host: Host, now: int) -> list[Segment]:
    found = []
    while (segment := host.poll_transmit(now)) is not None:
        found.append(segment)
    return found


def go(host: Host, until: int, late: int = 0) -> list[tuple[int, Segment]]:
    """Every timer `late` ns behind its time."""
    host.start(0)
    found = []
    while (due := host.poll_timeout()) is not None and due + late <= until:
        host.handle_timeout(due + late)
        found += [(due + late, segment) for segment in sent(host, due + late)]
    return found


def row(host: Host) -> dict[str, Any]:
    (only,) = host.rows()
    return only


@pytest.mark.parametrize("rate", [1, 7, 1000, 12_345])
@pytest.mark.parametrize("late", [0, 15 * MILLISECOND])
def test_the_rate_is_the_one_asked_for_however_late_the_timers(rate: int, late: int) -> None:
    host = flood(rate, start=SECOND)
    times = [at for at, _ in go(host, 3 * SECOND + late, late)]
    assert min(times) == SECOND + late
    assert len(times) == pytest.approx(2 * rate + 1, abs=1 + rate * late / SECOND)
    for index, at in enumerate(times):
        assert at >= SECOND + index * SECOND // rate, "none before its time"
    assert max(Counter(times).values()) <= max(1, rate * BURST // SECOND)
    assert row(host)["syns"] == len(times)
    if not late:
        assert row(host)["syns_per_second"] == pytest.approx(rate, rel=0.002)


def test_it_catches_up_in_small_batches() -> None:
    host = flood(20_000)
    host.start(0)
    batch = 20_000 * BURST // SECOND
    host.handle_timeout(SECOND // 10)  # the first timer came so late
    assert len(sent(host, SECOND // 10)) == batch
    now = SECOND // 10
    while now < SECOND // 4:
        now = host.poll_timeout() or 0
        host.handle_timeout(now)
        assert len(sent(host, now)) <= batch
    assert row(host)["syns"] == pytest.approx(20_000 / 4, rel=0.01)


def test_a_number_ends_it_and_a_rate_of_none_never_begins() -> None:
    host = flood(100, most=3)
    assert [at for at, _ in go(host, 10 * SECOND)] == [0, SECOND // 100, SECOND // 50]
    assert host.poll_timeout() is None
    idle = flood(0)
    assert go(idle, SECOND) == []
    assert (row(idle)["syns"], row(idle)["syns_per_second"]) == (0, 0.0)


@pytest.mark.parametrize("profile", [Profile.TCP, Profile.V0, Profile.DRAFT, Profile.V1])
def test_syns_are_those_of_the_profile(profile: Profile) -> None:
    segments = [segment for _, segment in go(flood(profile=profile), SECOND)]
    for segment in segments:
        assert segment.flags == SYN
        assert not segment.payload
        assert decode(encode(segment)) == segment
        option = find_capable(segment.options)
        if profile is Profile.TCP:
            assert option is None
        else:
            assert option is not None
            version = {Profile.V0: 0, Profile.DRAFT: 2, Profile.V1: 1}[profile]
            assert option.version == version
            assert (option.sender_key is not None) == (profile is Profile.V0)
    assert len({segment.seq for segment in segments}) == len(segments)


def test_every_four_tuple_has_its_turn_before_one_comes_again() -> None:
    count = 2 * (LAST_EPHEMERAL - FIRST_EPHEMERAL + 1)  # two addresses of the victim's family
    segments = [segment for _, segment in go(flood(89_000), SECOND)]
    tuples = [(segment.src, segment.sport) for segment in segments]
    assert len(tuples) > count
    assert len(set(tuples[:count])) == count
    assert tuples[count] == tuples[0]
    assert {len(segment.src) for segment in segments} == {4}
    assert all(FIRST_EPHEMERAL <= segment.sport <= LAST_EPHEMERAL for segment in segments)


def test_it_hears_and_never_answers() -> None:
    host = flood(10)
    host.start(0)
    host.handle_timeout(0)
    (syn,) = sent(host, 0)
    back = Segment(syn.dst, syn.src, syn.dport, syn.sport, 77, syn.seq + 1, SYN | ACK, 1000)
    for answer in (back, back, replace(back, flags=RST | ACK), replace(back, flags=ACK, payload=b"data")):
        host.handle_segment(1000, answer)
        assert host.poll_transmit(1000) is None
    found = row(host)
    assert (found["syns"], found["synacks"], found["resets"]) == (1, 2, 1)
    assert not host.holds_state
    assert not host.done


def test_the_same_seed_floods_the_same() -> None:
    one, again, other = (go(flood(profile=Profile.V0, seed=seed), SECOND // 10) for seed in (3, 3, 4))
    assert one == again != other


@pytest.mark.parametrize(("rate", "most"), [(-1, 1), (1e6, 1), (1, 0), (1, MOST_SYNS + 1)])
def test_what_no_flood_can_be(rate: float, most: int) -> None:
    with pytest.raises(UserError, match="flood of server"):
        flood(rate, most)
