"""The command tree. Each command stands in the file of its subject and imports its room when it is called."""

from __future__ import annotations

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
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

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
