"""Any options on any segment in any state: no exception, no endless exchange, bounded memory, an end.

The segments pass TCP's checks as often as not: an attacker on the path, or the peer itself, knows the
numbers, and at times the keys. What becomes of the stream is not judged here, only what becomes of the host.
Read first: tests/core/multipath.py, test_multipath.py here; RFC 8684 §3.3-§3.7 for what a good peer sends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.mptcp.config import MptcpConfig, Profile, SynCookies
from testbed.mptcp.keys import add_addr_hmac, token_and_idsn
from testbed.mptcp.reasons import Reason
from testbed.mptcp.wire import (
    ACK,
    FIN,
    MAX_OPTION_BYTES,
    PSH,
    RST,
    SYN,
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MpPrio,
    MpTcpRst,
    RemoveAddr,
    Segment,
    Timestamps,
    encoded_length,
)
from testbed.mptcp.wire.mptcp_options import MptcpOption
from tests.core.multipath import CLIENT, MPTCP_PROFILES, SERVER, multipath, open_subflows
from tests.pair import CLIENT_PORT, MILLISECOND, PORT, SECOND, Pair, Side
from tests.properties.memory import deep_size

WORD, QUAD = (1 << 32) - 1, (1 << 64) - 1


@dataclass
class Truth:
    """What the sender of a forged segment may know: both keys, and where the streams stand."""

    pair: Pair
    to_server: bool

    @property
    def target(self) -> Side:
        return self.pair.server if self.to_server else self.pair.client

    def report(self) -> Any:
        return self.target.report() if self.target.connections else None

    def key(self, local: bool) -> int:
        report = self.report()
        found = (report.local_key if local else report.remote_key) if report is not None else None
        return found if found is not None else 7

    @property
    def sha256(self) -> bool:
        report = self.report()
        return report is None or report.profile == "v1"

    def dsn(self, local: bool, offset: int) -> int:
        return (token_and_idsn(self.key(local), self.sha256)[1] + offset) & QUAD


# An option is a function of the truth: what is drawn is how far it departs from it.
Maker = Callable[[Truth], Any]
offsets = st.one_of(
    st.integers(0, 1_200),
    st.integers(-5_000, 100_000),
    st.sampled_from([1, 2, 1 << 20, 1 << 31, -(1 << 31), (1 << 32) + 1, 1 << 63, -(1 << 63)]),
)
ssns = st.one_of(st.integers(0, 1_200), st.integers(0, WORD))
lengths = st.one_of(st.integers(0, 400), st.sampled_from([0, 1, 65_535]))
checksums = st.one_of(st.none(), st.integers(0, 0xFFFF))
eights = st.booleans()
numbers = st.integers(0, 255)
near_ids = st.one_of(st.integers(0, 4), numbers)
addresses = st.one_of(
    st.sampled_from([*CLIENT, *SERVER]),
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=16, max_size=16),
)
ports = st.one_of(st.none(), st.sampled_from([PORT, 0, 9]), st.integers(0, 0xFFFF))


def keys(local: bool) -> st.SearchStrategy[Callable[[Truth], int]]:
    right = st.just(lambda truth: truth.key(local))
    return st.one_of(right, right, st.integers(0, QUAD).map(lambda number: lambda truth: number))


@st.composite
def dss(draw: st.DrawFn) -> Maker:
    ack, dsn = draw(st.one_of(st.none(), offsets)), draw(st.one_of(st.none(), offsets))
    ack_8, dsn_8, ssn, length = draw(eights), draw(eights), draw(ssns), draw(lengths)
    checksum, fin = draw(checksums), draw(st.booleans())

    def make(truth: Truth) -> Dss:
        data_ack = truth.dsn(True, ack) if ack is not None else None
        number = truth.dsn(False, dsn) if dsn is not None else None
        return Dss(
            data_ack if ack_8 or data_ack is None else data_ack & WORD,
            ack_8 and data_ack is not None,
            number if dsn_8 or number is None else number & WORD,
            dsn_8 and number is not None,
            ssn if number is not None else 0,
            length if number is not None else 0,
            checksum if number is not None else None,
            fin,
        )

    return make


@st.composite
def capable(draw: st.DrawFn) -> Maker:
    version, flags = draw(st.integers(0, 3)), draw(st.sampled_from([0x01, 0x81, 0x21, 0x41, 0x00]))
    form, length, checksum = draw(st.integers(0, 3)), draw(lengths), draw(checksums)
    theirs, ours = draw(keys(False)), draw(keys(True))

    def make(truth: Truth) -> MpCapable:
        return MpCapable(
            version,
            flags,
            theirs(truth) if form > 0 else None,
            ours(truth) if form > 1 else None,
            length if form > 2 else None,
            checksum if form > 2 else None,
        )

    return make


@st.composite
def add_addr(draw: st.DrawFn) -> Maker:
    version, number, address, port = draw(st.integers(0, 1)), draw(near_ids), draw(addresses), draw(ports)
    echo, good, junk = draw(st.booleans()), draw(st.booleans()), draw(st.binary(min_size=8, max_size=8))

    def make(truth: Truth) -> AddAddr:
        if version == 0:
            return AddAddr(0, number, address, port)
        if echo:
            return AddAddr(1, number, address, port, echo=True)
        mac = add_addr_hmac(truth.key(False), truth.key(True), number, address, port or 0) if good else junk
        return AddAddr(1, number, address, port, hmac=mac)

    return make


@st.composite
def join_syn(draw: st.DrawFn) -> Maker:
    backup, number, nonce = draw(st.booleans()), draw(near_ids), draw(st.integers(0, WORD))
    good, junk = draw(st.booleans()), draw(st.integers(0, WORD))

    def make(truth: Truth) -> MpJoinSyn:
        token = token_and_idsn(truth.key(True), truth.sha256)[0] if good else junk
        return MpJoinSyn(backup, number, token, nonce)

    return make


def fixed(option: st.SearchStrategy[Any]) -> st.SearchStrategy[Maker]:
    return option.map(lambda value: lambda truth: value)


makers: st.SearchStrategy[Maker] = st.one_of(
    dss(),
    dss(),
    dss(),
    capable(),
    add_addr(),
    join_syn(),
    fixed(
        st.builds(
            MpJoinSynAck, st.booleans(), near_ids, st.binary(min_size=8, max_size=8), st.integers(0, WORD)
        )
    ),
    fixed(st.builds(MpJoinAck, st.binary(min_size=20, max_size=20))),
    fixed(st.builds(RemoveAddr, st.lists(near_ids, min_size=1, max_size=6).map(tuple))),
    fixed(st.builds(MpPrio, st.booleans(), st.one_of(st.none(), near_ids))),
    fixed(st.builds(MpTcpRst, numbers, st.booleans())),
    offsets.map(lambda offset: lambda truth: MpFail(truth.dsn(True, offset))),
    keys(True).map(lambda key: lambda truth: MpFastclose(key(truth))),
)


@dataclass(frozen=True)
class Shot:
    """One forged segment. `flow`: which of the target's subflows, or a new one where that is too many."""

    to_server: bool
    flow: int
    flags: int
    seq: int
    ack: int
    payload: int
    options: tuple[Maker, ...]
    stamped: bool


shots = st.builds(
    Shot,
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from([ACK] * 6 + [ACK | PSH, ACK | FIN, RST, RST | ACK, SYN, SYN | ACK, 0, SYN | FIN]),
    st.sampled_from([0] * 8 + [1, -1, 300, -300, 70_000, 1 << 31]),
    st.sampled_from([0] * 8 + [1, -1, -300, 70_000, 1 << 31]),
    st.sampled_from([0, 0, 0, 1, 300]),
    st.lists(makers, min_size=1, max_size=3).map(tuple),
    st.sampled_from([True, True, True, False]),
)
events = st.sampled_from(["send up", "send down", "close up", "close down", "retire", "withdraw"])
waits = st.sampled_from([0, 5, 10, 10, 20, 50, 1_000, 5_000])
steps = st.lists(st.one_of(shots, shots, shots, waits, events), min_size=20, max_size=60)


def forge(pair: Pair, shot: Shot) -> Segment:
    """Behind the last segment that the pretended sender has sent on that subflow."""
    way = "up" if shot.to_server else "down"
    flows: dict[tuple[bytes, int, bytes, int], Segment] = {}
    for segment in pair.segments(way):
        flows[segment.src, segment.sport, segment.dst, segment.dport] = segment
    truth = Truth(pair, shot.to_server)
    options: list[Any] = []
    if shot.flow < len(flows):
        last = list(flows.values())[shot.flow]
        if shot.stamped:
            options += [one for one in last.options if isinstance(one, Timestamps)]
    else:
        here, there = (CLIENT[0], SERVER[0]) if shot.to_server else (SERVER[0], CLIENT[0])
        ports = (CLIENT_PORT + 500, PORT) if shot.to_server else (PORT, CLIENT_PORT + 500)
        last = Segment(here, there, *ports, 1, 1, ACK, 65_535, ())
    for make in shot.options:
        option = make(truth)
        if encoded_length((*options, option)) <= MAX_OPTION_BYTES:
            options.append(option)
    return replace(
        last,
        seq=(last.seq + last.seq_length + shot.seq) & WORD,
        ack=(last.ack + shot.ack) & WORD,
        flags=shot.flags,
        payload=bytes(shot.payload),
        options=tuple(options),
        cut=0,
    )


def act(pair: Pair, what: str) -> None:
    side = pair.client if what.endswith("up") else pair.server
    if not side.connections or side.closed() is not None:
        return
    if what.startswith("send"):
        side.send(bytes(3_000))
    elif what.startswith("close"):
        side.close()
    elif what == "retire":
        side.endpoint.close_subflow(pair.now, side.first(None), 0)
    else:
        side.endpoint.remove_address(pair.now, side.first(None), 1)


def everything_ends(pair: Pair) -> None:
    """Whatever was forged: both applications give up, and nothing is left. Giving up twice: what is on its
    way may bring back a SYN cookie."""
    for _ in range(2):
        for side in (pair.client, pair.server):
            for number in dict.fromkeys(side.connections):
                if side.closed(number) is None:
                    side.abort(number, Reason.NO_PROGRESS)
        pair.run(limit=4_000 * SECOND)
    for side in (pair.client, pair.server):
        assert all(side.closed(number) is not None for number in side.connections)
        assert len(side.endpoint) == 0
        assert side.armed is None, f"{side.name} still waits for something"


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(MPTCP_PROFILES),
    cookies=st.sampled_from([SynCookies.OFF, SynCookies.ALWAYS]),
    checksum=st.booleans(),
    early=st.booleans(),
    steps=steps,
    seed=st.integers(0, 1_000),
)
def test_no_segment_harms_the_host(
    profile: Profile,
    cookies: SynCookies,
    checksum: bool,
    early: bool,
    steps: list[Any],
    seed: int,
) -> None:
    """`early`: from the first SYN on; else once the subflows are open."""
    pair = multipath(
        3,
        profile,
        seed=seed,
        client={"mptcp": MptcpConfig(checksum=checksum)},
        server={"syn_cookies": cookies},
        lose=lambda way, number, segment: segment.dst not in (SERVER if way == "up" else CLIENT)[:3],
    )
    if early:
        pair.connect()
    else:
        open_subflows(pair, 3)
    play(pair, steps)
    for side in (pair.client, pair.server):
        assert deep_size(side.endpoint, without=(pair, side)) < 1_000_000
    everything_ends(pair)


def play(pair: Pair, steps: list[Any]) -> None:
    for step in steps:
        if isinstance(step, int):
            pair.run(until=pair.now + step * MILLISECOND)
        elif isinstance(step, str):
            act(pair, step)
        else:
            segment = forge(pair, step)
            pair.deliver(pair.server if step.to_server else pair.client, segment)


changes = st.lists(
    st.tuples(st.integers(1, 60), st.sampled_from(["up", "down"]), makers, st.booleans()), max_size=12
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    profile=st.sampled_from(MPTCP_PROFILES),
    cookies=st.sampled_from([SynCookies.OFF, SynCookies.ALWAYS]),
    checksum=st.booleans(),
    changes=changes,
    seed=st.integers(0, 1_000),
)
def test_no_change_on_the_way_harms_the_hosts(
    profile: Profile, cookies: SynCookies, checksum: bool, changes: list[Any], seed: int
) -> None:
    """Real segments, some with an option more, some with nothing but that option beside TCP's own."""
    pair = multipath(
        3,
        profile,
        seed=seed,
        client={"mptcp": MptcpConfig(checksum=checksum)},
        server={"syn_cookies": cookies},
        lose=lambda way, number, segment: segment.dst not in (SERVER if way == "up" else CLIENT)[:3],
    )
    todo = {(number, way): (make, alone) for number, way, make, alone in changes}

    def rewrite(way: str, number: int, segment: Segment) -> Segment:
        if (number, way) not in todo:
            return segment
        make, alone = todo[number, way]
        kept = [one for one in segment.options if not alone or not isinstance(one, MptcpOption)]
        option = make(Truth(pair, way == "up"))
        if encoded_length((*kept, option)) > MAX_OPTION_BYTES:
            kept = []
        return replace(segment, options=(*kept, option))

    pair.rewrite = rewrite
    pair.connect()
    pair.client.send(bytes(20_000))
    pair.run(until=pair.now + 2 * SECOND)
    for what in ("send down", "close up", "close down"):
        act(pair, what)
        pair.run(until=pair.now + 2 * SECOND)
    everything_ends(pair)
