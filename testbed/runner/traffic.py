"""`traffic:` of an experiment -> the hosts that compete with what is measured.

Decides which host sends to which (patterns pair by rank, in the topology's order; floods all go to one
server), what cannot be meant, and what such hosts run: one bulk transfer each, by default plain TCP for as
long as the run lasts, or SYNs. Must not know how they are run, or what becomes of their figures
(testbed/workloads/traffic.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from testbed.mptcp.config import ClientConfig, Profile, ServerConfig
from testbed.plan import NetPlan
from testbed.runner.document import Path_
from testbed.runner.seeds import derive
from testbed.runner.spec import Cell, Traffic, build, nearest
from testbed.workloads import HostSpec, Workload
from testbed.workloads.serving import ENDLESS
from testbed.workloads.spec import Flood

ACHIEVED = 0.98  # of a flood's rate: less is worth a warning
Wrong = tuple[Path_, str]  # key, and what is wrong with it


@dataclass(frozen=True, slots=True)
class Pair:
    entry: Traffic
    sender: str
    sink: str


def pairs_of(cell: Cell, plan: NetPlan) -> tuple[list[Pair], list[Wrong]]:
    """Who sends to whom, and what is wrong with it."""
    pairs: list[Pair] = []
    wrong: list[Wrong] = []
    taken: dict[str, str] = {}
    for index, entry in enumerate(cell.traffic):
        here: Path_ = ("traffic", index)
        flood = entry.syn_flood is not None
        ends = {
            "from": _hosts(entry.from_, plan, "host"),
            "to": _hosts(entry.to, plan, "server" if flood else "host"),
        }
        unclear = [((*here, key), found) for key, found in ends.items() if isinstance(found, str)]
        if unclear:
            wrong += unclear
            continue
        senders, sinks = ends.values()
        if flood and len(sinks) == 1:
            sinks = [*sinks] * len(senders)
        if len(senders) != len(sinks):
            words = f"{entry.from_} is {', '.join(senders)}, and {entry.to} is {', '.join(sinks)}"
            wrong.append(((*here, "from"), f"{words}: as many of the one as of the other are expected"))
            continue
        for pair in map(Pair, [entry] * len(senders), senders, sinks):
            wrong += [((*here, *key), words) for key, words in _problems(pair, plan, taken)]
            hosts = (pair.sender,) if flood else (pair.sender, pair.sink)
            taken |= dict.fromkeys(hosts, f"traffic[{index}]")
            pairs.append(pair)
    return pairs, wrong


def _hosts(pattern: str, plan: NetPlan, role: str) -> list[str] | str:
    """The hosts that a name or a pattern means; in words what is wrong with it."""
    free = [node.name for node in plan.nodes if node.role == role]
    found = [node for node in plan.nodes if fnmatchcase(node.name, pattern)]
    other = nearest(pattern, free) if free else f"; this topology has none with the role {role}"
    meant = "a flood goes to a server" if role == "server" else "traffic goes between hosts without one"
    if not found:
        return f"no host is called {pattern}{other}"
    for node in found:
        if node.role != role:
            return f"{node.name} has the role {node.role}, and {meant}{other}"
    return [node.name for node in found]


def _problems(pair: Pair, plan: NetPlan, taken: dict[str, str]) -> Iterator[tuple[Path_, str]]:
    if pair.sender == pair.sink:
        yield ("from",), f"{pair.sender} would send to itself; another host is expected"
        return
    for key, host in (("from", pair.sender), ("to", pair.sink)):
        if host in taken:
            yield (key,), f"{host} takes part in {taken[host]} already; each host can once"
    if pair.entry.syn_flood is not None and pair.entry.bytes is not None:
        yield ("bytes",), "means nothing beside syn_flood, which sends none; leave one of the two"
    near, far = plan.addresses(pair.sender), plan.addresses(pair.sink)
    if plan.next_hop(pair.sender, near[0], far[0]) is None:
        yield ("to",), f"{pair.sender} has no route to {far[0]} of {pair.sink}"
    client = build(ClientConfig, pair.entry.client)
    for word in getattr(pair.entry.client, "bind", ()):
        if word not in near:
            words = f"{word!r} is no address of {pair.sender}; expected one or more of {', '.join(near)}"
            yield ("client", "bind"), words
    if client.profile is Profile.TCP and client.paths.endpoints:
        words = "has no effect: client.profile is tcp; plain TCP has one subflow, and client.bind its address"
        yield ("client", "paths", "endpoints"), words
    for endpoint in client.paths.endpoints or ():
        if endpoint.text not in near:
            words = f"{endpoint.text} is no address of {pair.sender}; it has {', '.join(near)}"
            yield ("client", "paths", "endpoints"), words


def idle(cell: Cell, plan: NetPlan, carried: Iterable[Mapping[str, Any]]) -> list[str]:
    """Warnings for a run's record: rivals that it may as well have gone without, floods that fell behind."""
    sent = {each["from"]: each for each in carried}
    found = []
    for pair in pairs_of(cell, plan)[0]:
        here, asked = sent.get(pair.sender, {}), pair.entry.syn_flood
        head = f"traffic from {pair.sender} to {pair.sink}"
        if asked is None and not here.get("bytes"):
            found.append(f"{head}: nothing arrived while the measured clients ran")
        elif asked and not here.get("syns"):
            found.append(f"{head}: no SYN went before the end of the run")
        elif asked and here["seconds"] >= 1 and here["syns_per_second"] < ACHIEVED * asked:
            found.append(f"{head}: {here['syns_per_second']:.0f} SYNs/s went, not the {asked:g}/s asked for")
    return found


def _addresses(pair: Pair, plan: NetPlan) -> tuple[str, ...]:
    """Those that the sender uses, the first for its first subflow."""
    words: tuple[str, ...] = getattr(pair.entry.client, "bind", ())
    return words or plan.addresses(pair.sender)


def rivals(cell: Cell, plan: NetPlan, seed: int) -> Iterator[HostSpec]:
    """Both ends of every pair, and who floods. The sink has the words of its sender's tcp and mptcp."""
    for pair in pairs_of(cell, plan)[0]:
        client = build(ClientConfig, pair.entry.client)
        if pair.entry.syn_flood is not None:
            yield HostSpec(
                pair.sender,
                "client",
                _addresses(pair, plan),
                plan.addresses(pair.sink),
                client=client,
                workload=Workload(start=pair.entry.start),
                seed=derive(seed, "traffic", pair.sender),
                background=True,
                flood=Flood(pair.entry.syn_flood, pair.entry.syns, pair.sink),
            )
            continue
        size = ENDLESS if pair.entry.bytes is None else pair.entry.bytes
        near, far = _addresses(pair, plan), plan.addresses(pair.sink)
        common: dict[str, Any] = {
            "workload": Workload("bulk", size, 0, timeout=ENDLESS, start=pair.entry.start),
            "background": True,
        }
        for name, role, here, there, config in (
            (pair.sender, "client", near, far, {"client": client}),
            (pair.sink, "server", far, near, {"server": ServerConfig(tcp=client.tcp, mptcp=client.mptcp)}),
        ):
            own = derive(seed, "traffic", name)
            yield HostSpec(name, role, here, there, seed=own, **config, **common)  # type: ignore[arg-type]
