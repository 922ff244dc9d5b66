"""The figures there are, by the names that experiment files use.

Decides where a figure is written (DIR/NAME.svg and DIR/NAME.png) and what a picture always carries: its
evidence. Must not know what any figure shows.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.errors import UserError
from testbed.figures.factors import cases, no_demand, one_loss
from testbed.results import Results, share_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture


@dataclass(frozen=True, slots=True)
class Figure:
    """`drawn_by` is "module:function": [Results, ...] -> matplotlib Figure. Imported when it is drawn.
    `lacks`: an experiment's factors -> what it lacks for this figure, or ''."""

    name: str
    title: str
    drawn_by: str
    lacks: Callable[[Sequence[str]], str] = no_demand


FIGURES = {
    figure.name: figure
    for figure in (
        Figure(
            "fallback_by_loss",
            "How often a connection falls back, against the loss from client to server",
            "testbed.figures.fallback_by_loss:draw",
            one_loss,
        ),
        Figure(
            "goodput_by_path",
            "What a connection carried, and over which path",
            "testbed.figures.goodput_by_path:draw",
        ),
        Figure(
            "duration",
            "How long a connection took, from its SYN to its last byte",
            "testbed.figures.by_factor:draw_duration",
        ),
        Figure(
            "goodput",
            "What a connection carried",
            "testbed.figures.by_factor:draw_goodput",
        ),
        Figure(
            "case_matrix",
            "What became of the connections in each case, beside what was expected",
            "testbed.figures.case_matrix:draw",
            cases,
        ),
    )
}


def demands() -> Mapping[str, Callable[[Sequence[str]], str]]:
    """Every figure's name, and what tells whether an experiment's factors suit it."""
    return {name: figure.lacks for name, figure in FIGURES.items()}


SAVE = "testbed.figures.style:save"  # for `drawing`


def drawing(place: str) -> Callable[..., Any]:
    """The function at "module:function", with Matplotlib loaded.

    Matplotlib reads `matplotlibrc` of the working directory before any other. That directory may belong
    to someone else, and its file would change every figure, so Matplotlib is imported from another one.
    """
    module, _, function = place.partition(":")
    if "matplotlib" not in sys.modules:
        with contextlib.suppress(FileNotFoundError), contextlib.chdir(Path(__file__).parent):
            import matplotlib  # noqa: F401
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def draw(name: str, results: Sequence[Results], directory: Path | None = None) -> tuple[Path, Path]:
    """SVG and PNG of a figure from one output directory, or from several laid over one another.

    Written to `directory`, by default that of the first. UserError where the rows do not suit the figure.
    """
    picture = picture_of(name, results)
    written: tuple[Path, Path] = drawing(SAVE)(picture, (directory or results[0].directory) / name)
    return written


def picture_of(name: str, results: Sequence[Results]) -> Picture:
    """The same as a picture that is not written. UserError as for `draw`."""
    if name not in FIGURES:
        raise UserError(f"no figure is called {name!r}; there are {', '.join(FIGURES)}")
    picture: Picture = drawing(FIGURES[name].drawn_by)(list(results))
    return picture


def default_figure(results: Results) -> str:
    """For an experiment that names none: its cases, its losses, its paths, or how long connections took."""
    factors = results.factors
    bulk = any(record["settings"]["workload"]["type"] == "bulk" for record in results.records)
    if not cases(factors):
        return "case_matrix"
    if not one_loss(factors) and results.summary["fallback"].sum():
        return "fallback_by_loss"
    if bulk:
        return "goodput_by_path" if share_columns(results.summary) else "goodput"
    return "duration"
