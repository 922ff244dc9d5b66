"""Rows to pictures, and the pages that hold them. matplotlib is loaded when something is drawn."""

from testbed.figures.registry import FIGURES, demands, draw, drawing
from testbed.figures.report import write_report
from testbed.figures.reproduction import write_page
from testbed.figures.sections import Chapter, Evidence, Material, Number, Picture, Sample, Section, Table

__all__ = [
    "FIGURES",
    "Chapter",
    "Evidence",
    "Material",
    "Number",
    "Picture",
    "Sample",
    "Section",
    "Table",
    "demands",
    "draw",
    "drawing",
    "write_page",
    "write_report",
]
