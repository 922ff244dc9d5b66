"""One case of the fuzz: everything that follows from its seed, and what can be taken out of it.

Decides configurations, paths, applications, faults, address changes. Runs nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from testbed.link import LinkParams
from testbed.mptcp.cc import CONTROLLERS
from testbed.mptcp.config import (
    SPOKEN,
    ClientConfig,
    FastOpenAnswer,
    FastOpenSpace,
    FirstData,
    LostThirdAck,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
    ThirdAck,
)
from testbed.mptcp.paths import Flag, Limits, LocalEndpoint, PathsConfig
from testbed.mptcp.sched import SCHEDULERS
from tests.fuzz.faults import FAULTS, Kind

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
CLIENT4 = tuple(bytes((10, 0, path, 1)) for path in (1, 2, 3, 4))
SERVER4 = tuple(bytes((10, 1, path, 1)) for path in (1, 2, 3, 4))
CLIENT6 = tuple(bytes((0xFD, 0, *[0] * 12, path, 1)) for path in (1, 2, 3, 4))
SERVER6 = tuple(bytes((0xFD, 1, *[0] * 12, path, 1)) for path in (1, 2, 3, 4))
SIZES = (0, 1, 300, 3_000, 3_000, 20_000, 20_000, 60_000)
RATES = {
    Kind.NETWORK: (0.01, 0.05, 0.15),
    Kind.OPTIONS: (0.05, 0.2, 0.5, 1.0),
    Kind.CONTENT: (0.03, 0.1, 0.3),
}
PARTS = ("churn", "outages", "pauses", "abort", "crowd")  # beside faults, what `without` can name


@dataclass(frozen=True)
class Acting:
    """A fault as it acts in this case: on which packets. `rate` 0: on the packet `first` alone."""

    name: str
    rate: float
    way: str  # "up", "down", "both"
    path: int | None  # None: on all
    first: int  # packets of that direction before this one pass


@dataclass(frozen=True)
class Application:
    """How one end uses the connection. `chunk` 0: it writes all at once; else so many bytes every `gap` ms.

    `close`: "sent" (half-close behind its own data) or "peer" (once the peer has finished as well).
    `read`: bytes per read, every `every` ms; 0: all at once. `pauses`: (from, to) in ms, no reading.
    `abort`: at this time in ms; None: never.
    """

    size: int
    chunk: int = 0
    gap: int = 0
    close: str = "sent"
    read: int = 0
    every: int = 0
    pauses: tuple[tuple[int, int], ...] = ()
    abort: int | None = None


@dataclass(frozen=True)
class Change:
    """At `at` ms: "remove", "add", "close", "backup" or "regular" of a path by an end."""

    at: int
    what: str
    side: str
    path: int


@dataclass(frozen=True)
class Case:
    seed: int
    client: ClientConfig
    server: ServerConfig
    client_addresses: tuple[bytes, ...]
    server_addresses: tuple[bytes, ...]
    links: tuple[LinkParams, ...]  # by path, both ways
    applications: tuple[Application, Application]  # client's, server's
    faults: tuple[Acting, ...] = ()
    changes: tuple[Change, ...] = ()
    outages: tuple[tuple[int, int, int, str], ...] = ()  # path, from ms, to ms, way
    crowd: int = 0  # half-open connections of others before ours, for SYN cookies `auto`

    @property
    def kinds(self) -> frozenset[Kind]:
        return frozenset(FAULTS[one.name].kind for one in self.faults)


def draw(seed: int) -> Case:
    rng = random.Random(f"fuzz {seed}")
    paths = rng.choice((1, 1, 2, 2, 3, 4))
    six = rng.random() < 0.2
    profile = rng.choice((*SPOKEN, Profile.V1, Profile.V0))
    fast_open = rng.random() < 0.2
    cookies = rng.choice((SynCookies.OFF, SynCookies.OFF, SynCookies.AUTO, SynCookies.ALWAYS))
    if fast_open and cookies is SynCookies.ALWAYS:
        cookies = SynCookies.AUTO
    faults = _faults(rng, paths)
    client = ClientConfig(
        profile=profile,
        third_ack=rng.choice(tuple(ThirdAck)),
        first_data=FirstData.DSS if rng.random() < 0.05 else FirstData.CAPABLE,
        syn_retries=rng.randrange(4),
        fast_open=fast_open,
        fast_open_pauses=rng.random() < 0.5,
        tcp=_tcp(rng),
        mptcp=_mptcp(rng),
        paths=_paths(rng, "client", six),
    )
    offered = (Profile.V1, Profile.DRAFT, Profile.V0, Profile.TCP)
    server = ServerConfig(
        profiles=offered if rng.random() < 0.9 else rng.choice(((Profile.TCP,), (Profile.V0, Profile.TCP))),
        syn_cookies=cookies,
        backlog=rng.choice((1, 256)),
        fast_open=fast_open,
        fast_open_pending=rng.choice((256, 256, 1, 0)),
        fast_open_cookie=rng.choice((4, 6, 8, 16)),
        fast_open_answer=rng.choice(tuple(FastOpenAnswer)),
        fast_open_space=rng.choice(tuple(FastOpenSpace)),
        tcp=_tcp(rng),
        mptcp=_mptcp(rng),
        paths=_paths(rng, "server", six),
    )
    near, far = _application(rng), _application(rng)
    if near.close == far.close == "peer" or (near.size == 0 and cookies is not SynCookies.OFF):
        # Both would wait for ever; so would a client that says nothing to a server that has no state.
        near = replace(near, close="sent")
    return Case(
        seed=seed,
        client=client,
        server=server,
        client_addresses=(CLIENT6 if six else CLIENT4)[:paths],
        server_addresses=(SERVER6 if six else SERVER4)[:paths],
        links=tuple(_link(rng) for _ in range(paths)),
        applications=(near, far),
        faults=faults,
        changes=_changes(rng, paths),
        outages=_outages(rng, paths),
        crowd=1 if cookies is SynCookies.AUTO and server.backlog == 1 else 0,
    )


def without(case: Case, names: frozenset[str]) -> Case:
    """The case less these faults and PARTS."""
    if "pauses" in names:
        near, far = (replace(one, chunk=0, gap=0, read=0, every=0, pauses=()) for one in case.applications)
        case = replace(case, applications=(near, far))
    if "abort" in names:
        near, far = (replace(one, abort=None) for one in case.applications)
        case = replace(case, applications=(near, far))
    if "churn" in names:
        case = replace(case, changes=())
    if "outages" in names:
        case = replace(case, outages=())
    if "crowd" in names:
        case = replace(case, crowd=0)
    return replace(case, faults=tuple(one for one in case.faults if one.name not in names))


def _faults(rng: random.Random, paths: int) -> tuple[Acting, ...]:
    """Network faults alone in 40 % of the cases, one fault of another kind in 50 %, several in 10 %."""
    by_kind = {kind: [name for name, fault in FAULTS.items() if fault.kind is kind] for kind in Kind}
    chosen = rng.sample(by_kind[Kind.NETWORK], rng.choice((0, 1, 1, 2, 3)))
    share = rng.random()
    if share >= 0.4:
        others = [*by_kind[Kind.OPTIONS], *by_kind[Kind.CONTENT]]
        chosen = rng.sample(others, 1 if share < 0.9 else rng.randrange(2, 4)) + chosen[:2]
    made = []
    for name in chosen:
        rate = rng.choice(RATES[FAULTS[name].kind])
        single = FAULTS[name].kind is not Kind.NETWORK and rng.random() < 0.25
        made.append(
            Acting(
                name=name,
                rate=0.0 if single else rate,
                way=rng.choice(("both", "both", "up", "down")),
                path=rng.randrange(paths) if rng.random() < 0.3 else None,
                first=rng.randrange(1, 40) if single or rng.random() < 0.3 else 1,
            )
        )
    return tuple(made)


def _tcp(rng: random.Random) -> TcpConfig:
    return TcpConfig(
        mss=rng.choice((536, 1_000, 1_460, 1_460)),
        timestamps=rng.random() < 0.8,
        sack=rng.random() < 0.85,
        window_scale=rng.choice((None, 0, 7, 7, 7)),
        receive_buffer=rng.choice((3_000, 6_000, 20_000, 65_535, 1 << 20)),
        send_buffer=rng.choice((3_000, 20_000, 1 << 20)),
        time_wait=60 * SECOND,
        gso_max_size=rng.choice((0, 0, 65_535)),
        nagle=rng.random() < 0.2,
        initial_window=rng.choice((1, 10, 10)),
        congestion=rng.choice(sorted(CONTROLLERS)),
    )


def _mptcp(rng: random.Random) -> MptcpConfig:
    return MptcpConfig(
        checksum=rng.random() < 0.35,
        refuse_checksum=rng.random() < 0.05,
        dsn_bytes=rng.choice((4, 8)),
        repeat_keys=rng.random() < 0.9,
        isn_recovery=rng.random() < 0.3,
        lost_third_ack=rng.choice(tuple(LostThirdAck)),
        scheduler=rng.choice(sorted(SCHEDULERS)),
        opportunistic=rng.random() < 0.7,
        penalize=rng.random() < 0.7,
        deny_join_initial=rng.random() < 0.05,
        deny_join=rng.random() < 0.05,
        close_timeout=rng.choice((5 * SECOND, 60 * SECOND)),
    )


def _paths(rng: random.Random, role: str, six: bool) -> PathsConfig:
    share = rng.random()
    if share < 0.7:
        return PathsConfig()
    if share < 0.8:
        return PathsConfig(limits=Limits(subflows=rng.randrange(3), add_addr_accepted=rng.randrange(3)))
    if role == "client":
        flags = rng.choice((Flag.SUBFLOW, Flag.SUBFLOW | Flag.FULLMESH, Flag.SUBFLOW | Flag.BACKUP))
        addresses = CLIENT6 if six else CLIENT4
    else:
        flags = rng.choice((Flag.SIGNAL, Flag.SIGNAL | Flag.BACKUP, Flag.SUBFLOW))
        addresses = SERVER6 if six else SERVER4
    chosen = rng.sample(addresses[1:3], rng.randrange(1, 3))
    return PathsConfig(endpoints=tuple(LocalEndpoint(one, flags=flags) for one in chosen))


def _application(rng: random.Random) -> Application:
    size = rng.choice(SIZES)
    slow = rng.random()
    pauses: tuple[tuple[int, int], ...] = ()
    if rng.random() < 0.25:
        begin = rng.choice((0, 0, 20, 60, 200))
        pauses = ((begin, begin + rng.choice((50, 300, 2_000, 6_000))),)
    return Application(
        size=size,
        chunk=rng.choice((0, 0, 0, 100, 1_460, 4_000)) if size > 300 else 0,
        gap=rng.choice((1, 20, 100)),
        close=rng.choice(("sent", "sent", "peer")),
        read=rng.choice((100, 1_000, 5_000)) if slow < 0.2 else 0,
        every=rng.choice((1, 10, 50)),
        pauses=pauses,
        abort=rng.randrange(3_000) if rng.random() < 0.04 else None,
    )


def _link(rng: random.Random) -> LinkParams:
    return LinkParams(
        rate=rng.choice((None, None, 2_000_000, 20_000_000)),
        queue=rng.choice((20, 100)),
        delay=rng.choice((1, 10, 10, 50, 150)) * MILLISECOND,
        jitter=rng.choice((0, 0, 1)) * MILLISECOND,
    )


def _changes(rng: random.Random, paths: int) -> tuple[Change, ...]:
    """Paths end and come back. network.py keeps the last path that works."""
    if paths == 1 or rng.random() < 0.6:
        return ()
    return tuple(
        sorted(
            (
                Change(
                    rng.randrange(3_000) if rng.random() < 0.5 else rng.randrange(300),
                    rng.choice(("remove", "remove", "add", "add", "close", "backup", "regular")),
                    rng.choice(("client", "server")),
                    rng.randrange(paths),
                )
                for _ in range(rng.randrange(1, 6))
            ),
            key=lambda one: one.at,
        )
    )


def _outages(rng: random.Random, paths: int) -> tuple[tuple[int, int, int, str], ...]:
    if rng.random() < 0.8:
        return ()
    made = []
    for _ in range(rng.randrange(1, 3)):
        begin = rng.choice((0, rng.randrange(500), rng.randrange(3_000)))
        length = rng.choice((50, 500, 3_000))
        made.append((rng.randrange(paths), begin, begin + length, rng.choice(("up", "down", "both"))))
    return tuple(made)
