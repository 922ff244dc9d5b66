"""A NetPlan as text: the paths drawn, and what each shaped link does.

Decides the picture that `testbed topo show` prints. Knows nothing of terminals; plain text, no colours.
"""

from __future__ import annotations

from testbed.link import LinkParams
from testbed.link.params import KEEP
from testbed.plan.shaping import is_shaped
from testbed.plan.values import InterfacePlan, NetPlan, PathPlan
from testbed.units import show_rate, show_size, show_time


def draw(plan: NetPlan) -> str:
    """One picture per client and server, then the links' parameters, both directions."""
    blocks = []
    for ends in dict.fromkeys((path.client, path.server) for path in plan.paths):
        paths = [path for path in plan.paths if (path.client, path.server) == ends]
        blocks.append(_paths(plan, paths))
    legend = "═══ shaped   ─── plain" if any(link.shaped for link in plan.links) else ""
    return "\n\n".join(filter(None, [*blocks, legend, _links(plan)])) + "\n"


def describe(params: LinkParams) -> str:
    """'10 Mbit/s, queue 100, 10 ms ± 1 ms, loss 5 %'."""
    if not is_shaped(params):
        return "plain"
    words = []
    if params.rate:
        queue = show_size(params.queue) if params.queue_in_bytes else str(params.queue)
        words.append(f"{show_rate(params.rate)}, queue {queue}")
    if params.red:
        words.append(f"RED {params.red}")
    if params.delay or params.jitter:
        jitter = f" ± {show_time(params.jitter)}" if params.jitter else ""
        words.append(show_time(params.delay) + jitter + (" in any order" * (params.jitter_order != KEEP)))
    for name, value in (
        ("loss", params.loss),
        ("reordered", params.reorder),
        ("duplicated", params.duplicate),
        ("corrupted", params.corrupt),
    ):
        if value:
            words.append(f"{name} {value * 100:g} %")
    if params.burst:
        words.append(f"bursts {params.burst}")
    if params.blackouts:
        words.append("blackout " + " + ".join(params.blackouts))
    if params.drops:
        words.append("drops " + " + ".join(params.drops))
    if params.boxes:
        words.append("middlebox " + " + ".join(box.text for box in params.boxes))
    words += [f"at {show_time(at)}: {describe(after)}" for at, after in params.steps()]
    return ", ".join(words)


def _paths(plan: NetPlan, paths: list[PathPlan]) -> str:
    client, server = paths[0].client, paths[0].server
    middles = [_middle(plan, path) for path in paths]
    width = max(map(len, middles))
    number = max(len(path.name) for path in paths)
    rows = []
    for index, (path, middle) in enumerate(zip(paths, middles, strict=True)):
        first, last = index == 0, index == len(paths) - 1
        left, right = (
            ("─", "─") if first and last else ("┌", "┐") if first else ("└", "┘") if last else ("├", "┤")
        )
        rows.append([f"{path.name:>{number}} ", left, middle.ljust(width, " "), right])
    if len(rows) > 1 and len(rows) % 2 == 0:
        rows.insert(len(rows) // 2, [" " * (number + 1), "┤", " " * width, "├"])
    lines = []
    for index, (label, left, middle, right) in enumerate(rows):
        here = index == len(rows) // 2
        if here and len(rows) > 1:
            left, right = ("┼", "┼") if middle.strip() else ("┤", "├")
        lines.append(
            label
            + (f"{client} ─" if here else " " * (len(client) + 2))
            + f"{left} {middle} {right}"
            + (f"─ {server}" if here else "")
        )
    return "\n".join(line.rstrip() for line in lines)


def _middle(plan: NetPlan, path: PathPlan) -> str:
    words = [path.client_address]
    for name, direction in path.up:
        link = plan.link(name)
        near, far = (link.a, link.b) if direction == "forward" else (link.b, link.a)
        if near.node != path.client:
            words.append(f"{near.node} {_like(path.client_address, near)}")
        words.append("═══" if link.shaped else "───")
        words.append(_like(path.client_address, far) if far.node != path.server else path.server_address)
    return " ".join(words)


def _like(address: str, end: InterfacePlan) -> str:
    """The interface's address of the same IP version."""
    same = [text for text in end.hosts if (":" in text) == (":" in address)]
    return (same or end.hosts)[0]


def _links(plan: NetPlan) -> str:
    rows = []
    for link in plan.links:
        if not link.shaped:
            continue
        up = next((way for path in plan.paths for name, way in path.up if name == link.name), "forward")
        words = ("up", "down") if up == "forward" else ("down", "up")
        for word, params in sorted(zip(words, (link.forward, link.backward), strict=True), reverse=True):
            rows.append((link.name if word == "up" else "", word, describe(params)))
    width = max((len(name) for name, _, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {word:<4}  {text}" for name, word, text in rows)
