"""Middleboxes that strip options, change them, or send plain nonsense.

Where only options are lost, each stream is intact or its connection ends with a clean error. Whatever
else is changed on the way, nothing raises, nothing loops, and every connection ends. Read first: RFC 8684
§3.7, tests/pair.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from testbed.link import LinkParams
from testbed.mptcp.config import SPOKEN, ClientConfig, MptcpConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.reasons import Verdict
from testbed.mptcp.wire import (
    ACK,
    SYN,
    Dss,
    MpCapable,
    Segment,
    Timestamps,
    UnknownOption,
    decode,
    encode,
)
from tests.pair import MILLISECOND, Pair
from tests.properties.test_network import BLOCK, check, talk

KINDS = {"capable": MpCapable, "dss": Dss, "timestamps": Timestamps}
MPTCP = [Profile.V0, Profile.DRAFT, Profile.V1]


def without(segment: Segment, kinds: tuple[type, ...]) -> Segment:
    return replace(segment, options=tuple(o for o in segment.options if not isinstance(o, kinds)))


def strip(
    kinds: tuple[type, ...], when: Callable[[str, Segment], bool]
) -> Callable[[str, int, Segment], Segment]:
    return lambda way, n, segment: without(segment, kinds) if when(way, segment) else segment


@pytest.mark.parametrize("cookies", [SynCookies.OFF, SynCookies.ALWAYS])
@pytest.mark.parametrize("profile", MPTCP)
@pytest.mark.parametrize(
    ("where", "reasons"),
    [
        ("syn", {"no_capable_in_synack"}),
        ("synack", {"no_capable_in_synack"}),
        ("not syn", {"no_data_ack", "no_mapping"}),
    ],
)
def test_mptcp_options_stripped(profile: Profile, cookies: SynCookies, where: str, reasons: set[str]) -> None:
    """RFC 8684 §3.7: seamless fallback, whichever packets lose their options."""
    places: dict[str, Callable[[str, Segment], bool]] = {
        "syn": lambda way, segment: segment.flags & (SYN | ACK) == SYN,
        "synack": lambda way, segment: segment.flags & (SYN | ACK) == SYN | ACK,
        "not syn": lambda way, segment: not segment.flags & SYN,
    }
    pair = Pair(
        client=ClientConfig(profile=profile),
        server=ServerConfig(syn_cookies=cookies),
        rewrite=strip((MpCapable, Dss), places[where]),
    )
    talk(pair, BLOCK[:20_000], BLOCK[:20_000])
    check(pair, BLOCK[:20_000], BLOCK[:20_000])
    end = pair.client.closed()
    assert end is not None
    assert end.clean
    assert end.verdict is Verdict.FALLBACK
    assert str(end.reason) in reasons


@pytest.mark.parametrize("profile", MPTCP)
@pytest.mark.parametrize("way", ["up", "down"])
def test_options_stripped_one_way(profile: Profile, way: str) -> None:
    """One end may have seen all it needs to stay with MPTCP; then options vanish and it may reset (§3.7)."""
    pair = Pair(
        client=ClientConfig(profile=profile),
        rewrite=strip((MpCapable, Dss), lambda where, segment: where == way and not segment.flags & SYN),
    )
    talk(pair, BLOCK[:20_000], BLOCK[:20_000])
    check(pair, BLOCK[:20_000], BLOCK[:20_000])
    assert pair.client.closed().verdict in (Verdict.FALLBACK, Verdict.RESET)  # type: ignore[union-attr]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(MPTCP),
    cookies=st.sampled_from([SynCookies.OFF, SynCookies.ALWAYS]),
    kinds=st.sets(st.sampled_from(sorted(KINDS)), min_size=1),
    rate=st.sampled_from([0.05, 0.3, 0.9]),
    loss=st.sampled_from([0.0, 0.1]),
    sizes=st.tuples(st.sampled_from([300, 20_000]), st.sampled_from([300, 20_000])),
    seed=st.integers(0, 1_000_000),
)
def test_options_stripped_at_random(
    profile: Profile,
    cookies: SynCookies,
    kinds: set[str],
    rate: float,
    loss: float,
    sizes: tuple[int, int],
    seed: int,
) -> None:
    rng = random.Random(seed)
    types = tuple(KINDS[kind] for kind in sorted(kinds))
    way = LinkParams(delay=10 * MILLISECOND, loss=loss)
    pair = Pair(
        client=ClientConfig(profile=profile),
        server=ServerConfig(syn_cookies=cookies),
        up=way,
        down=way,
        seed=seed,
        rewrite=strip(types, lambda way, segment: rng.random() < rate),
    )
    there, back = BLOCK[: sizes[0]], BLOCK[1 : sizes[1] + 1]
    talk(pair, there, back)
    check(pair, there, back)


def nonsense(rng: random.Random, rate: float) -> Callable[[str, int, Segment], Segment]:
    """Flips bits of the TCP header and options, swaps options for others, cuts payloads."""

    def rewrite(way: str, n: int, segment: Segment) -> Segment:
        if rng.random() >= rate:
            return segment
        kind = rng.randrange(4)
        if kind == 0:
            return replace(segment, payload=segment.payload[: rng.randrange(1 + len(segment.payload))])
        if kind == 1:
            return replace(segment, options=(UnknownOption(30, rng.randbytes(rng.randrange(30))),))
        if kind == 2:
            options = list(segment.options)
            rng.shuffle(options)
            return replace(segment, options=tuple(options[: rng.randrange(1 + len(options))]))
        raw = bytearray(encode(segment))
        head = 20 if len(segment.src) == 4 else 40
        data = head + (raw[head + 12] >> 4) * 4
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(head + 4, data)  # the ports stay: else it is another connection's
            if at not in (head + 12,):
                raw[at] ^= 1 << rng.randrange(8)
        changed = decode(bytes(raw), verify=False)
        return changed if isinstance(changed, Segment) and _fits(changed) else segment

    return rewrite


def _fits(segment: Segment) -> bool:
    try:
        encode(segment)
    except ValueError:
        return False
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(SPOKEN),
    cookies=st.sampled_from(SynCookies),
    checksum=st.booleans(),
    rate=st.sampled_from([0.02, 0.2, 0.8]),
    seed=st.integers(0, 1_000_000),
)
@example(profile=Profile.V0, cookies=SynCookies.OFF, checksum=True, rate=0.2, seed=1353)
@example(profile=Profile.V0, cookies=SynCookies.OFF, checksum=False, rate=0.2, seed=115212)
def test_nonsense_raises_nothing(
    profile: Profile, cookies: SynCookies, checksum: bool, rate: float, seed: int
) -> None:
    """`talk` asserts that all ends; an exception or an endless exchange fails the test."""
    mptcp = MptcpConfig(checksum=checksum)
    pair = Pair(
        client=ClientConfig(profile=profile, mptcp=mptcp),
        server=ServerConfig(syn_cookies=cookies, mptcp=mptcp),
        seed=seed,
        rewrite=nonsense(random.Random(seed), rate),
    )
    # RFC 6824 has ADD_ADDR without a HMAC: nonsense may announce an address that is joined and is nobody's.
    known = {*pair.client.addresses, *pair.server.addresses}
    pair.lose = lambda way, number, segment: segment.dst not in known
    talk(pair, BLOCK[:20_000], BLOCK[:20_000])
    for number in pair.server.connections:
        assert pair.server.closed(number) is not None
