"""When a run in real time counts: what its figures may be at most, under the experiment's key `fidelity:`.

Decides the thresholds, their defaults, and the words for a run that broke one. There are two limits. A run
that broke the first (`judge`) is invalid, tried again and never averaged in (campaign.py): its verdicts may
be wrong. A run that broke the second (`too_late`) keeps its verdicts, but its times are those of the machine:
they are left out (testbed/results/late.py). The figures are measured in testbed/drive and net. In the
simulator only `queue_drops` has a meaning. Must not know how a lab works.
Read first: testbed/drive/fidelity.py for the names of the figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from testbed.workloads import overflowed

MILLISECOND = 1_000_000


@dataclass(frozen=True)
class Fidelity:
    """Times in nanoseconds, shares 0..1.

    The defaults are far above what a machine reaches whose cores all have other work, and below what changes
    a result. A wire is some 0.1 ms late (p99), with busy neighbours too, since it has precedence; without, in
    a user namespace, 4 ms. A host's timers and reads then are 5 to 50 ms late, with precedence 0.2 to 3 ms;
    200 ms more is one retransmission timeout at the least, and looks like a loss. A process at its core's end
    measures the core.
    `late_*`: times count while half of the timers and packets are no later than `late_p50`, or than its share
    of the smallest base RTT where that is more; and 99 % of them no later than `late_p99`.
    """

    late_p50: int = MILLISECOND // 2
    late_p50_rtt: float = 0.05  # of the base RTT: delays without queues
    late_p99: int = 2 * MILLISECOND
    late_p99_rtt: float = 0.25
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


_BUSY = "the machine is too busy; fewer runs at once (--jobs), less rate, or --net sim"
_FULL = "the core was measured, not the network; less rate, or a higher threshold where that is meant"
_LEFT = "{share} of the packets left a wire {value} late or more"
_WIRE_READ = "{share} of the packets waited {value} or more before a wire read them"
_TIMER = "{share} of the timers of {who} came {value} late or more"
_READ = "{share} of the packets waited {value} or more before {who} read them"
_LATENESS = {
    "wire_lateness_{}_us": _LEFT,
    "wire_read_lateness_{}_us": _WIRE_READ,
    "(.+)_timer_lateness_{}_us": _TIMER,
    "(?!wire_)(.+)_read_lateness_{}_us": _READ,
}
_LIMITS_OF = {_LEFT: "wire_lateness_p99", _WIRE_READ: "wire_lateness_p99"}
_CHECKS = [
    *(
        (
            _LIMITS_OF.get(words, "timer_lateness_p99"),
            _Check(figure.format("p99"), _time, words.replace("{share}", "1 %"), _BUSY, 1000),
        )
        for figure, words in _LATENESS.items()
    ),
    ("wire_cpu", _Check("wire_cpu_share", _percent, "the wires took {value} of a core", _FULL)),
    (
        "host_cpu",
        _Check("(?!wire_|machine_)(.+)_cpu_share", _percent, "{who} took {value} of a core", _FULL),
    ),
    ("lost", _Check("(.+)_write_errors", _count, "{who} could not write {value} packets", _BUSY)),
]
QUANTILES = {"late_p50": ("p50", "half"), "late_p99": ("p99", "1 %")}


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
    for key, check in _CHECKS:
        most = getattr(thresholds, key)
        for name, figure in figures.items():
            found = re.fullmatch(check.figure, name)
            if found and (value := figure * check.unit) > most:
                words = check.words.format(who="".join(found.groups()), value=check.shown(value))
                broken.append(f"{words}, where fidelity.{key} is {check.shown(most)}: {check.mend}")
    return "; ".join(broken) or None


def too_late(
    figures: Mapping[str, float], thresholds: Fidelity, base_rtt: int, ignore: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Why the times of a run do not count: for each limit that is broken its `key`, and `value` (ms) and
    `text` of the worst figure. `base_rtt`: the smallest RTT without queues, in ns. `ignore`: hosts whose
    lateness changes no measured time.

    At p50 what a packet and its answer meet counts together as well: both wires, and both ends' reads.
    """
    found = []
    for key, (quantile, share) in QUANTILES.items():
        least, part = getattr(thresholds, key), getattr(thresholds, f"{key}_rtt")
        most = max(least, part * base_rtt)
        worst, words = 0.0, ""
        for name, figure in figures.items():
            for pattern, text in _LATENESS.items():
                match = re.fullmatch(pattern.format(quantile), name)
                if match and not set(match.groups()) & set(ignore) and 1000 * figure > worst:
                    worst, who = 1000 * figure, "".join(match.groups())
                    words = text.format(share=share, who=who, value=_time(worst))
        if key == "late_p50" and worst <= most < (trip := _round_trip(figures, ignore)):
            worst, words = trip, f"half of the round trips took {_time(trip)} too long or more"
        if worst > most:
            limit = (
                f"the larger of fidelity.{key}, {_time(least)}, and fidelity.{key}_rtt, {_percent(part)} of "
                f"the base RTT of {_time(base_rtt)}"
            )
            found.append({"key": key, "value": worst / MILLISECOND, "text": f"{words}; allowed is {limit}"})
    return found


def _round_trip(figures: Mapping[str, float], ignore: Collection[str]) -> float:
    """The medians that a packet and its answer meet, in ns: the latest two hosts, and a wire twice."""
    wire = figures.get("wire_lateness_p50_us", 0.0) + figures.get("wire_read_lateness_p50_us", 0.0)
    reads = [
        figure
        for name, figure in figures.items()
        if (match := re.fullmatch(r"(?!wire_)(.+)_read_lateness_p50_us", name)) and match[1] not in ignore
    ]
    return 1000 * (2 * wire + sum(sorted(reads)[-2:]))
