"""The page of a reproduction: each slide's section drawn, with the command and the evidence behind it.

Decides what counts as evidence: commit, seed, kernel, way of running, connections, intervals, invalid runs
and the worst fidelity of the runs that count. Must not know how a section is drawn or the page looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from testbed.errors import UserError
from testbed.figures import Chapter, Evidence, Material, Number, Section, drawing, write_page
from testbed.reproduce.material import material, of_slide
from testbed.reproduce.needs import Slide
from testbed.reproduce.run import Done, kept
from testbed.reproduce.steps import Step
from testbed.results import Results

TITLE = "Making Multipath TCP robust for stateless webservers"
INTRODUCTION = (
    "Each slide again, drawn from packets that were really sent: by a userspace stack that speaks RFC 6824 "
    "(v0), draft-paasch-mptcp-syncookies-02 (draft) and RFC 8684 (v1), in a simulator and in a Mininet "
    "lab, and by Linux where it can play.",
    "Points are measured rates with 95 % Wilson intervals, of which one in twenty misses what it is for; "
    "those of one loss stand side by side. Broad lines are closed forms; a number agrees when its closed "
    "form lies inside the exact (Clopper-Pearson) 99.9 % interval at every point. Many points lead to packet "
    "ladders: of connections that were captured in the simulator under the same settings.",
)
QUICK = "This is a quick reproduction: few connections and few points, so intervals are wide."
WORST = ("lateness_p99_us", "cpu_share")
LEAST = 10  # connections: fewer are looked at one by one


def write(slides: Sequence[Slide], steps: Sequence[Step], directory: Path, done: Done, quick: bool) -> Path:
    """Draw everything and write the page; returns its path."""
    return write_chapters(slides, steps, directory, done, quick)[0]


def write_chapters(
    slides: Sequence[Slide], steps: Sequence[Step], directory: Path, done: Done, quick: bool
) -> tuple[Path, list[Chapter]]:
    """The same; also returns the chapters that the page was made of."""
    whole, samples = material(slides, steps, directory, done)
    commands = {step.key: step.command for step in steps}
    chapters = [_chapter(number, slide, whole, commands, directory) for number, slide in _numbered(slides)]
    introduction = [*INTRODUCTION, *([QUICK] if quick else [])]
    return write_page(directory / "report.html", TITLE, introduction, chapters, samples), chapters


def _numbered(slides: Sequence[Slide]) -> list[tuple[int, Slide]]:
    from testbed.reproduce.seed import SLIDES

    order = [slide.name for slide in SLIDES]
    return [(order.index(slide.name) + 1, slide) for slide in slides]


def _chapter(
    number: int, slide: Slide, whole: Material, commands: Mapping[str, str], directory: Path
) -> Chapter:
    given = of_slide(whole, slide)
    try:
        section: Section = drawing(slide.drawn_by)(given)
    except UserError as error:  # rows that do not suit this slide; the others are drawn
        section = Section((), left_out=(str(error),))
    evidence = [_evidence(key, results, commands[key]) for key, results in given.results.items()]
    command = f"testbed reproduce {slide.name}"
    for one in slide.measurements:
        if (measurement := kept(directory, one.name)) is not None:
            evidence.append(Evidence(one.title, command, _measured(measurement)))
    found = (_first(section.numbers, pattern) for pattern in slide.main)
    main = tuple(one for one in found if one is not None)
    return Chapter(slide.name, number, slide.title, slide.question, command, section, tuple(evidence), main)


def _first(numbers: Sequence[Number], pattern: str) -> Number | None:
    return next((one for one in numbers if fnmatchcase(one.what, pattern)), None)


def _measured(measurement: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    made = measurement["made"]
    sizes = ", ".join(f"{size:,}" for size in measurement["sizes"])
    told = [("sizes", sizes), ("rows", str(len(measurement["rows"]))), ("commit", made["commit"])]
    return (*told, *_machine(made))


def _machine(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("kernel", f"{facts.get('kernel', '')}, {facts.get('system', '')}"),
        ("machine", f"{facts.get('cpu', '')}, {facts.get('cores', '')} cores"),
    ]


def _evidence(key: str, results: Results, command: str) -> Evidence:
    facts = results.environment
    summary = results.summary
    sizes = sorted(set(summary["connections"]))
    each = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    intervals = "; 95 % Wilson intervals" if sizes[0] >= LEAST else ""
    valid = [record for record in results.records if record["invalid"] is None]
    commits = ", ".join(sorted({str(record["commit"]) for record in results.records}))
    told = [
        ("question", str(facts.get("question", ""))),
        ("way of running", str(facts.get("way", ""))),
        ("connections", f"{each} a point, {int(summary['connections'].sum()):,} in all{intervals}"),
        ("seed", str(facts.get("experiment", {}).get("seed", ""))),
        ("commit", commits),
        *_machine(facts),
        ("runs", f"{len(valid)} valid, {len(results.records) - len(valid)} invalid and left out"),
    ]
    if worst := _worst(valid):
        told.append(("fidelity, worst of all runs", worst))
    return Evidence(key, command, tuple(told))


def _worst(records: Sequence[dict[str, Any]]) -> str:
    """'wire lateness p99 0.2 ms, ...' of the kinds in WORST, whoever's they are; '' in the simulator."""
    most: dict[str, float] = {}
    for record in records:
        for name, value in record["fidelity"].items():
            if name.endswith(WORST):
                kind = name if name.startswith("wire") else name.split("_", 1)[-1]
                most[kind] = max(most.get(kind, 0.0), float(value))
    return ", ".join(
        f"{kind.removesuffix('_us').replace('_', ' ')} {value / 1000:.2g} ms"
        if kind.endswith("_us")
        else f"{kind.replace('_', ' ')} {100 * value:.0f} %"
        for kind, value in most.items()
    )
