"""When two runs are the same run: a digest of what a cell asks for, and the version of the code.

Decides what of a cell counts for re-use: everything that changes packets. That is the network as it was built
from the topology (so a changed topology file counts), both configurations, the workload and the traffic. Not
counted: what is only judged afterwards (`expect`), and the number of connections where they may be spread
over several runs (blocks.py). Decides also which source files make the version of the code: all but those
that only show or check results. Must not know where runs are stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import testbed
from testbed.errors import UserError
from testbed.plan import NetPlan
from testbed.runner.blocks import separable
from testbed.runner.experiment import written
from testbed.runner.network import network_of
from testbed.runner.spec import Cell

# Packages and files of testbed/ that no run executes.
ONLY_SHOW = {"bench", "cli", "figures", "model", "oracle", "reproduce", "results", "trace"}
ONLY_SHOW |= {"doctor.py", "explain.py"}
LENGTH = 12  # hexadecimal digits of a digest


def cell_digest(cell: Cell, net: str) -> str:
    """Equal for two cells whose runs differ at most in seed and, where that is allowed, in size."""
    values = written(cell)
    plan = network_of(cell)
    for key in ("expect", "topology", "network", *(("connections",) if separable(cell, plan) else ())):
        values.pop(key)
    return _digest({"net": net, "network": _plan_digest(plan), "cell": values})


def record_digest(record: Mapping[str, Any]) -> str:
    """The digest of the cell that a record was made from; '' where this version cannot read its settings."""
    try:
        return cell_digest(Cell.model_validate(record["settings"]), record["net"])
    except (UserError, ValueError, KeyError):
        return ""


@cache
def code_version() -> str:
    """A digest of the source files that a run executes."""
    root = Path(testbed.__file__).resolve().parent
    found = hashlib.blake2b(digest_size=16)
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root)
        if name.parts[0] not in ONLY_SHOW:
            found.update(f"{name.as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return found.hexdigest()[:LENGTH]


def same_code(record: Mapping[str, Any], commit: str) -> bool:
    """Whether this code made the record. Records of earlier versions have a commit only."""
    if "code" in record:
        return bool(record["code"] == code_version())
    return bool(record.get("commit") == commit)


def version_words(record: Mapping[str, Any]) -> str:
    """The version that made a record, for a message."""
    commit = record.get("commit") or "unknown"
    return f"{commit}, code {record['code']}" if "code" in record else str(commit)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()[:LENGTH]


def _plan_digest(plan: NetPlan) -> str:
    """Digest of the network. The name of the topology and the place of its file do not count."""
    values = asdict(plan)
    for key in ("name", "parameters"):
        values.pop(key)
    return _digest(values)
