"""Are the links of a lab what they were asked to be? Measured by packets through real wires, in seconds.

Decides what is sent and what follows from what came. Two trains for each direction: small packets, sparse,
for delay and loss; then more than the rate carries, for rate and queue, whose length shows in how long
packets wait in it. The links stand side by side in one lab of two nodes, with the wires that a run has; some
are measured at once, as many as a core carries with ease. Judges nothing: that is runner/calibrate.py's.
Read first: probe.py.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mininet.topo import Topo

from testbed.errors import RunFailed
from testbed.interpreter import bare_script
from testbed.link import LinkParams
from testbed.net.run import Lab
from testbed.plan import NetPlan, plan_from

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
TOGETHER = 4  # links measured at once,
MOST_RATE = 50_000_000  # bit/s, unless one alone asks for more
LEAST_SIZE, MOST_SIZE = 32, 1400  # bytes of UDP payload
IPV4_AND_UDP, ETHERNET = 28, 14  # bytes of headers before them, as the link model counts
_FILL = SECOND // 2  # a queue takes no longer to empty, so far as the size of packets can settle that
_OVERLOAD = 1.25
_MARGIN = 60 * MILLISECOND
_PROBE = Path(__file__).with_name("probe.py")

Pair = tuple[LinkParams, LinkParams]  # forward and backward
_Came = list[list[int]]  # number, size, sent, came


@dataclass(frozen=True, slots=True)
class Measured:
    """One direction. `delay` in ns, the median; `rate` in bit/s and `queue` as the link counts it: None where
    there is no rate, or it cannot be told: too much loss, or more than the probe can send."""

    delay: int | None
    sent: int
    lost: int
    rate: float | None = None
    queue: int | None = None


def measure(
    pairs: Sequence[Pair], seed: int, watch: Callable[[int], None] = lambda done: None
) -> list[tuple[Measured, Measured]]:
    """Each link forward and backward, in order. `watch` hears how many are done."""
    found: list[tuple[Measured, Measured]] = []
    with Lab(_side_by_side(pairs), seed=seed) as lab, _Probes(lab) as probes:
        for group in _groups(pairs):
            found += probes.measure([(index, pairs[index]) for index in group])
            watch(len(found))
    return found


def steady(params: LinkParams) -> LinkParams:
    """What of a direction is calibrated. Not jitter: it would hide the rest, and is added to a delay that is
    right by the code that the simulator has."""
    return LinkParams(
        rate=params.rate,
        queue=params.queue,
        queue_in_bytes=params.queue_in_bytes,
        delay=params.delay,
        loss=params.loss,
    )


def _side_by_side(pairs: Sequence[Pair]) -> NetPlan:
    topo: Any = Topo()
    for name in ("client", "server"):
        topo.addHost(name)
    for _ in pairs:
        topo.addLink("client", "server")
    plan = plan_from(topo, "calibration")
    links = (
        replace(link, forward=forward, backward=backward, shaped=True)
        for link, (forward, backward) in zip(plan.links, pairs, strict=True)
    )
    return replace(plan, links=tuple(links))


def _groups(pairs: Sequence[Pair]) -> Iterator[list[int]]:
    group: list[int] = []
    rate = 0
    for index, pair in enumerate(pairs):
        own = sum(params.rate or 0 for params in pair) // 2
        if group and (len(group) == TOGETHER or rate + own > MOST_RATE):
            yield group
            group, rate = [], 0
        group.append(index)
        rate += own
    if group:
        yield group


class _Probes:
    """A probe in each of the two nodes."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def __enter__(self) -> _Probes:
        self._processes: list[subprocess.Popen[bytes]] = []
        client, server = (self._lab.plan.addresses(node) for node in ("client", "server"))
        for node, here, there in (("client", client, server), ("server", server, client)):
            pairs = [f"{near},{far}" for near, far in zip(here, there, strict=True)]
            command = bare_script(_PROBE, *pairs)
            pipe = subprocess.PIPE
            self._processes.append(self._lab.popen(node, command, stdin=pipe, stdout=pipe, stderr=pipe))
        for process in self._processes:
            self._line(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.communicate()

    def measure(self, links: list[tuple[int, Pair]]) -> list[tuple[Measured, Measured]]:
        sparse = [[_sparse(index, pair[way]) for index, pair in links] for way in (0, 1)]
        quiet = self._both(sparse, [pair for _, pair in links])
        seen = [[_delay_and_loss(quiet[way][index], sparse[way][place][3], pair[way]) for way in (0, 1)]
                for place, (index, pair) in enumerate(links)]  # fmt: skip
        full: list[list[_Came]] = []
        for way in (0, 1):  # one after the other: the probes are to be faster than the links
            crowd = [train for index, pair in links for train in _crowd(index, pair[way])]
            both = [crowd, []] if way == 0 else [[], crowd]
            full.append(self._both(both, [pair for _, pair in links])[way] if crowd else [])
        found = []
        for (index, pair), both_seen in zip(links, seen, strict=True):
            forward, backward = (
                _rate_and_queue(full[way][index] if full[way] else [], both_seen[way], pair[way])
                for way in (0, 1)
            )
            found.append((forward, backward))
        return found

    def _both(self, sends: list[list[list[int]]], pairs: list[Pair]) -> list[list[_Came]]:
        """What came forward and what came backward, link by link."""
        slowest = max(params.delay + (_fill_time(params) or 0) for pair in pairs for params in pair)
        self._tell(*({"sends": one} for one in sends))
        for process in self._processes:
            self._line(process)
        self._tell(*[{"end": slowest + _MARGIN}] * 2)
        answers = [json.loads(self._line(process)) for process in self._processes]
        return answers[::-1]  # the server hears what went forward

    def _tell(self, *words: dict[str, Any]) -> None:
        for process, one in zip(self._processes, words, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(one).encode() + b"\n")
            process.stdin.flush()

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RunFailed(f"calibration: {process.communicate()[1].decode().strip() or 'no answer'}")
        return bytes(line)


def _frame(size: int) -> int:
    return size + IPV4_AND_UDP + ETHERNET


def _sparse(index: int, params: LinkParams) -> list[int]:
    """A second of small packets, at most half the rate."""
    gap = max(MILLISECOND, 2 * _frame(LEAST_SIZE) * 8 * SECOND // (params.rate or SECOND))
    return [index, 0, gap, max(1, SECOND // gap), LEAST_SIZE]


def _size(params: LinkParams) -> int:
    """So large that the queue empties within half a second, where any packet is small enough."""
    if params.rate is None:
        return LEAST_SIZE
    if params.queue_in_bytes:
        return MOST_SIZE
    fitting = params.rate * _FILL // SECOND // 8 // (params.queue + 1) - _frame(0)
    return min(max(fitting, LEAST_SIZE), MOST_SIZE)


def _room(params: LinkParams) -> int:
    """Packets that the queue holds, and the one that is being sent."""
    return (params.queue // _frame(_size(params)) if params.queue_in_bytes else params.queue) + 1


def _fill_time(params: LinkParams) -> int | None:
    """How long a full queue takes to empty; None without a rate."""
    if params.rate is None:
        return None
    return _room(params) * _frame(_size(params)) * 8 * SECOND // params.rate


def _crowd(index: int, params: LinkParams) -> Iterator[list[int]]:
    """As many packets as fill the queue at once, then a quarter more than the rate carries."""
    filled = _fill_time(params)
    if filled is None or params.rate is None or params.loss > 0.5 or filled > 3 * SECOND:
        return
    size = _size(params)
    gap = round(_frame(size) * 8 * SECOND / params.rate / _OVERLOAD * (1 - params.loss))
    yield [index, 0, 0, round((_room(params) + 2) / (1 - params.loss)), size]
    yield [index, MILLISECOND, gap, max(50, (filled + SECOND // 3) // gap), size]


def _delay_and_loss(came: _Came, sent: int, params: LinkParams) -> Measured:
    own = _frame(LEAST_SIZE) * 8 * SECOND // params.rate if params.rate else 0  # its time on the link
    times = [came_at - sent_at for _, _, sent_at, came_at in came]
    delay = round(statistics.median(times)) - own if times else None
    return Measured(delay, sent, sent - len({number for number, *_ in came}))


def _offered(came: _Came) -> float:
    """Bits per second that the probe sent, by the numbers of what came."""
    (first, size, began, _), (last, _, ended, _) = min(came), max(came)
    return (last - first) * _frame(size) * 8 * SECOND / max(ended - began, 1)


def _rate_and_queue(came: _Came, seen: Measured, params: LinkParams) -> Measured:
    """From the second half of what came: by then the queue is full, and stays so, if the probe keeps up."""
    late = sorted(came, key=lambda packet: packet[3])[len(came) // 2 :]
    if params.rate is None or seen.delay is None or len(late) < 16 or _offered(late) < params.rate:
        return seen
    windows = [late[start : start + len(late) // 8 + 1] for start in range(0, len(late) - 1, len(late) // 8)]
    rates = [
        sum(_frame(size) for _, size, _, _ in window[1:]) * 8 * SECOND / (window[-1][3] - window[0][3])
        for window in windows
        if len(window) > 1 and window[-1][3] > window[0][3]
    ]
    waits = sorted(arrived - sent for _, _, sent, arrived in late)
    waited = waits[9 * len(waits) // 10] - seen.delay  # the probe may have paused: then it was not full
    length = waited * params.rate / 8 / SECOND
    queue = int(length if params.queue_in_bytes else length / _frame(late[0][1]))
    return replace(seen, rate=statistics.median(rates), queue=queue)
