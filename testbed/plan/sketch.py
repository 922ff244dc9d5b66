"""A NetPlan as plain values for a drawing: nodes, links with what they do each way, and who crosses them.

Decides what of a network stands in an output directory, so that a report can draw it without reading the
topology again. Read first: picture.py, which draws the same as text.
"""

from __future__ import annotations

from typing import Any

from testbed.plan.picture import describe
from testbed.plan.values import NetPlan


def sketch(plan: NetPlan) -> dict[str, Any]:
    """JSON: `nodes` (name, role, addresses), `links` (name, a, b, shaped, up, down, paths).

    `up` is the way of the first path that crosses a link, else from a to b.
    """
    links = []
    for link in plan.links:
        crossing = [path for path in plan.paths if any(name == link.name for name, _ in path.up)]
        ways = [way for path in crossing for name, way in path.up if name == link.name]
        turned = bool(ways) and ways[0] == "backward"
        up, down = (link.backward, link.forward) if turned else (link.forward, link.backward)
        near, far = (link.b, link.a) if turned else (link.a, link.b)
        links.append(
            {
                "name": link.name,
                "a": near.node,
                "b": far.node,
                "shaped": link.shaped,
                "up": describe(up),
                "down": describe(down),
                "paths": [path.name for path in crossing],
            }
        )
    nodes = [
        {"name": node.name, "role": node.role, "addresses": list(plan.addresses(node.name))}
        for node in plan.nodes
    ]
    return {"name": plan.name, "nodes": nodes, "links": links}
