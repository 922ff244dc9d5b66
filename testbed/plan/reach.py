"""Which nodes of a network reach which, by their routes: walked through, no packet sent.

Decides the pair of addresses between two nodes whose packets arrive both ways. Hosts do not forward, so two
routers on different paths often reach each other by no route at all. Knows nothing of losses.
"""

from __future__ import annotations

from testbed.plan.values import NetPlan


def joined(plan: NetPlan, source: str, destination: str) -> tuple[str, str] | None:
    """Return (an address of `source`, an address of `destination`) that reach each other; None: no route.

    The first that works, in the order of the destination's addresses.
    """
    for there in plan.addresses(destination):
        for here in plan.addresses(source):
            same = (":" in here) == (":" in there)
            if same and _arrives(plan, source, here, there) and _arrives(plan, destination, there, here):
                return here, there
    return None


def _arrives(plan: NetPlan, node: str, source: str, destination: str) -> bool:
    """Whether a packet from `node` gets to the owner of `destination`."""
    goal = plan.owner(destination)
    for _ in range(len(plan.nodes)):
        if node == goal:
            return True
        hop = plan.next_hop(node, source, destination)
        if hop is None:
            return False
        name, direction = hop
        node = plan.link(name).end(direction).node
        if node != goal and plan.node(node).role != "router":
            return False
    return node == goal
