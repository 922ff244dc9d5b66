"""Whether a closed form holds for a cell, decided from its network and its hosts as they were parsed.

Decides by listing what is harmless: every value of a link, a stack and a workload that is neither listed here
nor at its default means that there is no closed form, so an impairment or an option that is new has none. Two
kinds of cells have one; in both only packets from the client to the server are lost, independently:

- a server that always answers with cookies, and a client that sends MP_CAPABLE with its first data, or speaks
  second (fallback.py). Packets that `reorder` holds back are known for requests of one segment. Linux may be
  either end, in v1: its client sends a bare third ACK, and MP_CAPABLE with its first data (RFC 8684 §3.1);
  its server believes the key that comes back with either, and answers a later segment with RST;
- a server that keeps state and answers what came in a SYN, and a client that tries Fast Open with every
  connection, whose request fits the SYN (fast_open.py); our stack at both ends, or Linux as client of a
  server of ours that waits for the key in v1.

Must not know keys of an experiment file, and no packet. What a queue drops is seen only afterwards: the
results withhold the expected value then (testbed/results/store.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from testbed.link import LinkParams
from testbed.model.fallback import Prediction, predict
from testbed.model.fast_open import predict_fast_open, predict_linux_fast_open
from testbed.mptcp.config import (
    MILLISECOND,
    SECOND,
    ClientConfig,
    FastOpenAnswer,
    FirstData,
    MptcpConfig,
    Profile,
    ServerConfig,
    SynCookies,
    TcpConfig,
    ThirdAck,
)
from testbed.workloads import HostSpec, Workload

if TYPE_CHECKING:
    from testbed.plan import Hop, NetPlan

PAYLOAD = 1424  # bytes of a full segment that carries timestamps and a DSS with 64-bit numbers
SHORT = 1400  # bytes that fit a segment beside the longest DSS
SYN_DATA = 1420  # bytes of data beside 40 of options in a SYN
WINDOW = 10  # segments of a first window (RFC 6928 §2)
FRAME = 8 * 1514  # bits of a full frame
LEAST_HOLD, MOST_HOLD = 1 * MILLISECOND, 100 * MILLISECOND  # longer than a request takes, shorter than an RTO
LONG = 60 * SECOND  # by then Linux has given up by itself
MOST_NEGLECTED = (
    0.01  # probability of what the closed forms leave out: every transmission of a segment is lost
)
HOPS = 64

# What may have any value. Of a link; `hold` and `jitter_order` are looked at where they have an effect.
HARMLESS_LINK = {"rate", "queue", "queue_in_bytes", "delay", "jitter", "hold"}
LOSSES = {"loss", "reorder", "jitter_order"}  # judged one by one below
# Of TCP, at both ends.
HARMLESS_TCP = {"sack", "congestion", "time_wait", "gso_max_size", "receive_buffer", "send_buffer"}
# Of a client before a server with cookies: timers that only repeat what the model lets be repeated, or are
# counted below; the window of its first flight; and of a stateless server, which has no timers.
COOKIES_TCP = {
    "client": {"rto_initial", "rto_min", "rto_max", "syn_attempts", "data_attempts", "delayed_ack"}
    | {"initial_window", "window_scale"},
    "server": {"rto_initial", "rto_min", "rto_max", "syn_attempts", "delayed_ack", "initial_window"}
    | {"window_scale", "nagle"},
}
FAST_OPEN_TCP = {"client": {"rto_initial", "rto_max", "syn_attempts"}, "server": {"delayed_ack"}}
# Of MPTCP: what further subflows do, and how, does not change how the first one began.
HARMLESS_MPTCP = {"scheduler", "opportunistic", "penalize", "deny_join", "deny_join_initial", "close_timeout"}
JUDGED_MPTCP = {"checksum", "refuse_checksum", "draft_version", "dsn_bytes", "isn_recovery"}


class _None(Exception):
    """There is no closed form; the message says why."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The parameters of a closed form; plain values, so that they travel in a run's record.

    `loss` and `held` are fractions, client to server. `segments`: of the request (cookies) or the response
    (Fast Open). `syns` and `transmissions`: how often a SYN, and any other segment, is sent before the client
    waits no longer.
    """

    form: Literal["cookies", "fast_open", "linux_fast_open"]
    profile: str
    loss: float
    held: float
    segments: int
    syn_retries: int
    syns: int
    transmissions: int
    isn_recovery: bool = False
    third_ack: str = "bare"
    repeat_keys: bool = True
    lone_after: int = 1

    def predict(self, loss: float | None = None, held: float | None = None) -> Prediction | None:
        """The probabilities; `loss` and `held` instead of the cell's own. None where what the closed form
        leaves out would be seen."""
        p = self.loss if loss is None else loss
        if p**self.transmissions > MOST_NEGLECTED:
            return None
        if self.form == "linux_fast_open":
            return predict_linux_fast_open(p, self.syn_retries, syns=self.syns)
        if self.form == "fast_open":
            return predict_fast_open(
                self.profile,
                p,
                response=self.segments,
                syn_retries=self.syn_retries,
                repeat_keys=self.repeat_keys,
                syns=self.syns,
            )
        return predict(
            self.profile,
            p,
            segments=self.segments,
            syn_retries=self.syn_retries,
            isn_recovery=self.isn_recovery,
            third_ack=self.third_ack,
            held=self.held if held is None else held,
            syns=self.syns,
            lone_after=self.lone_after,
        )

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def assumptions(plan: NetPlan, hosts: Sequence[HostSpec]) -> Assumptions | str:
    """Those of a cell's closed form, or why there is none."""
    try:
        return _assumptions(plan, hosts)
    except _None as none:
        return str(none)


def _assumptions(plan: NetPlan, hosts: Sequence[HostSpec]) -> Assumptions:
    measured = [host for host in hosts if not host.background]
    clients = [host for host in measured if host.role == "client"]
    servers = [host for host in measured if host.role == "server"]
    rivals = [host for host in hosts if host.background and host.flood is None]
    if rivals:
        raise _None(f"{rivals[0].name} competes for the links")
    found = [_of_client(plan, client, servers, flooded=len(hosts) > len(measured)) for client in clients]
    if len(set(found)) != 1:
        raise _None("the clients' first paths differ")
    return found[0]


def _of_client(plan: NetPlan, client: HostSpec, servers: Sequence[HostSpec], *, flooded: bool) -> Assumptions:
    owner = plan.owner(client.remote[0])
    server = next((host for host in servers if host.name == owner), None)
    if client.client is None or server is None or server.server is None:
        raise _None(f"{client.name} has no server")
    ours, theirs, workload = client.client, server.server, client.workload
    _check_workload(workload)
    stateless = theirs.syn_cookies is SynCookies.ALWAYS
    one_path = ours.paths.endpoints == () == theirs.paths.endpoints
    loss, held, hold, trip = _first_path(plan, client, one_path=one_path)
    if trip >= min(ours.tcp.rto_initial, theirs.tcp.rto_initial):
        raise _None("a round trip takes longer than the first retransmission timeout")
    if held and not (
        stateless and workload.request <= PAYLOAD and all(LEAST_HOLD <= one <= MOST_HOLD for one in hold)
    ):
        raise _None("reorder is known for requests of one segment held back for 1 to 100 ms")
    if stateless:
        return _cookies(ours, theirs, workload, loss, held)
    if flooded:
        raise _None("a SYN flood reaches a server that keeps state")
    if not one_path:
        raise _None("with Fast Open, further subflows are not known")
    return _fast_open(ours, theirs, workload, loss)


def _check_workload(workload: Workload) -> None:
    if workload.type not in ("request", "http"):
        raise _None(f"workload.type {workload.type} is not known")
    if not workload.response:
        raise _None("without a response the client closes behind its request")


# -- the network --------------------------------------------------------------------------------------


def _first_path(
    plan: NetPlan, client: HostSpec, *, one_path: bool
) -> tuple[float, float, tuple[int, ...], int]:
    """(loss, share held back, holds, round-trip time) of the first subflow; every link is checked on the way.

    The links of other paths count where further subflows may use them; there packets to the server may be
    lost as well.
    """
    here, there = client.addresses[0], client.remote[0]
    up = tuple(_walk(plan, client.name, here, there))
    down = tuple(_walk(plan, plan.owner(there) or "", there, here))
    others: set[Hop] = set()
    if not one_path:
        others = {(link.name, way) for link in plan.links for way in ("forward", "backward")}
    lossless = {*down, *(hop for path in plan.paths if not one_path for hop in path.down)}
    survives, held, holds, trip = 1.0, 0.0, [], 0
    for hop in dict.fromkeys((*up, *down, *others)):
        params = plan.link(hop[0]).params(hop[1])
        name = f"{hop[0]}/{hop[1]}"
        _check_link(name, params)
        if params.loss and hop in lossless:
            raise _None(f"{name} loses packets to the client")
        if params.reorder:
            if hop not in up or held:
                raise _None(f"{name} holds packets back")
            held = params.reorder
            holds.append(params.hold)
        if hop in up:
            survives *= 1 - params.loss
        if hop in up or hop in down:
            trip += params.delay + params.jitter + (SECOND * FRAME // params.rate if params.rate else 0)
    loss = 1 - survives if len(up) > 1 else plan.link(up[0][0]).params(up[0][1]).loss
    return round(loss, 12), held, tuple(holds), trip


def _walk(plan: NetPlan, node: str, source: str, destination: str) -> Iterator[Hop]:
    """The links that a packet crosses."""
    goal = plan.owner(destination)
    for _ in range(HOPS):
        if node == goal:
            return
        hop = plan.next_hop(node, source, destination)
        if hop is None:
            break
        yield hop
        node = plan.link(hop[0]).end(hop[1]).node
    raise _None(f"{source} has no route to {destination}")


_LINK = LinkParams()


def _check_link(name: str, params: LinkParams) -> None:
    for field in fields(LinkParams):
        value = getattr(params, field.name)
        if field.name not in HARMLESS_LINK | LOSSES and value != getattr(_LINK, field.name):
            raise _None(f"{name}: {field.name} is not known")
    if params.jitter and params.jitter_order != _LINK.jitter_order:
        raise _None(f"{name}: jitter changes the order of packets")


# -- the hosts ----------------------------------------------------------------------------------------


def _check(what: str, config: object, known: set[str]) -> None:
    """Every field that is not `known` must have its default."""
    for field in fields(config):  # type: ignore[arg-type]
        if field.name in known or field.name in ("tcp", "mptcp", "paths"):
            continue
        default = field.default_factory() if callable(field.default_factory) else field.default
        if default is not dataclasses.MISSING and getattr(config, field.name) != default:
            raise _None(f"{what}.{field.name} is not known")


def _check_stacks(client: ClientConfig, server: ServerConfig, tcp: dict[str, set[str]], request: int) -> None:
    for name, config in (("client", client), ("server", server)):
        _check(f"{name}.tcp", config.tcp, HARMLESS_TCP | tcp[name])
        judged = JUDGED_MPTCP | HARMLESS_MPTCP
        _check(f"{name}.mptcp", config.mptcp, judged | {"repeat_keys", "lost_third_ack"})
        least = min(request, WINDOW * PAYLOAD)
        if (config.tcp.send_buffer if name == "client" else config.tcp.receive_buffer) < least:
            raise _None(f"{name}.tcp: the request does not fit the buffer")
    ends: tuple[MptcpConfig, MptcpConfig] = client.mptcp, server.mptcp
    plain = MptcpConfig()
    if client.profile is Profile.DRAFT and ends[0].draft_version != ends[1].draft_version:
        raise _None("mptcp.draft_version differs")
    if any(one.refuse_checksum for one in ends) and any(one.checksum for one in ends):
        raise _None("one end asks for checksums and the other refuses them")
    longer = any(one.checksum or one.dsn_bytes != plain.dsn_bytes for one in ends)
    if longer and request > SHORT:
        raise _None("the segments of the request are not of the usual size")


def _spoken(client: ClientConfig, server: ServerConfig) -> bool:
    """Whether the server speaks what the client asks for."""
    if client.profile is Profile.KERNEL:
        return bool({Profile.V1, Profile.KERNEL} & set(server.profiles))
    if Profile.KERNEL in server.profiles:
        return client.profile in (Profile.V1, Profile.TCP)
    return client.profile in server.profiles


def _cookies(
    client: ClientConfig, server: ServerConfig, workload: Workload, loss: float, held: float
) -> Assumptions:
    linux = Profile.KERNEL in (client.profile, *server.profiles)
    if not _spoken(client, server):
        raise _None("the server does not speak the client's profile")
    if linux and workload.timeout < LONG:
        raise _None("workload.timeout: Linux tries for longer")
    used = {"profile", "third_ack", "syn_retries", "fast_open_pauses"}
    _check("client", client, used)  # first_data is capable, and no Fast Open
    if client.first_data is not FirstData.CAPABLE or client.fast_open:
        raise _None("client.first_data, client.fast_open")
    if not client.mptcp.repeat_keys:
        raise _None("client.mptcp.repeat_keys is not known with cookies")
    fast_open = {"fast_open", "fast_open_pending", "fast_open_cookie", "fast_open_answer", "fast_open_space"}
    _check("server", server, {"profiles", "syn_cookies", "backlog", *fast_open})
    _check_stacks(client, server, COOKIES_TCP, workload.request)
    segments = -(-workload.request // PAYLOAD)
    return Assumptions(
        "cookies",
        "v1" if client.profile is Profile.KERNEL else client.profile.value,
        loss,
        held,
        segments=min(segments, client.tcp.initial_window),  # those of the first flight provoke a reset
        syn_retries=client.syn_retries,
        syns=_syns(client, workload),
        transmissions=_transmissions(client, workload),
        isn_recovery=server.mptcp.isn_recovery,
        third_ack=client.third_ack.value,
        lone_after=2 if client.profile is Profile.KERNEL else 1,
    )


def _fast_open(client: ClientConfig, server: ServerConfig, workload: Workload, loss: float) -> Assumptions:
    linux = client.profile is Profile.KERNEL
    if linux:
        by_itself = (2**client.tcp.syn_attempts - 1) * SECOND  # Linux gives up, at the latest
        if workload.timeout < min(by_itself, LONG):
            raise _None("workload.timeout: Linux tries for longer")
    profile = Profile.V1 if linux else client.profile
    answer = FastOpenAnswer.AUTO if linux else FastOpenAnswer.AT_ONCE
    if not (client.fast_open and server.fast_open and not client.fast_open_pauses):
        raise _None("the server does not answer every SYN with a cookie, nor every connection opens fast")
    if server.syn_cookies is not SynCookies.OFF:
        raise _None("server.syn_cookies: with Fast Open only off is known")
    if profile not in server.profiles or Profile.KERNEL in server.profiles:
        raise _None("the server does not speak the client's profile")
    if server.fast_open_answer is not answer or client.third_ack is not ThirdAck.BARE:
        raise _None("server.fast_open_answer, client.third_ack")
    if not 0 < workload.request <= SYN_DATA or workload.response > WINDOW * PAYLOAD:
        raise _None("the request does not fit the SYN, or the response the first window")
    _check("client", client, {"profile", "syn_retries", "fast_open", "fast_open_pauses"})
    _check("server", server, {"profiles", "syn_cookies", "fast_open", "fast_open_answer"})
    _check_stacks(client, server, FAST_OPEN_TCP, workload.request)
    if client.mptcp.isn_recovery or server.mptcp.isn_recovery:
        raise _None("mptcp.isn_recovery is not known with Fast Open")
    if server.mptcp.lost_third_ack is not MptcpConfig().lost_third_ack:
        raise _None("server.mptcp.lost_third_ack is not known")
    return Assumptions(
        "linux_fast_open" if linux else "fast_open",
        profile.value,
        loss,
        0.0,
        segments=-(-workload.response // PAYLOAD),
        syn_retries=client.syn_retries,
        syns=_syns(client, workload),
        transmissions=_transmissions(client, workload),
        repeat_keys=client.mptcp.repeat_keys,
    )


def _syns(client: ClientConfig, workload: Workload) -> int:
    """How many a client sends before it waits no longer (RFC 6298 §5.5: twice as long each time)."""
    if client.profile is Profile.KERNEL:
        return client.tcp.syn_attempts
    return _repeated(client.tcp, workload.timeout, client.tcp.syn_attempts)


def _transmissions(client: ClientConfig, workload: Workload) -> int:
    """At the least, of a segment that is lost again and again."""
    return _repeated(client.tcp, workload.timeout, client.tcp.data_attempts)


def _repeated(tcp: TcpConfig, patience: int, most: int) -> int:
    at, gap, count = 0, tcp.rto_initial, 0
    while at < patience and count < most:
        at, gap, count = at + gap, min(2 * gap, tcp.rto_max), count + 1
    return count
