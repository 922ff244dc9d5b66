"""Before a campaign in a lab: every link that it will use, measured against what the experiment asked for.

Decides which links those are (each setting once, whichever cells and names share it), how far off is too far
(the experiment's `fidelity:`), and that a miss is measured again, as a run has three tries. A campaign whose
links miss their request does not begin. How a link is measured is testbed/net's, how the table looks
results/calibration.py's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from testbed.errors import RunFailed
from testbed.link import LinkParams
from testbed.records import write_atomically
from testbed.runner.fidelity import Fidelity
from testbed.runner.network import network_of
from testbed.runner.seeds import derive
from testbed.runner.spec import Cell

TRIES = 3
WAYS = ("forward", "backward")
CONFIDENCE = 0.999  # of the exact interval that the loss must lie in
NEAR = 2  # packets that a queue may be off, where that is more than its share

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

    before = [entry for other in known for entry in _entries(other / CALIBRATION)]
    ordered = measured(_links(cells), fidelity, seed, say, before)
    kept = _earlier(directory / CALIBRATION, ordered)
    write_atomically(directory / CALIBRATION, json.dumps({"links": kept + ordered}, indent=1) + "\n")
    bad = [
        f"{', '.join(entry['links'])}: {'; '.join(entry['missed'])}" for entry in ordered if entry["missed"]
    ]
    if bad:
        raise RunFailed(
            "links are not what the experiment asks for, so nothing was run (asked for > measured):\n"
            + "\n".join(bad)
            + "\nless rate, a quieter machine, wider thresholds under fidelity:, or fidelity.calibrate=false"
        )


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
    from testbed.results import asked_and_measured, exact_interval

    said = asked_and_measured(entry)
    missed = []
    delays = [entry[way]["measured"]["delay"] for way in WAYS]
    if None not in delays:
        asked = sum(entry[way]["asked"]["delay"] for way in WAYS)
        if abs(sum(delays) - asked) > fidelity.rtt_error:
            missed.append(f"RTT {said['RTT']}")
    for way in WAYS:
        asked, measured = entry[way]["asked"], entry[way]["measured"]
        off = set()
        if measured["rate"] is not None:
            if abs(measured["rate"] / asked["rate"] - 1) > fidelity.rate_error:
                off.add("rate")
            near = NEAR * (1514 if asked["queue_in_bytes"] else 1)
            if abs(measured["queue"] - asked["queue"]) > max(near, fidelity.rate_error * asked["queue"]):
                off.add("queue")
        low, high = exact_interval(measured["lost"], measured["sent"], CONFIDENCE)
        if not low <= asked["loss"] <= high:
            off.add("loss")
        missed += [f"{way} {name} {said[way][name]}" for name in ("rate", "loss", "queue") if name in off]
    return missed
