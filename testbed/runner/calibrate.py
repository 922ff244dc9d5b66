"""Before a campaign in a lab: every link that it will use, measured against what the experiment asked for.

Decides which links those are (each setting once, whichever cells and names share it), how far off is too far
(the experiment's `fidelity:`), and that a miss is measured again, as a run has three tries. A campaign whose
links miss their request does not begin, and the error says by how much, which key allows it, and what else
helps. How a link is measured is testbed/net's, how the table looks
results/calibration.py's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from testbed.errors import RunFailed
from testbed.link import LinkParams
from testbed.linux.settings import is_kernel
from testbed.mptcp.config import ClientConfig, ServerConfig
from testbed.records import write_atomically
from testbed.runner.fidelity import Fidelity
from testbed.runner.network import network_of
from testbed.runner.seeds import derive
from testbed.runner.spec import Cell, build

TRIES = 3
WAYS = ("forward", "backward")
CONFIDENCE = 0.999  # of the exact interval that the loss must lie in
NEAR = 2  # packets that a queue may be off, where that is more than its share
SHOWN = 3  # links that a message names

Pair = tuple[LinkParams, LinkParams]


def calibrate(
    cells: Iterable[Cell],
    fidelity: Fidelity,
    seed: int,
    directory: Path,
    say: Callable[[str], None],
    known: Iterable[Path] = (),
) -> None:
    """Measures, writes calibration.json into `directory`; RunFailed where a link is not as asked for.

    `known`: directories of campaigns whose links were measured a short while ago, and need not be again."""
    from testbed.results import CALIBRATION

    cells = list(cells)
    before = [entry for other in known for entry in _entries(other / CALIBRATION)]
    ordered = measured(_links(cells), fidelity, seed, say, before)
    kept = _earlier(directory / CALIBRATION, ordered)
    write_atomically(directory / CALIBRATION, json.dumps({"links": kept + ordered}, indent=1) + "\n")
    if any(entry["missed"] for entry in ordered):
        simulable = not any(_needs_linux(cell) for cell in cells)
        raise RunFailed(_grouped(ordered, fidelity, simulable, directory / CALIBRATION))


def _needs_linux(cell: Cell) -> bool:
    return is_kernel(build(ClientConfig, cell.client)) or is_kernel(build(ServerConfig, cell.server))


@dataclass(frozen=True, slots=True)
class _Miss:
    """`what` was measured, asked for and measured in `words`, and how far `off`: ns, or a share."""

    what: str
    words: str
    off: float


@dataclass(frozen=True, slots=True)
class _Threshold:
    """The key below `fidelity:`, and how many of `unit` make one of its values."""

    key: str
    scale: float
    unit: str


THRESHOLDS = {
    "RTT": _Threshold("rtt_error", 1e-6, "ms"),
    "rate": _Threshold("rate_error", 100, "%"),
    "queue": _Threshold("rate_error", 100, "%"),
    "loss": None,  # an exact interval decides
}


def _grouped(entries: Sequence[dict[str, Any]], fidelity: Fidelity, simulable: bool, file: Path) -> str:
    """What missed, grouped by what was measured: how many settings, how far off, the threshold's key and the
    first few links by name; then what the user can do."""
    misses = [(entry, miss) for entry in entries for miss in _misses(entry, fidelity)]
    bad = sum(bool(entry["missed"]) for entry in entries)
    lines = [
        f"{bad} of {len(entries)} link settings are not what the experiment asks for, so nothing was run "
        "(asked for > measured):"
    ]
    wider: dict[str, tuple[int, str]] = {}
    for what, threshold in THRESHOLDS.items():
        group = [(entry, miss) for entry, miss in misses if miss.what == what]
        if not group:
            continue
        names = [f"{', '.join(entry['links'])} {miss.words}" for entry, miss in group[:SHOWN]]
        more = f"; and {len(group) - SHOWN} more" if len(group) > SHOWN else ""
        settings = len({id(entry) for entry, _ in group})
        many = "1 setting" if settings == 1 else f"{settings} settings"
        if threshold is None:
            far = "outside of the exact 99.9 % interval of what was measured"
        else:
            worst = threshold.scale * max(miss.off for _, miss in group)
            allowed = threshold.scale * getattr(fidelity, threshold.key)
            unit = threshold.unit
            far = f"up to {worst:.3g} {unit} off, fidelity.{threshold.key} allows {allowed:.3g} {unit}"
            enough = (math.floor(worst) + 1, unit)
            wider[threshold.key] = max(enough, wider.get(threshold.key, enough))
        lines.append(f"  {what}: {many}, {far}: {'; '.join(names)}{more}")
    lines.append(f"Each was measured {TRIES} times; {file} has all of it. One of these helps:")
    if simulable:
        lines.append("  --net sim                            the simulator, which needs no quiet machine")
    if wider:
        sets = " ".join(f"--set fidelity.{key}={number}{unit}" for key, (number, unit) in wider.items())
        lines.append(f"  {sets:<36} allow as much as was measured")
    lines.append(f"  {'--set fidelity.calibrate=false':<36} run without measuring the links")
    lines.append("  less rate, or a quieter machine")
    return "\n".join(lines)


def measured(
    links: Mapping[Pair, list[str]],
    fidelity: Fidelity,
    seed: int,
    say: Callable[[str], None],
    known: Iterable[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    """An entry of calibration.json for each setting, in order: its names, asked and measured, what missed.

    `known`: entries that stand for links which were asked to be the same and were found to be."""
    from testbed.net.calibrate import measure

    entries: dict[Pair, dict[str, Any]] = {}
    for entry in known:
        for pair, names in links.items():
            if _asked_of(entry) == [_asked(params) for params in pair]:
                entries[pair] = {**entry, "links": names, "missed": _missed(entry, fidelity)}
    left = [pair for pair in links if pair not in entries or entries[pair]["missed"]]
    for attempt in range(1, TRIES + 1):
        if not left:
            break
        again = f", try {attempt}" if attempt > 1 else ""
        say(f"calibrating {len(left)} link{'s' if len(left) > 1 else ''}{again}")
        found = measure(left, derive(seed, "calibration", attempt))
        for pair, both in zip(left, found, strict=True):
            sides = {
                way: {"asked": _asked(params), "measured": asdict(came)}
                for way, params, came in zip(WAYS, pair, both, strict=True)
            }
            entries[pair] = {"links": links[pair], "tries": attempt, **sides, "missed": []}
            entries[pair]["missed"] = _missed(entries[pair], fidelity)
        left = [pair for pair in left if entries[pair]["missed"]]
    return [entries[pair] for pair in links]


def _earlier(file: Path, now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a session before this one measured for runs that are done."""
    again = [_asked_of(entry) for entry in now]
    return [entry for entry in _entries(file) if _asked_of(entry) not in again]


def _entries(file: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["links"]
    except FileNotFoundError:
        return []
    return entries


def _asked_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry[way]["asked"] for way in WAYS]


def _links(cells: Iterable[Cell]) -> dict[Pair, list[str]]:
    """Both directions' steady settings, and the names of the links that have them."""
    from testbed.net.calibrate import steady

    found: dict[Pair, list[str]] = {}
    for cell in cells:
        for link in network_of(cell).links:
            if link.shaped:
                names = found.setdefault((steady(link.forward), steady(link.backward)), [])
                if link.name not in names:
                    names.append(link.name)
    return found


def _asked(params: LinkParams) -> dict[str, Any]:
    names = ("rate", "queue", "queue_in_bytes", "delay", "loss")
    return {name: getattr(params, name) for name in names}


def _missed(entry: dict[str, Any], fidelity: Fidelity) -> list[str]:
    """What is too far off, each with what was asked for and what was measured."""
    return [miss.words for miss in _misses(entry, fidelity)]


def _misses(entry: dict[str, Any], fidelity: Fidelity) -> Iterator[_Miss]:
    from testbed.results import asked_and_measured, exact_interval

    said = asked_and_measured(entry)
    delays = [entry[way]["measured"]["delay"] for way in WAYS]
    if None not in delays:
        off = abs(sum(delays) - sum(entry[way]["asked"]["delay"] for way in WAYS))
        if off > fidelity.rtt_error:
            yield _Miss("RTT", f"RTT {said['RTT']}", off)
    for way in WAYS:
        asked, measured = entry[way]["asked"], entry[way]["measured"]
        far: dict[str, float] = {}
        if measured["rate"] is not None:
            share = abs(measured["rate"] / asked["rate"] - 1)
            if share > fidelity.rate_error:
                far["rate"] = share
        low, high = exact_interval(measured["lost"], measured["sent"], CONFIDENCE)
        if not low <= asked["loss"] <= high:
            far["loss"] = abs(measured["lost"] / measured["sent"] - asked["loss"])
        if measured["rate"] is not None:
            near = NEAR * (1514 if asked["queue_in_bytes"] else 1)
            packets = abs(measured["queue"] - asked["queue"])
            if packets > max(near, fidelity.rate_error * asked["queue"]):
                far["queue"] = packets / asked["queue"]
        for what, off in far.items():
            yield _Miss(what, f"{way} {what} {said[way][what]}", off)
