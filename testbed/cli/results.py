"""`testbed results` and `testbed report`: what a finished or interrupted campaign says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from testbed.errors import UserError


def results(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An output directory of `testbed run`.")],
    csv: Annotated[bool, typer.Option("--csv", help="All connections as CSV.")] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="The path of the file of all connections.")
    ] = False,
    paths: Annotated[
        bool, typer.Option("--paths", help="Of subflows, not connections; alone: as CSV.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Every cell with all columns of summary.csv, as JSON.")
    ] = False,
) -> None:
    """Print the rates of every cell with 95 % intervals, or the rows."""
    from testbed.cli.json_output import print_json, summary
    from testbed.cli.show import note_lines, tables
    from testbed.results import load, matrix, to_csv

    if as_json and (csv or parquet or paths):
        raise UserError("--json: prints the cells; leave out --csv, --parquet and --paths, which print rows")
    loaded = load(directory, rows=not parquet and (csv or paths))
    if as_json:
        print_json(summary(loaded))
    elif parquet:
        print(directory / ("paths.parquet" if paths else "connections.parquet"))
    elif csv or paths:
        print(to_csv(loaded.paths if paths else loaded.connections), end="")
    else:
        print(tables(loaded, matrix(loaded)))
        for line in note_lines(loaded):
            print(line, file=sys.stderr)


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An output directory of `testbed run`.")],
) -> None:
    """Draw the figures again and write DIR/report.html, a single file."""
    from testbed.figures import write_report
    from testbed.results import load

    print(write_report(load(directory)))
