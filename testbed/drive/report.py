"""How a process of a lab leaves its report: whole, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Atomically: a reader finds the whole file or none."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(report))
    part.replace(path)
