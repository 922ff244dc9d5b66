"""What has been run -> what sections are drawn from: results, measurements, ladders, and links to ladders.

Decides which captured connections get a ladder in the page: the last of each row of the campaign "ladders"
(what comes before it makes it possible), and of a campaign with samples the first of each outcome in each
cell. Must not know how a section looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from testbed.figures import Material, Sample
from testbed.mptcp.reasons import Reason
from testbed.records import finished_runs
from testbed.reproduce.needs import LADDERS, Slide
from testbed.reproduce.run import Done, kept
from testbed.reproduce.steps import CAMPAIGNS, Step
from testbed.results import load
from testbed.trace import Connection, connections, ladder_svg, read_capture

MOST_PACKETS = 40  # of a ladder behind a point


def material(
    slides: Sequence[Slide], steps: Sequence[Step], directory: Path, done: Done
) -> tuple[Material, list[Sample]]:
    """Of all steps; `of_slide` picks a slide's."""
    homes = {one.name: slide.name for slide in reversed(slides) for one in slide.campaigns}
    results, measured, ladders = {}, {}, {}
    samples: list[Sample] = []
    links: dict[str, dict[int, str]] = {}
    for step in steps:
        home = directory / CAMPAIGNS / step.key
        if step.measurement is not None:
            if (measurement := kept(directory, step.key)) is not None:
                measured[step.key] = measurement["rows"]
            continue
        if not any(True for _ in finished_runs(home)):
            continue
        assert step.campaign is not None
        if step.samples:
            found = list(_samples(step.campaign.name, home, homes[step.campaign.name]))
            samples += found
            links[step.campaign.name] = {one.cell: f"#{one.anchor}" for one in found}
            continue
        results[step.key] = load(home)
        if step.campaign.name == LADDERS.name:
            ladders = {record["factors"]["case"]: _last(path, record) for path, record in finished_runs(home)}
    there = results.keys() | measured.keys()  # what was done elsewhere can be drawn here
    missing = {key: why for key, why in done.missing.items() if key not in there}
    return Material(results, missing, measured, ladders, links), samples


def of_slide(whole: Material, slide: Slide) -> Material:
    """What one slide is drawn from; `missing` tells of its own campaigns alone."""
    names = {f"{one.name}-{net}" for one in slide.campaigns for net in one.nets}
    names |= {one.name for one in slide.measurements}
    return Material(
        {key: value for key, value in whole.results.items() if key in names},
        {key: why for key, why in whole.missing.items() if key in names},
        {key: value for key, value in whole.measured.items() if key in names},
        whole.ladders,
        whole.links,
    )


def _captured(path: Path, record: dict[str, Any]) -> list[Connection]:
    files = [path / name for name in record["captures"]]
    return connections(read_capture(*files).packets) if files else []


def _last(path: Path, record: dict[str, Any]) -> str:
    found = _captured(path, record)
    return ladder_svg(found[-1]) if found else ""


def _samples(campaign: str, home: Path, back: str) -> Iterator[Sample]:
    """One per cell. `back`: the chapter that the points stand in."""
    for path, record in finished_runs(home):
        found = _captured(path, record)
        outcomes: dict[str, list[Connection]] = {}
        for one in found:
            why = "" if one.reason is Reason.NONE else f": {one.reason.value}"
            outcomes.setdefault(f"{one.verdict.value}{why}", []).append(one)
        words = ", ".join(f"{key} {value}" for key, value in record["factors"].items())
        entries = [
            (f"{len(those)} of {len(found)} ended as {outcome}", ladder_svg(those[0], most=MOST_PACKETS))
            for outcome, those in outcomes.items()
        ]
        files = " ".join(
            str(Path(CAMPAIGNS) / home.name / "runs" / path.name / one) for one in record["captures"]
        )
        anchor = f"ladders-{campaign}-{record['cell']}"
        command = f"testbed ladder {files}"
        yield Sample(anchor, back, record["cell"], f"{campaign}: {words}", tuple(entries), command)
