"""`testbed results` and `testbed report`: what a finished or interrupted campaign says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def results(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An output directory of `testbed run`.")],
    csv: Annotated[bool, typer.Option("--csv", help="All connections as CSV.")] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="The path of the file of all connections.")
    ] = False,
    paths: Annotated[
        bool, typer.Option("--paths", help="Of subflows, not connections; alone: as CSV.")
    ] = False,
) -> None:
    """The rates of every cell with their 95 % intervals, or the rows behind them."""
    from testbed.cli.show import tables
    from testbed.results import load, matrix

    loaded = load(directory)
    if parquet:
        print(directory / ("paths.parquet" if paths else "connections.parquet"))
    elif csv or paths:
        (loaded.paths if paths else loaded.connections).to_csv(sys.stdout, index=False)
    else:
        print(tables(loaded, matrix(loaded)))


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An output directory of `testbed run`.")],
) -> None:
    """Draw the figures again and write DIR/report.html, one file that needs no other."""
    from testbed.figures import write_report
    from testbed.results import load

    print(write_report(load(directory)))
