"""`testbed reproduce`: a paper's figures from one command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli.complete import figures
from testbed.cli.json_output import print_json
from testbed.cli.run import Net
from testbed.terminal import plain, raw

if TYPE_CHECKING:
    from testbed.reproduce import Reproduction, Status

SAID_EVERY = 0.05  # of the whole, where there is no terminal


def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Figures, or `seed` for all slides. Default: everything.",
            autocompletion=figures,
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="The names there are, and what each asks.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few connections and few points: minutes, wide intervals.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Default: results/reproduce, or results/reproduce-quick."),
    ] = None,
    net: Annotated[
        Net | None,
        typer.Option(help="The simulator or labs alone. Default: both, as far as they can be had."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=1024, help="Runs at a time.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Run everything again; old results are moved aside.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object: the report's path and every number.")
    ] = False,
) -> None:
    """Reproduce the figures of a paper, from experiments to report.

    Runs the missing experiments, draws all figures and writes DIR/report.html.
    Ends with how many numbers agree with what is expected of them. Status 1 where one does not, or a run
    failed; 3 where this machine could run nothing that has an expectation.
    """
    from testbed.reproduce import COLLECTIONS, FIGURES, chosen
    from testbed.reproduce import reproduce as run

    if listed and as_json:
        known = [{"name": one.name, "title": one.title, "question": one.question} for one in FIGURES.values()]
        print_json({"collections": COLLECTIONS, "figures": known})
        return
    if listed:
        for name, members in COLLECTIONS.items():
            print(f"{name}: {', '.join(members)}")
        for slide in FIGURES.values():
            print(f"  {slide.name:<18} {slide.question}")
        return
    chosen(names or [])  # a wrong name is said before anything starts
    directory = out or Path("results") / ("reproduce-quick" if quick else "reproduce")
    try:
        with _progress() as watch:
            made = run(
                names or [],
                directory,
                quick=quick,
                net=net.value if net else None,
                jobs=jobs,
                fresh=fresh,
                watch=watch,
            )
    except KeyboardInterrupt:
        print("interrupted; the same command goes on at the first missing run", file=sys.stderr)
        raise typer.Exit(130) from None
    for name, why in made.missing.items():
        print(f"left out: {name}: {why}", file=sys.stderr)
    for line in made.failures:
        print(f"failed: {line}", file=sys.stderr)
    if as_json:
        print_json(_as_data(made))
    else:
        for one in made.numbers:
            if one.agrees is False:
                print(f"differs  {one.figure}: {one.what}: {one.measured}, expected {one.expected}")
        print(f"report   {made.report}")
        print(f"{made.agree} of {made.judged} numbers agree")
    if made.failures or made.agree < made.judged:
        raise typer.Exit(1)
    if made.missing and not made.judged:
        raise typer.Exit(3)


def _as_data(made: Reproduction) -> dict[str, Any]:
    """As the README documents it."""
    return {
        "report": str(made.report),
        "agree": made.agree,
        "judged": made.judged,
        "numbers": made.numbers,
        "missing": made.missing,
        "failures": made.failures,
    }


@contextmanager
def _progress() -> Iterator[Callable[[Status], None]]:
    """A bar on a terminal; elsewhere a line for every step and every twentieth of the whole."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(file=raw(sys.stderr))
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0, left="")

        def watch(status: Status) -> None:
            for notice in status.notices:
                console.print(plain(notice), markup=False, highlight=False)
            words = f"{status.step} of {status.steps}: {status.title}"
            bar.update(task, description=words, completed=status.share, left=_left(status))

        yield watch


def _lines() -> Callable[[Status], None]:
    said = (0, -1.0)

    def watch(status: Status) -> None:
        nonlocal said
        for notice in status.notices:
            print(notice, file=sys.stderr, flush=True)
        if status.step == said[0] and status.share < said[1] + SAID_EVERY:
            return
        said = (status.step, status.share)
        left = _left(status)
        words = f"{status.step} of {status.steps}: {status.title}; {100 * status.share:.0f} % of all"
        print(f"{words}{', ' if left else ''}{left}", file=sys.stderr, flush=True)

    return watch


def _left(status: Status) -> str:
    if status.seconds_left is None:
        return ""
    minutes = status.seconds_left / 60
    return f"about {minutes:.0f} min left" if minutes >= 1.5 else f"about {status.seconds_left:.0f} s left"
