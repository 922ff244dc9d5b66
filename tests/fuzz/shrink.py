"""A failing case made smaller: parts of it and single hits of its faults left out while it fails as before.

Decides the order of the attempts. Bounded by `tries`. Read first: case.py (`without`), network.py (`only`).
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fuzz.case import PARTS, Case, draw, without
from tests.fuzz.network import Hit
from tests.fuzz.play import Outcome, play


@dataclass
class Smaller:
    """What is left out of the case, the hits that act (None: all), and how that ends."""

    names: frozenset[str]
    only: frozenset[Hit] | None
    outcome: Outcome


def shrink(seed: int, names: frozenset[str] = frozenset(), tries: int = 200) -> Smaller | None:
    """None where the case does not fail."""
    left = tries

    def attempt(names: frozenset[str], only: frozenset[Hit] | None) -> Outcome | None:
        nonlocal left
        left -= 1
        outcome = play(without(draw(seed), names), only)
        failed, wanted = outcome.failure, best.outcome.failure
        return outcome if failed and wanted and failed.kind == wanted.kind else None

    first = play(without(draw(seed), names))
    if first.failure is None:
        return None
    best = Smaller(names, None, first)
    for name in (*dict.fromkeys(one.name for one in best.outcome.case.faults), *PARTS):
        if name not in best.names and left > 0:
            found = attempt(best.names | {name}, None)
            if found is not None:
                best = Smaller(best.names | {name}, None, found)
    hits = list(dict.fromkeys(best.outcome.hits))
    found = attempt(best.names, frozenset(hits)) if hits else None
    if found is None:
        return best
    best = Smaller(best.names, frozenset(hits), found)
    size = max(1, len(hits) // 2)
    while left > 0:
        at, removed = 0, False
        while at < len(hits) and left > 0:
            fewer = hits[:at] + hits[at + size :]
            found = attempt(best.names, frozenset(fewer))
            if found is None:
                at += size
            else:
                best, hits, removed = Smaller(best.names, frozenset(fewer), found), fewer, True
        if size == 1 and not removed:
            break
        size = max(1, size // 2)
    return best


def replay_command(seed: int, names: frozenset[str] = frozenset(), only: frozenset[Hit] | None = None) -> str:
    words = [f"--replay {seed}"]
    if names:
        words.append(f"--without {','.join(sorted(names))}")
    if only is not None:
        hits = sorted(only, key=lambda hit: (hit[2], hit[1], hit[0]))
        words.append("--only " + (",".join(f"{name}/{way}/{number}" for name, way, number in hits) or "none"))
    return f"make fuzz ARGS='{' '.join(words)}'"


def describe(case: Case) -> str:
    """The case in a few lines, for the head of a ladder."""
    near, far = case.applications
    server = case.server
    lines = [
        f"client: {case.client.profile}, {case.client.tcp}, {case.client.mptcp}",
        f"  {case.client.third_ack}, Fast Open {case.client.fast_open}, {case.client.paths}",
        f"server: {[str(one) for one in server.profiles]}, {server.tcp}, {server.mptcp}",
        f"  SYN cookies {server.syn_cookies}, backlog {server.backlog}, {server.paths}",
        f"{len(case.links)} paths: "
        + ", ".join(f"{one.rate} bit/s {one.delay / 1e6:g} ms" for one in case.links),
        f"the client's application: {near}",
        f"the server's application: {far}",
        *(f"fault: {one}" for one in case.faults),
        *(f"change: {one}" for one in case.changes),
        *(f"outage of path {path}, {begin} to {end} ms, {way}" for path, begin, end, way in case.outages),
    ]
    return "\n".join(lines)
