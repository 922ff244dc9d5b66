"""Whole endpoints on links with any delay, 0 included: nothing in a packet and no time of arrival raises.

Delays of 0 to a few ns, clocks from 0 on, tiny timers and buffers, forged acknowledgements, windows, SACK
blocks and timestamps, routers that name small MTUs.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.link import LinkParams
from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.config import ClientConfig, MptcpConfig, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.sched import SCHEDULERS
from testbed.mptcp.wire import Option, Sack, Segment, Timestamps, TooBig
from tests.core.multipath import CLIENT, SERVER
from tests.pair import MILLISECOND, SECOND, Pair, Side

MASK = 0xFFFF_FFFF


@pytest.mark.parametrize("scheduler", list(SCHEDULERS))
@pytest.mark.parametrize("congestion", list(CONTROLLERS))
def test_a_round_trip_of_no_time(congestion: str, scheduler: str) -> None:
    """Links without delay: each RTT sample is 0."""
    tcp, mptcp = TcpConfig(congestion=congestion), MptcpConfig(scheduler=scheduler)
    pair = Pair(
        client=ClientConfig(tcp=tcp, mptcp=mptcp),
        server=ServerConfig(tcp=tcp, mptcp=mptcp),
        delay=0,
        up=LinkParams(loss=0.02),
        client_addresses=CLIENT[:2],
        server_addresses=SERVER[:2],
    )
    pair.establish()
    pair.client.send(bytes(300_000))
    pair.server.send(bytes(300_000))
    pair.run(until=lambda: len(pair.server.received()) == len(pair.client.received()) == 300_000)
    for side in (pair.client, pair.server):
        assert all(path.srtt is None or path.srtt >= 1 for path in side.report().paths)


def forged(seen: Segment, rng: random.Random) -> Segment:
    """What the peer sent, with timestamps and one more thing in it changed."""
    options: list[Option] = []
    for option in seen.options:
        if isinstance(option, Timestamps):
            value = rng.choice([option.value, option.value + 1, option.value + rng.randrange(1 << 31)])
            echo = rng.choice([0, option.echo, option.echo - 1, option.echo + 1_000, option.echo + (1 << 31)])
            option = Timestamps(value & MASK, echo & MASK)
        options.append(option)
    segment = replace(seen, options=tuple(options))
    kind = rng.randrange(5)
    if kind == 0:
        return replace(segment, ack=(seen.ack + rng.choice([-1, 1, 1_460, 100_000, 1 << 31])) & MASK)
    if kind == 1:
        return replace(segment, window=rng.choice([0, 1, 65_535]))
    if kind == 2:
        starts = [seen.ack + rng.randrange(-3_000, 60_000) for _ in range(rng.randrange(1, 4))]
        blocks = tuple([(at & MASK, (at + rng.choice([1, 1_460, 40_000])) & MASK) for at in starts])
        kept = [option for option in options if isinstance(option, Timestamps)]
        return replace(segment, options=(*kept, Sack(blocks)))
    if kind == 3:
        return replace(segment, flags=rng.randrange(64))
    return segment


def step(pair: Pair, side: Side, rng: random.Random) -> None:
    from_peer = pair.segments("up" if side is pair.server else "down")
    own = pair.segments("up" if side is pair.client else "down")
    chance = rng.random()
    if chance < 0.35:
        if side.connections:
            side.endpoint.send(pair.now, side.connections[0], bytes(rng.choice([1, 1_000, 40_000])))
    elif chance < 0.6:
        pair.run(until=pair.now + rng.choice([0, 1, 1_000, MILLISECOND, 50 * MILLISECOND, SECOND]))
    elif chance < 0.9 and from_peer:
        side.endpoint.handle_segment(pair.now, forged(rng.choice(from_peer[-40:]), rng))
    elif own:
        ends = (own[-1].src, own[-1].sport), (own[-1].dst, own[-1].dport)
        mtu = rng.choice([68, 552, 1_000, 1_280, 1_400])
        side.endpoint.packet_too_big(pair.now, TooBig(*ends, own[-1].seq, mtu))
    pair.settle(side)


@settings(max_examples=120)
@given(
    seed=st.integers(0, 1 << 32),
    congestion=st.sampled_from(list(CONTROLLERS)),
    profile=st.sampled_from([Profile.TCP, Profile.V0, Profile.DRAFT, Profile.V1]),
    paths=st.integers(1, 4),
    delay=st.sampled_from([0, 0, 1, 2, 1_000, MILLISECOND]),
)
def test_nothing_raises_at_any_delay(
    seed: int, congestion: str, profile: Profile, paths: int, delay: int
) -> None:
    rng = random.Random(seed)
    tcp = TcpConfig(
        congestion=congestion,
        mss=rng.choice([1_460, 1_220, 536]),
        rto_min=rng.choice([0, 1, 200 * MILLISECOND]),
        rto_initial=rng.choice([1, MILLISECOND, SECOND]),
        delayed_ack=rng.choice([0, 40 * MILLISECOND]),
        receive_buffer=rng.choice([1_460, 5_000, 1 << 20]),
        send_buffer=rng.choice([1, 1_460, 1 << 20]),
        initial_window=rng.choice([1, 10]),
        timestamps=rng.random() < 0.7,
        sack=rng.random() < 0.7,
        window_scale=rng.choice([None, 0, 7, 14]),
        gso_max_size=rng.choice([0, 9_000, 62_000]),
    )
    mptcp = MptcpConfig(scheduler=rng.choice(list(SCHEDULERS)), checksum=rng.random() < 0.3)
    server = ServerConfig(tcp=tcp, mptcp=mptcp, syn_cookies=rng.choice(list(SynCookies)), fast_open=True)
    pair = Pair(
        client=ClientConfig(profile=profile, tcp=tcp, mptcp=mptcp, fast_open=rng.random() < 0.5),
        server=server,
        up=LinkParams(delay=delay, loss=rng.choice([0, 0.02, 0.2])),
        down=LinkParams(delay=delay, loss=rng.choice([0, 0.02, 0.2])),
        client_addresses=CLIENT[:paths],
        server_addresses=SERVER[:paths],
        start=rng.choice([0, 1, 1_000 * SECOND, 1 << 62]),
        through_bytes=False,
        lose=lambda way, number, segment: segment.dst not in CLIENT[:paths] + SERVER[:paths],
    )
    pair.connect()
    for _ in range(rng.randrange(3, 20)):
        step(pair, rng.choice([pair.client, pair.server]), rng)
    pair.run(until=pair.now + rng.choice([1, 30]) * SECOND)
