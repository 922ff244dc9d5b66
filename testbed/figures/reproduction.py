"""The page of a reproduction: one file, works offline and without a script, on a telephone, light and dark.

Decides its parts and their order; ladders behind points stand at its end and are shown when their address is
followed. Where scripts run, closing them leads back to the point. Must not know what the chapters say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from testbed.figures.sections import Chapter, Sample
from testbed.figures.templating import render
from testbed.records import write_atomically


def write_page(
    path: Path,
    title: str,
    introduction: Sequence[str],
    chapters: Sequence[Chapter],
    samples: Sequence[Sample],
) -> Path:
    """Returns `path`."""
    text = render(
        "reproduction.html", title=title, introduction=introduction, chapters=chapters, samples=samples
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return path
