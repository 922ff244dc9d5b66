"""SVG written by hand: rectangles and words in the inks of the page.

Decides sizes (a unit is about a pixel where there is room), fonts, and that several panels stand beside one
another on a wide page and below one another on a narrow one. Must not know what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

# As in testbed/figures/themed.py: a custom property of the page, and the printed colour.
INK, MUTED, RULE, PAPER = (
    "var(--ink, #1a1a1a)",
    "var(--muted, #555555)",
    "var(--rule, #dddddd)",
    "var(--paper, #ffffff)",
)
BLUE, ORANGE, GREEN, RED, GREY = (
    "var(--v1, #053061)",
    "var(--draft, #e08214)",
    "var(--kernel, #1b7837)",
    "var(--v0, #b2182b)",
    "var(--tcp, #7f7f7f)",
)
SANS = "system-ui, 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'DejaVu Sans Mono', monospace"
LETTER = 0.56  # of a font's size: how wide a letter is, for what must fit


def words(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 11,
    ink: str = INK,
    anchor: str = "start",
    weight: int = 400,
    mono: bool = False,
) -> str:
    """`y` is the base line."""
    font = f"font:{weight} {size:g}px {MONO if mono else SANS}"
    place = f'x="{x:.5g}" y="{y:.5g}" text-anchor="{anchor}"'
    return f'<text {place} style="{font};fill:{ink}">{escape(text)}</text>'


def width_of(text: str, size: float) -> float:
    return LETTER * size * len(text)


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str = "none",
    opacity: float = 1.0,
    edge: str = INK,
    dashed: bool = False,
) -> str:
    dash = ";stroke-dasharray:3 2" if dashed else ""
    return (
        f'<rect x="{x:.5g}" y="{y:.5g}" width="{width:.5g}" height="{height:.5g}" '
        f'style="fill:{fill};fill-opacity:{opacity:g};stroke:{edge};stroke-width:.8{dash}"/>'
    )


def panel(width: float, height: float, parts: Sequence[str], alt: str, *, alone: bool = False) -> str:
    """One drawing, shown a little larger than its own size at most. `alone`: nothing stands beside it."""
    style = "display:block;" if alone else ""
    style += f"width:min(100%,{width / 16:.4g}rem);min-width:min(100%,18rem);height:auto;vertical-align:top"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(alt)}" style="{style}">{"".join(parts)}</svg>'
    )


def beside(panels: Sequence[str]) -> str:
    """Several panels as one picture."""
    return "\n".join(panels)


def row(plots: Sequence[str]) -> str:
    """Small plots (inline_svg) as one picture: each keeps its own width, however narrow."""
    return "\n".join(plot.replace("<svg ", '<svg style="min-width:0" ', 1) for plot in plots)
