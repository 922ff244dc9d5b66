"""What a half-open connection costs a server: SYNs that nobody follows up, to an endpoint alone.

Decides how it is measured: each profile, with SYN cookies and without, has two fresh processes, one that
traces what Python allocates and one, untroubled by that, whose resident memory is read. The SYNs are those
of a flood, the backlog holds them all, and virtual time stands nearly still, so that nothing is repeated or
given up. Judges nothing. Read first: testbed/workloads/flood.py; RFC 4987 §2.2.
"""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from testbed.drive.memory import status_bytes
from testbed.errors import RunFailed, UserError
from testbed.interpreter import child_environment, module
from testbed.mptcp.config import MICROSECOND, ClientConfig, Profile, ServerConfig, SynCookies
from testbed.mptcp.endpoint import Endpoint
from testbed.portable import usable_cores
from testbed.workloads import PORT, HostSpec, packed
from testbed.workloads.flood import SynSource
from testbed.workloads.spec import MOST_CONNECTIONS, MOST_SYNS

Row = dict[str, Any]

SYNS = 100_000
MARKS = (0, 1_000, 10_000, 30_000, 100_000, 300_000)  # where memory is read, and at the end
PROFILES = (Profile.TCP, Profile.V0, Profile.DRAFT, Profile.V1)
MODES = (SynCookies.OFF, SynCookies.ALWAYS)
MOST_TRACED = 30_000  # SYNs: tracing takes four times as long, and what it shows is a straight line
SERVER = "10.1.1.1"
APART = 10 * MICROSECOND  # from one SYN to the next
WITHIN = 600.0  # seconds for one process


@dataclass(frozen=True)
class Task:
    """Of one process. `traced`: it reads what Python has allocated, else what is resident."""

    profile: Profile
    syn_cookies: SynCookies
    syns: int
    traced: bool


def measure(
    syns: int = SYNS,
    profiles: Sequence[Profile] = PROFILES,
    modes: Sequence[SynCookies] = MODES,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """A row for each profile, mode and number of SYNs: `profile`, `syn_cookies`, `syns`, `half_open`;
    `bytes`, allocated since the first SYN, None beyond MOST_TRACED; `rss_bytes`, resident, the whole process.
    As many processes at a time as there are cores. RunFailed where one ends badly."""
    if not 0 < syns <= MOST_SYNS:
        raise UserError(f"--syns {syns}: 1 to {MOST_SYNS} is expected")
    pairs = [(profile, mode) for profile in profiles for mode in modes]
    tasks = [
        Task(*pair, most, traced)
        for pair in pairs
        for most, traced in ((min(syns, MOST_TRACED), True), (syns, False))
    ]
    rows: list[Row] = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        found = pool.map(_in_its_own_process, tasks)
        for (profile, mode), traced, resident in zip(pairs, found, found, strict=True):
            allocated = {row["syns"]: row["bytes"] for row in traced}
            rows += [{**row, "bytes": allocated.get(row["syns"])} for row in resident]
            progress(f"{profile}, SYN cookies {mode}: {rows[-1]['rss_bytes']:,} bytes resident in the end")
    return rows


def up_to(sizes: Sequence[int]) -> list[Row]:
    """For a reproduction: as many SYNs as the largest of `sizes`, to plain TCP and to v1. The other profiles
    hold within 2 % of the same."""
    return measure(max(sizes), (Profile.TCP, Profile.V1))


def _in_its_own_process(task: Task) -> list[Row]:
    command = module("testbed.bench.half_open", json.dumps(asdict(task)))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=WITHIN, check=False, env=child_environment()
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise RunFailed(f"{task.profile}, SYN cookies {task.syn_cookies}: {last[0]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows_of(task: Task) -> Iterator[Row]:
    """Here, in this process."""
    count = -(-task.syns // MOST_CONNECTIONS)
    attackers = tuple(f"10.9.{number // 250}.{number % 250 + 1}" for number in range(count))
    spec = HostSpec("attacker", "client", attackers, (SERVER,), client=ClientConfig(task.profile))
    flood = SynSource(spec, random.Random(1))
    server = Endpoint(entropy=random.Random(2).randbytes, addresses=(packed(SERVER),))
    server.listen(PORT, ServerConfig(syn_cookies=task.syn_cookies, backlog=task.syns))
    gc.disable()
    if task.traced:
        tracemalloc.start()
    sent = base = 0
    for mark in [*(mark for mark in MARKS if mark < task.syns), task.syns]:
        while sent < mark:
            sent += 1
            _hand_over(flood, server, sent * APART)
        gc.collect()
        row = {
            "profile": str(task.profile),
            "syn_cookies": str(task.syn_cookies),
            "syns": mark,
            "half_open": server.peaks.half_open,
        }
        if task.traced:
            held = tracemalloc.get_traced_memory()[0]
            base = base if mark else held
            yield {**row, "bytes": held - base}
        else:
            yield {**row, "rss_bytes": status_bytes("VmRSS")}


def _hand_over(flood: SynSource, server: Endpoint, now: int) -> None:
    flood.send_syn(now)
    syn = flood.poll_transmit(now)
    assert syn is not None, "one was just sent"
    server.handle_segment(now, syn)
    while server.poll_transmit(now) is not None:
        pass  # its SYN/ACK
    while server.poll_event() is not None:
        pass


if __name__ == "__main__":
    words = json.loads(sys.argv[1])
    words |= {"profile": Profile(words["profile"]), "syn_cookies": SynCookies(words["syn_cookies"])}
    for row in rows_of(Task(**words)):
        print(json.dumps(row), flush=True)
