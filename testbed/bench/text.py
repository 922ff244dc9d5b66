"""A measurement as text: the ratio first, then what it is made of, then where our time goes.

Decides words, columns and how a profile is summed up by file. Knows numbers only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.bench.end import Report
from testbed.bench.turns import Transfer, Turns, spread

_LINES = 15  # of a profile, by function
_FILES = 10


def summary(outcome: Turns, capacity: float = 0.0) -> list[str]:
    """`capacity`: bits per second that the paths could have carried, where that is known."""
    lines = []
    if outcome.linux:
        middle, low, high = spread(outcome.ratios)
        lines.append(
            f"ratio {middle:.3f} ({low:.3f}..{high:.3f}) of Linux MPTCP's goodput, "
            f"median and range of {len(outcome.ratios)} rounds"
        )
    else:
        lines.append("no ratio: this kernel has no MPTCP")
    for name, transfers in (("ours", outcome.ours), ("Linux", outcome.linux)):
        if transfers:
            lines.append(_line(name, transfers, capacity))
    return lines


def _line(name: str, transfers: Sequence[Transfer], capacity: float) -> str:
    middle, low, high = spread([one.goodput for one in transfers])
    unit, word = (1e9, "Gbit/s") if high >= 1e9 else (1e6, "Mbit/s")
    shares = [f"{end} {spread([share(one) for one in transfers])[0]:.0%}" for end, share in _CPU.items()]
    last = transfers[-1].sender
    words = [
        f"{name:<6} {middle / unit:.3f} {word} ({low / unit:.3f}..{high / unit:.3f})",
        *([f"{middle / capacity:.1%} of the payload capacity"] if capacity else []),
        f"CPU {', '.join(shares)}",
        f"{last.subflows} subflow{'s' * (last.subflows != 1)}",
        f"{last.bytes / 1e6:.0f} MB each",
    ]
    if last.frames:
        words.append(f"{last.bytes / max(last.frames, 1) / 1000:.1f} kB a frame")
    if any(one.sender.retransmits for one in transfers):
        words.append(f"{max(one.sender.retransmits for one in transfers)} retransmits at most")
    if not all(one.sender.multipath for one in transfers):
        words.append("NOT MULTIPATH TCP")
    return ", ".join(words)


_CPU: dict[str, Callable[[Transfer], float]] = {
    "sender": lambda one: one.sender.cpu / one.sender.seconds,
    "receiver": lambda one: one.receiver.cpu / one.receiver.seconds,
}


def profile_of(name: str, report: Report) -> list[str]:
    """Own time by file, then by function. Under the profiler all is slower, small functions most."""
    total = sum(float(one[4]) for one in report.hot) or 1.0
    files: Counter[str] = Counter()
    for path, _, function, _, own in report.hot:
        files[_place(path, function)] += own
    lines = [f"{name}: own time by file, of {total:.2f} s"]
    lines += [f"  {own / total:6.1%}  {place}" for place, own in files.most_common(_FILES)]
    lines.append(f"{name}: own time by function")
    for path, line, function, calls, own in report.hot[:_LINES]:
        place = _place(path, function)
        where = f"{place}:{line} {function}" if line else place
        lines.append(f"  {own / total:6.1%}  {own * 1e6 / calls:8.2f} us x {calls:<8} {where}")
    return lines


def _place(path: str, function: str) -> str:
    """`testbed/drive/tun.py`; a built-in by its own name."""
    if path == "~":
        return function.strip("<>")
    _, found, tail = path.rpartition("/testbed/")
    return f"testbed/{tail}" if found else Path(path).name
