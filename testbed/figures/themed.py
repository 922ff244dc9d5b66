"""A matplotlib picture as SVG text that stands in a page: no paper of its own, inks that follow the page.

Decides which colours give way to the page's (custom properties with the printed colour as fallback), that
the page inks its text by the class `plot`, and that ids of several pictures in one page never meet.
Read first: style.py, whose colours these are.
"""

from __future__ import annotations

import io
import re

import matplotlib
from matplotlib.figure import Figure

from testbed.figures.style import RC

# Printed colour -> custom property of the page.
INKS = {
    "#000000": "--ink",
    "#1a1a1a": "--ink",
    "#555555": "--muted",
    "#dddddd": "--rule",
    "#cccccc": "--rule",
    "#053061": "--v1",
    "#b2182b": "--v0",
    "#c0392b": "--v0",
    "#e08214": "--draft",
    "#7f7f7f": "--tcp",
    "#1b7837": "--kernel",
    "#004c7a": "--v1",
    "#ffffff": "--paper",
    "#222222": "--ink",
    "#dcecd9": "--good-wash",
    "#eeeeee": "--wash",
}


def inline_svg(picture: Figure, name: str) -> str:
    """`name` makes the ids of this picture its own. The same bytes for the same picture."""
    file = io.StringIO()
    with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
        picture.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :].replace("<svg ", '<svg class="plot" ', 1)
    text = text.replace(' target="_blank"', "")  # links stay in the page
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, ink in INKS.items():
        text = text.replace(f": {colour}", f": var({ink}, {colour})")
    return _own_ids(text, name)


def _own_ids(text: str, name: str) -> str:
    """Every id and whatever points at one, prefixed; links to the page's own places stay."""
    known = set(re.findall(r'\bid="([^"]+)"', text))

    def pointed(match: re.Match[str]) -> str:
        before, goal = match.groups()
        return f"{before}{name}-{goal}" if goal in known else match.group()

    text = re.sub(r'(\bid=")([^"]+)', pointed, text)
    return re.sub(r'(\bhref="#|url\(#)([^")]+)', pointed, text)
