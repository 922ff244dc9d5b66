"""calibration.json as a table: what each link was asked to be, and what it was measured to be.

Decides columns, units and words, the same on a terminal, in the report and in an error. Must not know how
links are measured or what is too far off.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CALIBRATION = "calibration.json"
HEAD = ("link", "way", "rate, Mbit/s", "RTT, ms", "loss, %", "queue", "")


def calibration_table(directory: Path) -> list[tuple[str, ...]]:
    """A row for each direction of each setting, under HEAD; none where nothing was calibrated."""
    try:
        entries = json.loads((directory / CALIBRATION).read_text(encoding="utf-8"))["links"]
    except FileNotFoundError:
        return []
    return calibration_rows(entries)


def calibration_rows(entries: Iterable[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The same of entries in memory."""
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        said = asked_and_measured(entry)
        for way in ("forward", "backward"):
            first = way == "forward"
            words = (
                ", ".join(entry["links"]) if first else "",
                way,
                said[way]["rate"],
                said["RTT"] if first else "",
                said[way]["loss"],
                said[way]["queue"],
                "missed" if first and entry["missed"] else "",
            )
            rows.append(words)
    return rows


def asked_and_measured(entry: dict[str, Any]) -> dict[str, Any]:
    """'10 > 9.99' for RTT, and for rate, loss and queue of each way: asked for > measured."""
    ways = [entry[way] for way in ("forward", "backward")]
    delays = [side["measured"]["delay"] for side in ways]
    asked = sum(side["asked"]["delay"] for side in ways)
    measured = None if None in delays else sum(delays)
    said: dict[str, Any] = {"RTT": _words(asked / 1e6, measured and measured / 1e6, ".2f")}
    for way, side in zip(("forward", "backward"), ways, strict=True):
        want, got = side["asked"], side["measured"]
        lost = 100 * got["lost"] / got["sent"]
        unit = " B" if want["queue_in_bytes"] else ""
        rated = want["rate"] is not None
        said[way] = {
            "rate": _words(want["rate"] / 1e6, got["rate"] and got["rate"] / 1e6, "#.4g") if rated else "any",
            "loss": _words(100 * want["loss"], lost, ".2f"),
            "queue": _words(want["queue"], got["queue"], "d") + unit if rated else "none",
        }
    return said


def _words(asked: float, measured: float | None, how: str) -> str:
    return f"{asked:g} > {'?' if measured is None else format(measured, how)}"
