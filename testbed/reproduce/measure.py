"""A measurement in a process of its own: `python -P -m testbed.reproduce.measure MODULE:FUNCTION SIZE...`.

Decides that it is told its sizes as numbers and answers with its rows as JSON on standard output, so that
what it measures of a process (memory) is not that of the reproduction.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from testbed.errors import RunFailed, TestbedError
from testbed.interpreter import child_environment, module

MOST_SECONDS = 900


def measured(function: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of "module:function". RunFailed where it ended otherwise."""
    command = module("testbed.reproduce.measure", function, *map(str, sizes))
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
            env=child_environment(),
        )
    except subprocess.TimeoutExpired:
        raise RunFailed(f"{function}: no result within {MOST_SECONDS} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise RunFailed(f"{function} ended with status {done.returncode}: {last}")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def main() -> None:
    place, _, function = sys.argv[1].partition(":")
    try:
        rows = getattr(importlib.import_module(place), function)(tuple(map(int, sys.argv[2:])))
    except TestbedError as error:
        sys.exit(str(error))
    json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
