"""What `--json` prints: one JSON value on standard output, with keys that stay.

Decides the keys, which the README documents, and that a number that does not exist is null: JSON has neither
NaN nor infinity. Progress, warnings and errors go to standard error, as without --json. Holds no logic.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.bench import Turns, labs
    from testbed.doctor import Check
    from testbed.link import LinkParams
    from testbed.plan import InterfacePlan, LinkPlan, NetPlan
    from testbed.results import Results
    from testbed.runner import Step

MILLISECOND = 1_000_000


def print_json(value: object) -> None:
    """Print `value` on one line."""
    print(json.dumps(plain(value), allow_nan=False))


def plain(value: Any) -> Any:
    """Return `value` as lists, dictionaries, text, numbers, booleans and None."""
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if hasattr(value, "item"):  # a number of numpy
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return str(value)


def summary(results: Results) -> dict[str, Any]:
    """The cells of a campaign: what varied, and every column of summary.csv."""
    factors = results.factors
    columns = [str(name) for name in results.summary.columns]
    cells = [
        {
            "cell": row["cell"],
            "factors": {name: row[name] for name in factors},
            **{name: row[name] for name in columns if name != "cell" and name not in factors},
        }
        for row in results.summary.to_dict("records")
    ]
    return {"directory": str(results.directory), "factors": factors, "cells": cells}


def network(plan: NetPlan) -> dict[str, Any]:
    """A topology: nodes, links and paths."""
    nodes = [
        {"name": node.name, "role": node.role, "addresses": plan.addresses(node.name)} for node in plan.nodes
    ]
    paths = [
        {
            "name": path.name,
            **{key: getattr(path, key) for key in ("client", "server", "client_address", "server_address")},
            "up": [{"link": name, "direction": direction} for name, direction in path.up],
            "down": [{"link": name, "direction": direction} for name, direction in path.down],
        }
        for path in plan.paths
    ]
    return {
        "name": plan.name,
        "parameters": plan.parameters,
        "nodes": nodes,
        "links": [_link(link) for link in plan.links],
        "paths": paths,
    }


def _link(link: LinkPlan) -> dict[str, Any]:
    return {
        "name": link.name,
        "shaped": link.shaped,
        "a": _interface(link.a),
        "b": _interface(link.b),
        "forward": _direction(link.forward),
        "backward": _direction(link.backward),
    }


def _interface(end: InterfacePlan) -> dict[str, Any]:
    return {"node": end.node, "interface": end.name, "addresses": end.addresses, "mac": end.mac}


def _direction(params: LinkParams) -> dict[str, Any]:
    from testbed.plan import describe

    return {
        "text": describe(params),
        "rate_bits_per_second": params.rate,
        "queue": params.queue,
        "queue_unit": "bytes" if params.queue_in_bytes else "packets",
        "delay_ms": params.delay / MILLISECOND,
        "jitter_ms": params.jitter / MILLISECOND,
        "loss_percent": params.loss * 100,
    }


def checks(way: str, found: Iterable[Check]) -> dict[str, Any]:
    """Prerequisites; `remedy` is a command or advice, '' where nothing is missing."""
    return {
        "way": way,
        "checks": [
            {
                "name": one.name,
                "found": one.found,
                "needed": one.needed,
                "detail": one.detail,
                "remedy": "" if one.found else one.mend,
            }
            for one in found
        ],
    }


def carried(entries: Iterable[Mapping[str, Any]], steps: Iterable[Step]) -> dict[str, Any]:
    """What `doctor --calibrate` measured: links as in calibration.json, and the rates that were tried."""
    return {
        "links": list(entries),
        "rates": [
            {
                "rate_mbit": step.rate,
                "goodput_mbit": step.goodput,
                "share_of_simulator": step.share,
                "lateness_p99_ms": step.lateness,
                "cpu_share": step.cpu,
                "carried": not step.broken,
                "why_not": step.broken,
            }
            for step in steps
        ],
    }


def turns(outcome: Turns, capacity: float | None = None) -> dict[str, Any]:
    """A comparison of transfers: ratios round by round, and both ends of each transfer."""
    stacks = {
        name: [
            {"goodput_bits_per_second": one.goodput, "sender": one.sender, "receiver": one.receiver}
            for one in found
        ]
        for name, found in (("ours", outcome.ours), ("linux", outcome.linux))
    }
    return {"ratios": outcome.ratios, "capacity_bits_per_second": capacity, **stacks}


def lab_turns(outcome: labs.Outcome) -> dict[str, Any]:
    """How long labs take: seconds of each turn, by side."""
    return {"hosts": outcome.hosts, "turns": outcome.turns}
