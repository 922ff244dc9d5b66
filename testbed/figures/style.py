"""How every figure looks, and the line under it that says where its numbers come from.

Decides colours (told apart also in grey: dark to light, and by marker), sizes, and the evidence line. Figures
are the same bytes for the same rows: no date, fixed SVG ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.figure import Figure

from testbed.results import Results

# Okabe and Ito's palette, in falling darkness; one marker each.
COLOURS = ("#004c7a", "#c0392b", "#e69f00", "#009e73", "#cc79a7", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
PROFILE_STYLE = {
    "v0": ("#b2182b", "o"),
    "draft": ("#e08214", "^"),
    "v1": ("#053061", "s"),
    "tcp": ("#7f7f7f", "D"),
    "kernel": ("#1b7837", "v"),
}
PROFILE_TITLE = {
    "v0": "v0: RFC 6824",
    "draft": "draft: draft-paasch-mptcp-syncookies-02",
    "v1": "v1: RFC 8684",
    "tcp": "tcp: plain TCP",
    "kernel": "kernel: this machine's MPTCP",
}

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "testbed",
    "svg.fonttype": "none",
    "figure.dpi": 150,
}


def evidence(results: Sequence[Results]) -> str:
    """One line per output directory: n, seed, way of running, commit."""
    lines = []
    for result in results:
        summary, facts = result.summary, result.environment
        sizes = sorted(set(summary["connections"]))
        each = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        words = [f"n = {each} connections a point ({int(summary['connections'].sum()):,} in all)"]
        if "experiment" in facts:
            words.append(f"seed {facts['experiment']['seed']}")
        words.append(str(facts.get("way", "unknown way of running")))
        commits = sorted({str(record.get("commit", "unknown")) for record in result.records})
        words.append(f"commit {', '.join(commits)}")
        invalid = int(summary["invalid_runs"].sum())
        if invalid:
            words.append(f"{invalid} invalid runs left out")
        lines.append(" · ".join(words))
    return "\n".join(lines)


def save(picture: Figure, stem: Path) -> tuple[Path, Path]:
    """Both files, each written whole."""
    written = []
    for suffix in ("svg", "png"):
        path = stem.with_suffix(f".{suffix}")
        partial = path.with_suffix(f".{suffix}.partial")
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        with matplotlib.rc_context(RC):
            picture.savefig(partial, format=suffix, metadata=metadata)
        partial.replace(path)
        written.append(path)
    return written[0], written[1]
