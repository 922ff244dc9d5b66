"""A network drawn as SVG: clients on the left, servers on the right, links numbered as in the table below it.

Decides where nodes stand (a column for each step away from the clients) and what a line looks like (thick:
the link does something to packets). Inks are the page's own properties. Read first: testbed/plan/sketch.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

COLUMN, ROW = 190, 74  # px between the middles of nodes
WIDE, HIGH = 104, 44  # px of a node
MARGIN = 8
MOST_NODES = 40

Sketch = Mapping[str, Any]


def topology_svg(sketch: Sketch) -> str:
    """SVG text; '' where a drawing would not be read any more."""
    nodes, links = sketch["nodes"], sketch["links"]
    if not nodes or len(nodes) > MOST_NODES:
        return ""
    columns = _columns(nodes, links)
    places = _places(nodes, links, columns)
    width = (max(columns.values()) + 1) * COLUMN - (COLUMN - WIDE) + 2 * MARGIN
    height = max(y for _, y in places.values()) + HIGH // 2 + MARGIN
    parts = [
        f'<svg class="net" role="img" aria-label="{escape(_words(nodes, links))}" '
        f'viewBox="0 0 {width} {height:g}" style="max-width:{width}px" xmlns="http://www.w3.org/2000/svg">'
    ]
    drawn: dict[frozenset[str], int] = {}
    for number, link in enumerate(links, 1):
        (x1, y1), (x2, y2) = places[link["a"]], places[link["b"]]
        beside = drawn.get(pair := frozenset((link["a"], link["b"])), 0)
        drawn[pair] = beside + 1
        shift = 14 * beside
        kind = "shaped" if link["shaped"] else "plain"
        parts.append(f'<line class="{kind}" x1="{x1}" y1="{y1 + shift}" x2="{x2}" y2="{y2 + shift}"/>')
        x, y = (x1 + x2) / 2, (y1 + y2) / 2 + shift
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="10"/>')
        parts.append(f'<text class="number" x="{x:g}" y="{y + 4:g}">{number}</text>')
    for node in nodes:
        x, y = places[node["name"]]
        parts.append(
            f'<rect class="{escape(node["role"])}" x="{x - WIDE / 2:g}" y="{y - HIGH / 2:g}" width="{WIDE}" '
            f'height="{HIGH}" rx="6"/>'
        )
        alone = node["role"] == "router"
        parts.append(
            f'<text class="name" x="{x:g}" y="{y + (4 if alone else -2):g}">{escape(node["name"])}</text>'
        )
        if not alone:
            first, *more = node["addresses"] or [""]
            said = first + (f" +{len(more)}" if more else "")
            parts.append(f'<text class="address" x="{x:g}" y="{y + 14:g}">{escape(said)}</text>')
    return "".join([*parts, "</svg>"])


def _words(nodes: Sequence[Sketch], links: Sequence[Sketch]) -> str:
    """The same for those who cannot see it."""
    return f"{len(nodes)} nodes: " + ", ".join(f"{link['a']} to {link['b']}" for link in links)


def _neighbours(links: Sequence[Sketch]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for link in links:
        found.setdefault(link["a"], []).append(link["b"])
        found.setdefault(link["b"], []).append(link["a"])
    return found


def _columns(nodes: Sequence[Sketch], links: Sequence[Sketch]) -> dict[str, int]:
    """Steps from the clients; servers in the last column; other hosts beside the router that they hang on."""
    near = _neighbours(links)
    starts = [node["name"] for node in nodes if node["role"] == "client"] or [nodes[0]["name"]]
    columns = dict.fromkeys(starts, 0)
    front = starts
    while front:
        found = [other for name in front for other in near.get(name, []) if other not in columns]
        columns |= {
            other: columns[name] + 1 for name in front for other in near.get(name, []) if other in found
        }
        front = list(dict.fromkeys(found))
    last = max([columns.get(node["name"], 0) for node in nodes if node["role"] == "server"] or [1])
    for node in nodes:
        name = node["name"]
        if node["role"] == "server":
            columns[name] = last
        elif node["role"] == "host":
            beside = columns.get(near.get(name, [name])[0], 1)
            columns[name] = max(beside - 1, 0) if 2 * beside <= last else beside + 1
    return {node["name"]: columns.get(node["name"], 0) for node in nodes}


def _places(
    nodes: Sequence[Sketch], links: Sequence[Sketch], columns: Mapping[str, int]
) -> dict[str, tuple[float, float]]:
    """The middle of each node; a column's nodes in the order of the links that reach them."""
    order = {name: place for place, name in enumerate(dict.fromkeys(
        end for link in links for end in (link["a"], link["b"])
    ))}  # fmt: skip
    by_column: dict[int, list[str]] = {}
    for node in sorted(nodes, key=lambda node: order.get(node["name"], 0)):
        by_column.setdefault(columns[node["name"]], []).append(node["name"])
    rows = max(len(names) for names in by_column.values())
    places = {}
    for column, names in by_column.items():
        top = MARGIN + HIGH / 2 + (rows - len(names)) * ROW / 2
        for row, name in enumerate(names):
            places[name] = (MARGIN + WIDE / 2 + column * COLUMN, top + row * ROW)
    return places
