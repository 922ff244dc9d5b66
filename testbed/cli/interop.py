"""`testbed interop`: Linux's MPTCP and ours at either end of many cells, held against what is expected."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.flags import writable
from testbed.portable import need_linux


def interop(
    cases: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CASE...",
            help="Words of cells, such as ours-linux/ipv6/4-paths or fastclose. Default: all cells.",
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="1 MB each way, and three transfers for each pair in place of 24.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=1024, metavar="N", help="Cells at a time.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that was seen, as JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Writes the tables to this file as well.")
    ] = None,
) -> None:
    """Run Linux's MPTCP stack and ours against each other, every way; compare subflows and counters.

    Status 1 where a cell fails, 3 where the kernel has no MPTCP.
    """
    need_linux("testbed interop")
    from testbed.oracle import (
        QUICK_SIZE,
        SIZE,
        Outcome,
        chosen,
        line,
        markdown,
        matrix,
        records,
        run_cells,
        scenario_cells,
        small_matrix,
        time_left,
    )

    writable(out, "--out")
    cells = chosen([*(small_matrix() if quick else matrix()), *scenario_cells()], cases or ())
    size = QUICK_SIZE if quick else SIZE
    done: list[Outcome] = []
    try:
        for outcome in run_cells(cells, size, jobs):
            done.append(outcome)
            seen = {one.cell for one in done}
            left = time_left(done, [cell for cell in cells if cell not in seen]) / jobs
            print(line(outcome, len(done), len(cells), left), file=sys.stderr, flush=True)
            for text in outcome.differences:
                print(f"    {text}", file=sys.stderr, flush=True)
    finally:
        done.sort(key=lambda outcome: cells.index(outcome.cell))
        text = markdown(done, size)
        if done:
            print(json.dumps(records(done)) if as_json else text)
        if done and out:
            out.write_text(text, encoding="utf-8")
    if any(outcome.state == "failed" for outcome in done):
        raise typer.Exit(1)
