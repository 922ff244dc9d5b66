"""When a run in real time counts: what its figures may be at most, under the experiment's key `fidelity:`.

Decides the thresholds, their defaults, and the words for a run that broke one. The figures are measured in
testbed/drive and net; a run that broke a threshold is invalid, tried again and never averaged in
(campaign.py). In the simulator only `queue_drops` has a meaning. Must not know how a lab works.
Read first: testbed/drive/fidelity.py for the names of the figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from testbed.workloads import overflowed

MILLISECOND = 1_000_000


@dataclass(frozen=True)
class Fidelity:
    """Times in nanoseconds, shares 0..1.

    The defaults are far above what a machine reaches whose cores all have other work, and below what changes
    a result. A wire is some 0.1 ms late (p99), with busy neighbours too, since it has precedence; without, in
    a user namespace, 4 ms. A host's timers then are 5 to 50 ms late; 200 ms more is one retransmission
    timeout at the least, and looks like a loss. A process at its core's end measures the core.
    """

    wire_lateness_p99: int = 5 * MILLISECOND
    timer_lateness_p99: int = 200 * MILLISECOND
    wire_cpu: float = 0.9
    host_cpu: float = 0.95
    lost: int = 0  # packets that a device refused: neither the link model nor a queue dropped them
    queue_drops: Literal["count", "invalid"] = "count"  # whether a run whose queue overflowed counts
    calibrate: bool = True  # measure the links first
    rate_error: float = 0.02  # of a link's rate, and of its queue
    rtt_error: int = MILLISECOND


@dataclass(frozen=True, slots=True)
class _Check:
    """`figure`: the names of the record's figures; its group, if any, says whose. `unit`: how many of the
    threshold's make one of the figure's."""

    figure: str
    shown: Callable[[float], str]
    words: str
    mend: str
    unit: int = 1


def _time(value: float) -> str:
    return f"{value / MILLISECOND:.3g} ms"


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def _count(value: float) -> str:
    return f"{value:g}"


_BUSY = "the machine is too busy; fewer runs at once (--jobs), or less rate"
_FULL = "the core was measured, not the network; less rate, or a higher threshold where that is meant"
_CHECKS = {
    "wire_lateness_p99": _Check(
        "wire_lateness_p99_us", _time, "1 % of the packets left a wire {value} late or more", _BUSY, 1000
    ),
    "timer_lateness_p99": _Check(
        "(.+)_timer_lateness_p99_us",
        _time,
        "1 % of the timers of {who} came {value} late or more",
        _BUSY,
        1000,
    ),
    "wire_cpu": _Check("wire_cpu_share", _percent, "the wires took {value} of a core", _FULL),
    "host_cpu": _Check("(?!wire_|machine_)(.+)_cpu_share", _percent, "{who} took {value} of a core", _FULL),
    "lost": _Check("(.+)_write_errors", _count, "{who} could not write {value} packets", _BUSY),
}


def judge_queues(links: Mapping[str, Mapping[str, Any]], thresholds: Fidelity) -> str | None:
    """Why a run does not count under `queue_drops: invalid`: its queues overflowed. None where it counts.

    Such a run must not be repeated with another seed: the runs that are left would be those without losses.
    """
    full = overflowed(links)
    if thresholds.queue_drops == "count" or not full:
        return None
    places = ", ".join(f"{count} packets on {name}" for name, count in full.items())
    return (
        f"queue overflow dropped {places}, where fidelity.queue_drops is invalid: lower workload.arrivals, "
        "raise the link's queue or rate, or set fidelity.queue_drops: count"
    )


def judge(figures: Mapping[str, float], thresholds: Fidelity) -> str | None:
    """Why a run with these figures does not count: each figure with its value and its threshold; None where
    it does."""
    broken = []
    for key, check in _CHECKS.items():
        most = getattr(thresholds, key)
        for name, figure in figures.items():
            found = re.fullmatch(check.figure, name)
            if found and (value := figure * check.unit) > most:
                words = check.words.format(who="".join(found.groups()), value=check.shown(value))
                broken.append(f"{words}, where fidelity.{key} is {check.shown(most)}: {check.mend}")
    return "; ".join(broken) or None
