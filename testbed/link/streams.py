"""Random streams that depend on a seed and a name, and on nothing else.

Decides how one seed becomes many independent streams, the same in every process and Python version: `hash()`
changes from process to process, so names are digested by `random.Random` itself (SHA-512 of the text).
"""

from __future__ import annotations

import random


def stream(seed: int, *names: str) -> random.Random:
    """The stream `names` of `seed`: `stream(7, "client-r1", "forward")`."""
    return random.Random("/".join((str(seed), *names)))
