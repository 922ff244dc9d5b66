"""`pingall` on a running lab: every pair of nodes that a route joins, and the names of those without one.

Decides which addresses are pinged and how the result reads. Mininet pings each node's first address, which
multihomed networks do not always reach, and reports that as loss. Read first: testbed/plan/reach.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from testbed.plan import NetPlan, joined

WAIT = "5"  # seconds for an answer
_RECEIVED = re.compile(r"(\d+) received")
_TIME = re.compile(r"time=([0-9.]+) ms")


def ping_all(
    net: Any, plan: NetPlan, wait: str, say: Callable[[str], None], *, times: bool = False
) -> float | None:
    """Ping once from every node to every other; return the percentage lost, None if nothing was sent.

    `net` gives the nodes by name. `say` takes the text, as Mininet's pingall prints it; `times` adds the
    round-trip time to each name.
    """
    names = [node.name for node in plan.nodes]
    sent = lost = 0
    apart: list[str] = []
    say("*** Ping: testing ping reachability\n")
    for name in names:
        say(f"{name} -> ")
        for other in names:
            if other == name:
                continue
            pair = joined(plan, name, other)
            if pair is None:
                apart.append(f"{name} > {other}")
                say("- ")
                continue
            text = net[name].cmd(f"ping -c1 -W {wait or WAIT} -I {pair[0]} {pair[1]}")
            if _RECEIVED.search(text) is None:
                say(f"\n*** {text.strip()}\n*** ping cannot be run: sudo apt-get install iputils-ping\n")
                return None
            answered = "1 received" in text
            sent, lost = sent + 1, lost + (not answered)
            found = _TIME.search(text) if times else None
            say(f"{other}{f' ({found[1]} ms)' if found else ''} " if answered else "X ")
        say("\n")
    share = 100 * lost / sent if sent else None
    if share is not None:
        say(f"*** Results: {share:.0f}% dropped ({sent - lost}/{sent} received)\n")
    if apart:
        say(f"*** No route, not pinged (-): {', '.join(apart)}\n")
    return share
