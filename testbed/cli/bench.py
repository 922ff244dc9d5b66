"""`testbed bench`: how fast the stack is on this machine, beside Linux's own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from testbed.cli.flags import size_of

app = typer.Typer(help="How fast the stack is on this machine.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def bench() -> None:
    """How fast the stack is on this machine, beside Linux's own."""


@app.command("datapath")
def datapath_(
    rounds: Annotated[int, typer.Option(help="How often each stack has its turn.")] = 5,
    size: Annotated[str, typer.Option(metavar="SIZE", help="Bytes per transfer of ours.")] = "256MB",
    linux_size: Annotated[str, typer.Option(metavar="SIZE", help="Bytes per transfer of Linux.")] = "1GB",
    paths: Annotated[int, typer.Option(help="Cables between the two hosts.")] = 2,
    profile: Annotated[
        bool, typer.Option("--profile", help="Then once more, to say where our time goes.")
    ] = False,
    no_offload: Annotated[bool, typer.Option("--no-offload", help="Single packets on our side.")] = False,
) -> None:
    """One connection as fast as it goes over plain cables, our stack and Linux's MPTCP taking turns."""
    from testbed.bench import datapath, profile_of, summary

    arguments = datapath.Arguments(
        rounds=rounds,
        size=size_of(linux_size, "--linux-size"),
        own_size=size_of(size, "--size"),
        paths=paths,
        gso_max_size=0 if no_offload else 1 << 16,
        profile=profile,
    )
    outcome = datapath.measure(arguments, _progress)
    print("\n".join(summary(outcome)))
    if outcome.profiled is not None:
        for end in ("sender", "receiver"):
            print("\n".join(["", *profile_of(end, getattr(outcome.profiled, end))]))


@app.command("paths")
def paths_(
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As in an experiment: paths.1.rate=15Mbit."),
    ] = None,
    dies: Annotated[
        str, typer.Option(metavar="PATH@TIME", help="This path loses everything from then on: 2@3s.")
    ] = "",
    rounds: Annotated[int, typer.Option(help="How often each stack has its turn.")] = 3,
    size: Annotated[str, typer.Option(metavar="SIZE", help="Bytes per transfer.")] = "16MB",
) -> None:
    """One bulk connection over the two shaped paths of two_path, our stack and Linux's MPTCP taking turns."""
    from testbed.bench import paths, summary

    arguments = paths.Arguments.of(rounds, size_of(size, "--size"), sets or [], dies)
    outcome = paths.measure(arguments, _progress)
    print("\n".join(summary(outcome, outcome.capacity)))


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
