"""The command tree. Each command stands in the file of its subject and imports its room when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from testbed.cli import (
    bench,
    captures,
    interop,
    machine,
    model,
    programs,
    reproduce,
    results,
    run,
    topo,
    words,
)

app = typer.Typer(
    name="testbed",
    help="A Mininet testbed for Multipath TCP with a userspace MPTCP client and server.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        from testbed.version import described

        print(f"testbed {described()}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """A Mininet testbed for Multipath TCP with a userspace MPTCP client and server."""


app.command("run")(run.run)
app.command("reproduce")(reproduce.reproduce)
app.command("server")(programs.server)
app.command("client")(programs.client)
app.command("interop")(interop.interop)
app.add_typer(topo.app, name="topo")
app.command("trace")(captures.trace)
app.command("ladder")(captures.ladder)
app.command("results")(results.results)
app.command("report")(results.report)
app.add_typer(model.app, name="model")
app.add_typer(bench.app, name="bench")
app.command("explain")(words.explain)
app.command("doctor")(machine.doctor)
