"""`testbed run`: an experiment, its progress, its table and where its figure is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.terminal import plain, raw

if TYPE_CHECKING:
    from testbed.runner import Finished, Progress


class Net(StrEnum):
    SIM = "sim"
    MININET = "mininet"


class Links(StrEnum):
    USERSPACE = "userspace"
    KERNEL = "kernel"


def run(
    experiment: Annotated[
        Path,
        typer.Argument(
            metavar="EXPERIMENT.yaml",
            help="The experiment: a YAML file, or the name of one that comes with the package (fallback).",
        ),
    ],
    net: Annotated[
        Net | None,
        typer.Option(help="The simulator or a real lab. Default: as the experiment says, else a lab."),
    ] = None,
    links: Annotated[Links | None, typer.Option(help="What shapes a lab's links.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Overrides a dotted key of the experiment."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output directory. Default: results/NAME-NET.", metavar="DIR")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=1024, help="Runs at a time.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run everything again; old results are moved aside.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object at the end: cells, figures, failures.")
    ] = False,
    reuse_old: Annotated[
        bool,
        typer.Option("--reuse-old", help="Count finished runs that another version of the code made."),
    ] = False,
) -> None:
    """Run an experiment; print its table, write figures and report.

    Only missing runs are run, several at a time. Status 1 where a run failed or a case ended unexpectedly.
    """
    from testbed.cli.show import calibration_text, note_lines, tables
    from testbed.figures import demands
    from testbed.results import matrix
    from testbed.runner import choose_way, conclude, load_experiment, run_campaign
    from testbed.shipped import experiment_file

    overrides = [*(sets or []), *([f"links={links.value}"] if links else [])]
    campaign = load_experiment(experiment_file(experiment), overrides, demands())
    way = choose_way(campaign, net.value if net else None)
    if way.notice:
        print(way.notice, file=sys.stderr)
    try:
        with _progress() as watch:
            finished = run_campaign(
                campaign,
                net=way.net,
                way=way.words,
                out=out,
                jobs=jobs,
                fresh=fresh,
                watch=watch,
                reuse_old=reuse_old,
            )
    except KeyboardInterrupt:
        print("interrupted; the same command goes on at the first missing run", file=sys.stderr)
        raise typer.Exit(130) from None
    if finished.moved:
        print(f"the earlier results are in {finished.moved}", file=sys.stderr)
    if as_json:
        _print_json(finished, campaign.experiment.figures)
        return
    if text := calibration_text(finished.directory):
        print(f"links, asked for > measured\n{text}\n")
    if finished.done:
        conclusion = conclude(finished.directory, campaign.experiment.figures)
        cases = matrix(conclusion.results)
        print(tables(conclusion.results, cases))
        for line in note_lines(conclusion.results):
            print(line, file=sys.stderr)
        for figure in conclusion.figures:
            print(f"figure   {figure}")
        if conclusion.report:
            print(f"report   {conclusion.report}")
        print(f"results  {finished.directory}")
    finished.check()
    if finished.done and cases and cases.surprises:
        raise typer.Exit(1)


def _print_json(finished: Finished, wanted: tuple[str, ...]) -> None:
    """Instead of all tables. The exit status is the same as without --json."""
    from testbed.cli.json_output import print_json, summary
    from testbed.cli.show import warning_lines
    from testbed.results import matrix
    from testbed.runner import conclude

    surprises: list[dict[str, str]] = []
    found: dict[str, Any] = {"directory": str(finished.directory), "factors": [], "cells": []}
    found |= {"warnings": [], "figures": [], "report": None}
    if finished.done:
        conclusion = conclude(finished.directory, wanted)
        cases = matrix(conclusion.results)
        surprises = [
            {"case": case, "column": column, "outcome": one.said}
            for case, column, one in (cases.surprises if cases else ())
        ]
        found |= summary(conclusion.results)
        found["warnings"] = warning_lines(conclusion.results)
        found["figures"] = [str(figure) for figure in conclusion.figures]
        found["report"] = str(conclusion.report) if conclusion.report else None
    print_json({**found, "unexpected": surprises, "failures": finished.failures})
    finished.check()
    if surprises:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """A bar with the time left, on a terminal; elsewhere a line for every tenth of the way."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    console = Console(file=raw(sys.stderr))
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def watch(progress: Progress) -> None:
            running = f"{len(progress.running)} running"
            again = f", {progress.again} tried again" if progress.again else ""
            while progress.notices:
                console.print(plain(progress.notices.pop(0)), markup=False, highlight=False)
            bar.update(task, description=running + again, total=progress.total, completed=progress.done)

        yield watch


def _lines() -> Callable[[Progress], None]:
    said = -1

    def watch(progress: Progress) -> None:
        nonlocal said
        while progress.notices:
            print(progress.notices.pop(0), file=sys.stderr, flush=True)
        tenth = 10 * progress.done // max(progress.total, 1)
        if tenth != said and progress.done > progress.earlier:
            said = tenth
            print(f"{progress.done} of {progress.total} runs done", file=sys.stderr, flush=True)

    return watch
