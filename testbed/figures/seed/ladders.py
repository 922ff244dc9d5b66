"""The ladders of a section, by the rows of experiments/seed/ladders.yaml."""

from __future__ import annotations

from testbed.figures.sections import Material, Picture


def ladder(material: Material, case: str) -> Picture | None:
    """None where that connection has not been captured."""
    svg = material.ladders.get(case)
    return Picture(case, svg, f"Packet ladder: {case}") if svg else None
