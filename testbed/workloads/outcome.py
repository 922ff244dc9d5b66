"""What a run of one cell produces, whichever way it was run: simulator and lab hand back this one value.

Decides the shape of the records. Knows nothing of how they are stored or judged: joining both ends of a
connection into one verdict is the results' job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.mptcp.reasons import Verdict

Row = dict[str, object]

# Every row of `RunOutcome.rows`, in this order. Times are nanoseconds since the run began, None where it
# never happened. `done_ns`: the moment at which this end had sent and verified all it had to (or gave up).
ROW_KEYS = (
    "host",
    "connection",  # the client's count from 0; the server's own count on its side
    "role",
    "profile",
    "local_address",
    "local_port",
    "remote_address",
    "remote_port",
    "verdict",
    "reason",
    "opened_ns",
    "connected_ns",
    "first_byte_ns",
    "done_ns",
    "bytes_sent",
    "bytes_received",
    "subflows",
    "retransmits",
    "fast_open",  # what became of the SYN's data: a word of testbed/mptcp/report.py
    "syn_data",  # bytes of it that the server took
    "closed_by",
    "intact",
    "paths",  # a list of mappings, one per subflow: path_rows.py
)


# Why what came to a client by hand is not what was to come; `testbed client` says it in these words.
FAULTS = {
    "none": "what was to come has come, byte for byte",
    "interrupted": "the user ended the client before it was done",
    "damaged": "what came differs from the pattern that both ends know",
    "missing": "less came than --receive expects",
    "cut_off": "the connection ended before all was sent, acknowledged and heard",
    "unasked": "what came is neither what was sent (an echo) nor nothing (a sink); "
    "against a source give --receive SIZE, or --send 0 --time S",
}


@dataclass(slots=True)
class RunOutcome:
    """`links` maps "NAME/forward" and "NAME/backward" to what `testbed.link.Direction.report` gives.

    `invalid` says why the run may not be counted (a packet without a route, a wire that came late); `retry`:
    whether the machine was the cause, so that another try is no selection by outcome.
    `fidelity` holds the figures behind that in real time, and is empty in the simulator; `late` says why the
    times of the run do not count, though its verdicts do (empty: they do). `background`: rows
    of hosts that competed with the measured ones (traffic.py). `held`: the most that each server with our
    stack held: `half_open_peak`, `connections_peak`, and in a lab `memory_mb` of its process and by how much
    it grew, `memory_growth_mb`.
    """

    rows: list[Row] = field(default_factory=list)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    fidelity: dict[str, float] = field(default_factory=dict)
    invalid: str | None = None
    retry: bool = True
    captures: list[str] = field(default_factory=list)
    elapsed_ns: int = 0
    background: list[Row] = field(default_factory=list)
    held: dict[str, dict[str, float]] = field(default_factory=dict)
    late: list[dict[str, Any]] = field(default_factory=list)


def warnings_of(outcome: RunOutcome) -> list[str]:
    """What a run did not do although the experiment asks for it: it may not have tested what it meant to."""
    texts = []
    for name, link in outcome.links.items():
        texts += [f"{name}: drop {rule} never matched a packet" for rule in link.get("unmatched", ())]
        for box in link.get("middleboxes", ()):
            if not box["acted"]:
                texts.append(f"{name}: middlebox {box['middlebox']} never did anything")
        for entry in link.get("timed", ()):
            if entry["at"] > outcome.elapsed_ns:
                texts.append(f"{name}: {entry['what']} came after the end of the run")
    return texts


def overflowed(links: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Packets that a full queue dropped, by link and direction. `links` are those of a run or its record."""
    dropped = {name: int(link.get("dropped", {}).get("queue", 0)) for name, link in links.items()}
    return {name: count for name, count in dropped.items() if count}


def unfinished(rows: Iterable[Row]) -> dict[str, int]:
    """How many connections of a run a time limit ended while data moved, and the bytes that had arrived by
    then at both ends; empty where there are none."""
    found: dict[tuple[object, object], int] = {}
    rows = list(rows)
    ends = {str(role): ("local" if role == "client" else "remote") for role in ("client", "server")}
    for row in rows:
        if row["verdict"] == Verdict.UNFINISHED:
            side = ends[str(row["role"])]
            found[row[f"{side}_address"], row[f"{side}_port"]] = 0
    for row in rows:
        side = ends[str(row["role"])]
        client = row[f"{side}_address"], row[f"{side}_port"]
        if client in found:
            found[client] += int(str(row["bytes_received"]))
    return {"connections": len(found), "bytes": sum(found.values())} if found else {}
