"""Runs whose connections a time limit of the experiment ended: lines for the user, and exit status 1.

Decides that an `unfinished` connection is no result, unless the experiment expects it for the client's
profile. Must not know how patience is measured (testbed/workloads/patience.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.mptcp.reasons import Verdict
from testbed.records import finished_runs
from testbed.runner.cases import ANY


def unfinished_runs(directory: Path) -> list[str]:
    """One line for each valid run of an output directory with such connections."""
    lines = []
    for path, record in finished_runs(directory):
        found = record.get("unfinished")
        if found and record["invalid"] is None and not _expected(record["settings"]):
            count = found["connections"]
            many = "1 connection was" if count == 1 else f"{count} connections were"
            lines.append(
                f"{path}: {many} still moving data at the time limit, {found['bytes']:,} bytes so far: "
                f"raise workload.timeout (now {record['settings']['workload']['timeout']}) or move less data"
            )
    return lines


def _expected(settings: Mapping[str, Any]) -> bool:
    by_profile = settings.get("expect") or {}
    verdicts = by_profile.get(settings["client"]["profile"], by_profile.get(ANY, ()))
    return Verdict.UNFINISHED.value in verdicts
