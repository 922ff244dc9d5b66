"""Fast Open over any network: each byte stream is intact or its connection ends with a clean error.

Data in the SYN that is lost, doubled, overtaken, refused or taken in part, in every profile. A SYN that
comes a second time, after its connection has ended, is the one repetition that RFC 7413 §2.1 allows.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from testbed.link import LinkParams
from testbed.mptcp.config import (
    ClientConfig,
    FastOpenAnswer,
    FastOpenSpace,
    Profile,
    ServerConfig,
    SynCookies,
)
from testbed.mptcp.events import Closed
from tests.pair import Pair
from tests.properties.test_network import BLOCK, MS, SECOND, check, clients, servers, sizes, talk, ways

fast_clients = st.builds(
    lambda config, pauses, repeat: replace(
        config,
        fast_open=True,
        fast_open_pauses=pauses,
        mptcp=replace(config.mptcp, repeat_keys=repeat),
    ),
    clients,
    st.booleans(),
    st.sampled_from([True, True, False]),
)
fast_servers = st.builds(
    lambda config, cookie, pending, space, answer: replace(
        config,
        fast_open=True,
        fast_open_cookie=cookie,
        fast_open_pending=pending,
        fast_open_space=space,
        fast_open_answer=answer,
        syn_cookies=SynCookies.OFF,
    ),
    servers,
    st.sampled_from([4, 6, 8, 16]),
    st.sampled_from([1, 1, 256, 0]),
    st.sampled_from(FastOpenSpace),
    st.sampled_from(FastOpenAnswer),
)


def with_cookie(pair: Pair) -> None:
    """Fetched over a network without faults, which then becomes as bad as it was asked to be."""
    params, pair.params = pair.params, {"up": LinkParams(delay=MS), "down": LinkParams(delay=MS)}
    number = pair.connect(only_cookie=True)
    pair.run(until=lambda: pair.client.closed(number) is not None)
    pair.run(pair.now + SECOND)
    pair.params = params
    pair.directions.clear()
    pair.client.connections.clear()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    client=fast_clients,
    server=fast_servers,
    up=ways,
    down=ways,
    request=sizes,
    response=sizes,
    rotations=st.sampled_from([0, 0, 0, 1, 2]),
    seed=st.integers(0, 1_000_000),
)
@example(
    client=ClientConfig(profile=Profile.V1, fast_open=True),
    server=ServerConfig(fast_open=True, fast_open_cookie=6),
    up=LinkParams(delay=10 * MS, drops=("third_ack", "data:1")),
    down=LinkParams(delay=10 * MS, drops=("synack",)),
    request=14_600,
    response=14_600,
    rotations=0,
    seed=1,
)
def test_stream_is_intact_or_the_end_is_clean(
    client: ClientConfig,
    server: ServerConfig,
    up: LinkParams,
    down: LinkParams,
    request: int,
    response: int,
    rotations: int,
    seed: int,
) -> None:
    pair = Pair(client=client, server=server, up=up, down=down, seed=seed)
    with_cookie(pair)
    for number in range(rotations):
        pair.server.endpoint.rotate_cookie_secret(bytes([number]) * 32)
    there, back = BLOCK[:request], BLOCK[1 : response + 1]
    talk(pair, there, back, early=True)
    check(pair, there, back, ghosts=True)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    client=fast_clients, server=fast_servers, request=sizes, response=sizes, seed=st.integers(0, 1_000_000)
)
def test_without_faults_nothing_falls_back_and_nothing_is_sent_twice(
    client: ClientConfig, server: ServerConfig, request: int, response: int, seed: int
) -> None:
    """Whatever the sizes and options: Fast Open changes when data goes, not what becomes of it."""
    ends = []
    for fast in (False, True):
        pair = Pair(client=replace(client, fast_open=fast), server=server, seed=seed)
        if fast:
            with_cookie(pair)
        there, back = BLOCK[:request], BLOCK[1 : response + 1]
        talk(pair, there, back, early=True)
        check(pair, there, back)
        end = pair.client.closed()
        assert isinstance(end, Closed)
        ends.append((end.clean, end.verdict, end.reason))
    assert ends[0] == ends[1]
