"""DIR/report.html: all that is known of a campaign, in one file that needs no other and no network.

Decides what the page holds, in this order: the question, a sentence for each finding, the figures (a default
one where the experiment names none), the table with what was expected beside what was measured, why
connections ended as they did, runs that were left out, warnings, the network, the experiment's file, and the
evidence. Pictures stand in it as SVG in the page's own inks. Read first: findings.py, templates/report.html.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import UserError
from testbed.figures.findings import findings
from testbed.figures.registry import FIGURES, SAVE, default_figure, drawing, picture_of
from testbed.figures.sections import Picture
from testbed.figures.templating import render
from testbed.figures.topology import topology_svg
from testbed.mptcp.reasons import ENDPOINT_VERDICTS, Reason, Verdict
from testbed.records import write_atomically
from testbed.results import CALIBRATION_HEAD, Results, calibration_table, share_columns, traffic_columns

MOST_RUNS = 6  # that a group of invalid runs names
NOTHING = "–"
Row = Mapping[Hashable, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` is a class of the page: factor, measured, expected."""

    title: str
    kind: str


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that are invalid for the same reason. `text` is that of the first."""

    count: int
    text: str
    runs: str


def write_report(results: Results, figures: Sequence[str] | None = None) -> Path:
    """Draws the experiment's figures (or those named, or a default one) and writes the page; returns where it
    is."""
    facts = results.environment
    names = list(facts.get("figures", [])) if figures is None else list(figures)
    columns, rows = table(results)
    text = render(
        "report.html",
        title=facts.get("question") or facts.get("name", results.directory.name),
        subtitle=_subtitle(results),
        findings=findings(results),
        pictures=_pictures(results, names),
        columns=columns,
        rows=rows,
        reasons=_reasons(results),
        invalid=grouped(results),
        warnings=warnings(results),
        net=facts.get("topology"),
        drawing=topology_svg(facts["topology"]) if facts.get("topology") else "",
        varied_net=[
            factor for factor in results.factors if factor.startswith(("topology.", "paths.", "links."))
        ],
        source=facts.get("source", ""),
        overrides=_overrides(facts.get("command", ())),
        resolved=_read(results.directory / "experiment.yaml"),
        calibration=calibration_table(results.directory),
        calibration_head=CALIBRATION_HEAD,
        evidence=_evidence(results),
    )
    path = results.directory / "report.html"
    write_atomically(path, text)
    return path


def _pictures(results: Results, names: Sequence[str]) -> list[Picture]:
    """Each figure is written beside the page too. The default one is left out where rows do not suit it."""
    save, inline_svg = drawing(SAVE), drawing("testbed.figures.themed:inline_svg")
    drawn = []
    for name in names or [default_figure(results)]:
        try:
            picture = picture_of(name, [results])
        except UserError:
            if names:
                raise
            continue
        save(picture, results.directory / name)
        drawn.append(Picture(FIGURES[name].title, inline_svg(picture, name)))
    return drawn


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _overrides(command: Sequence[str]) -> list[str]:
    """The values of `--set KEY=VALUE` on the command line."""
    after = [word for before, word in itertools.pairwise(command) if before == "--set"]
    return after + [word.removeprefix("--set=") for word in command if word.startswith("--set=")]


def _subtitle(results: Results) -> str:
    summary, total = results.summary, int(results.summary["connections"].sum())
    runs = len([record for record in results.records if record["invalid"] is None])
    way = str(results.environment.get("way", "unknown way of running"))
    parts = [_many(total, "connection"), _many(len(summary), "cell"), _many(runs, "valid run"), way]
    return " · ".join(parts)


def table(results: Results) -> tuple[list[Column], list[list[str]]]:
    """A row for each cell: rates and means with their 95 % intervals, and what is expected of the rates."""
    summary = results.summary
    verdicts = [verdict.value for verdict in ENDPOINT_VERDICTS if int(summary[verdict.value].sum())]
    expected = [
        name
        for name in ("fallback", "reset", "hang")
        if name in verdicts and summary[f"{name}_expected"].notna().any()
    ]
    traffic, shares = traffic_columns(summary), share_columns(summary)
    invalid = bool(summary["invalid_runs"].sum())
    columns = [Column(name, "factor") for name in results.factors]
    columns.append(Column("connections", "measured"))
    for name in verdicts:
        columns.append(Column(f"{name}, %", "measured"))
        if name in expected:
            columns.append(Column(f"{name} expected, %", "expected"))
    for title in ("set-up, ms", "duration, ms", "goodput, Mbit/s", *traffic.values()):
        columns.append(Column(title, "measured"))
    columns += [Column(f"path {name}, %", "measured") for name in shares.values()]
    if invalid:
        columns.append(Column("invalid runs", "measured"))
    rows = []
    for row in summary.to_dict("records"):
        cells = [str(row[factor]) for factor in results.factors]
        cells.append(f"{row['connections']:,}")
        for name in verdicts:
            cells.append(_with_bounds(row, f"{name}_rate", (f"{name}_low", f"{name}_high"), 100, ".2f"))
            if name in expected:
                cells.append(_number(100 * row[f"{name}_expected"], ".2f"))
        for name in ("setup_ms", "duration_ms", "goodput_mbit"):
            cells.append(_with_bounds(row, name, (f"{name}_low", f"{name}_high"), 1, ".4g"))
        cells += [_number(row[name], ".2f") for name in traffic]
        cells += [_number(100 * row[name], ".1f") for name in shares]
        if invalid:
            cells.append(f"{row['invalid_runs']}")
        rows.append(cells)
    return columns, rows


def _with_bounds(row: Row, name: str, bounds: tuple[str, str], scale: int, how: str) -> str:
    value, low, high = (scale * row[column] for column in (name, *bounds))
    if value != value:
        return NOTHING
    if low != low or high != high:
        return format(value, how)
    return f"{value:{how}} [{low:{how}}, {high:{how}}]"


def _number(value: float, how: str) -> str:
    return NOTHING if value != value else format(value, how)


def _reasons(results: Results) -> list[tuple[str, str, str, str, str]]:
    """(verdict, reason, count, meaning, section) of every connection that was not plain MPTCP or TCP."""
    frame = results.connections
    if frame.empty:
        return []
    odd = frame[~frame["verdict"].isin([Verdict.MPTCP.value, Verdict.TCP.value])]
    counts = Counter(zip(odd["verdict"], odd["reason"], strict=True))
    known = {reason.value: reason for reason in Reason}
    listed = []
    for (verdict, word), count in counts.most_common():
        reason = known.get(word)
        meaning, section = (reason.meaning, reason.section) if reason else ("", "")
        listed.append((str(verdict), str(word), f"{count:,}", meaning, section))
    return listed


def grouped(results: Results) -> list[Group]:
    """Invalid runs by their reason, numbers aside; the most frequent first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in results.records:
        if record["invalid"]:
            groups.setdefault(re.sub(r"[0-9][0-9.,e+-]*", "#", record["invalid"]), []).append(record)
    found = []
    for records in sorted(groups.values(), key=len, reverse=True):
        names = [record["run"] for record in records]
        more = f" and {len(names) - MOST_RUNS} more" if len(names) > MOST_RUNS else ""
        found.append(Group(len(names), records[0]["invalid"], ", ".join(names[:MOST_RUNS]) + more))
    return found


def warnings(results: Results) -> list[tuple[str, int]]:
    """What valid runs did not do although the experiment asks for it, and in how many of them."""
    valid = [record for record in results.records if record["invalid"] is None]
    return Counter(text for record in valid for text in record.get("warnings", ())).most_common()


def _evidence(results: Results) -> list[tuple[str, str]]:
    facts = results.environment
    commits = sorted({str(record.get("commit", "unknown")) for record in results.records})
    runs = Counter("invalid" if record["invalid"] else "valid" for record in results.records)
    listed = [
        ("experiment", facts.get("name")),
        ("command", shlex.join(facts["command"]) if facts.get("command") else None),
        ("way of running", facts.get("way")),
        ("links", facts.get("links")),
        ("commit", ", ".join(commits)),
        ("seed", facts.get("experiment", {}).get("seed")),
        ("runs", f"{runs['valid']} valid, {runs['invalid']} invalid"),
        ("runs at a time", facts.get("jobs")),
        ("Python", facts.get("python")),
        ("packages", ", ".join(f"{name} {version}" for name, version in facts.get("packages", {}).items())),
        ("kernel", facts.get("kernel")),
        ("system", facts.get("system")),
        ("CPU", f"{facts['cpu']}, {_many(facts.get('cores', 1), 'core')}" if facts.get("cpu") else None),
        ("root", {True: "yes", False: "no"}.get(bool(facts["root"])) if "root" in facts else None),
    ]
    return [(name, str(value)) for name, value in listed if value not in (None, "")]


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")
