"""`testbed bench`: how fast the stack is on this machine, beside Linux's own, and what it holds."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from testbed.cli.flags import size_of
from testbed.cli.json_output import lab_turns, print_json, turns
from testbed.cli.show import table
from testbed.portable import need_linux

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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """One connection as fast as it goes over plain cables, our stack and Linux's MPTCP taking turns."""
    need_linux("testbed bench datapath")
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
    if as_json:
        print_json({**turns(outcome), "profiled": outcome.profiled})
        return
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """One bulk connection over the two shaped paths of two_path, our stack and Linux's MPTCP taking turns."""
    need_linux("testbed bench paths")
    from testbed.bench import paths, summary

    arguments = paths.Arguments.of(rounds, size_of(size, "--size"), sets or [], dies)
    outcome = paths.measure(arguments, _progress)
    if as_json:
        print_json(turns(outcome, outcome.capacity))
    else:
        print("\n".join(summary(outcome, outcome.capacity)))


@app.command("half-open")
def half_open_(
    syns: Annotated[int, typer.Option(help="SYNs for each profile, with cookies and without.")] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a row.")] = False,
) -> None:
    """What half-open connections cost: memory after so many SYNs, with SYN cookies and without."""
    need_linux("testbed bench half-open")
    from testbed.bench import half_open

    rows = half_open.measure(syns, progress=_progress)
    if as_json:
        for row in rows:
            print_json(row)
        return
    head = ["profile", "SYN cookies", "SYNs", "half-open", "allocated B", "B/half-open", "resident MB"]
    print(table(head, [_half_open_cells(row) for row in rows], left=2))


def _half_open_cells(row: dict[str, Any]) -> list[str]:
    allocated, held = row["bytes"], row["half_open"]
    each = f"{allocated / held:.0f}" if allocated is not None and held else "-"
    return [
        row["profile"],
        row["syn_cookies"],
        f"{row['syns']:,}",
        f"{held:,}",
        "-" if allocated is None else f"{allocated:,}",
        each,
        f"{row['rss_bytes'] / 1e6:.1f}",
    ]


@app.command("labs")
def labs_(
    rounds: Annotated[int, typer.Option(help="How often each side has its turn.")] = 7,
    hosts: Annotated[int, typer.Option(help="Hosts around the router.")] = 19,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """A lab up and down, and plain Mininet with the same class, taking turns."""
    need_linux("testbed bench labs")
    from testbed.bench import labs

    outcome = labs.measure(labs.Arguments(rounds, hosts), _progress)
    if as_json:
        print_json(lab_turns(outcome))
    else:
        print("\n".join(labs.summary(outcome)))


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
