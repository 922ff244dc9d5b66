"""Seeds that stay the same whatever else an experiment holds.

Decides that a run's seed depends on the experiment's seed, the cell's own factors, the repeat and the try,
and on nothing else: adding a cell or running in another order changes no other cell's result.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def derive(seed: int, *words: Any) -> int:
    """A seed of 63 bits from another one and anything that JSON can write."""
    text = json.dumps([seed, *words], sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
