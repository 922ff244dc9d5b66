"""Rows to pictures, and the page that holds them. matplotlib is loaded when something is drawn."""

from testbed.figures.registry import FIGURES, draw, figure_names
from testbed.figures.report import write_report

__all__ = ["FIGURES", "draw", "figure_names", "write_report"]
