"""`python once.py FILE`: one lab of a topology, up and down; its times as JSON.

The other side of net/plain.py: what a user's own script would do. Up is when addresses, routes and neighbours
are read back and the wires carry. A file by itself, so that it imports what such a script would and no more.
"""

from __future__ import annotations

import json
import sys
import time

from testbed.net import Lab
from testbed.plan import load_topology, plan_from


def main(file: str) -> None:
    plan = plan_from(load_topology(file))
    began = time.perf_counter()
    with Lab(plan):
        up = time.perf_counter()
    down = time.perf_counter()
    print(json.dumps({"up": up - began, "down": down - up, "errors": 0}))


if __name__ == "__main__":
    main(sys.argv[1])
