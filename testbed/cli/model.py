"""`testbed model`: closed forms, for figures and tests."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from testbed.cli.json_output import print_json
from testbed.errors import UserError

app = typer.Typer(help="Closed forms: what a rate must be.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def model() -> None:
    """Closed forms: what a rate must be."""


@app.command()
def fallback(
    profile: Annotated[str, typer.Option(metavar="P", help="v0, draft, v1 or tcp.")],
    loss: Annotated[float, typer.Option(metavar="P", help="Percent of packets lost, client to server.")],
    segments: Annotated[
        int, typer.Option(metavar="N", help="Segments of the client's request; 0: the server speaks first.")
    ] = 1,
    syn_retries: Annotated[
        int, typer.Option(metavar="K", help="MP_CAPABLE SYNs repeated before plain ones.")
    ] = 2,
    isn_recovery: Annotated[
        bool, typer.Option("--isn-recovery", help="The server rebuilds the ISN from a DSS (draft §3.2).")
    ] = False,
    third_ack: Annotated[str, typer.Option(metavar="HOW", help="bare or piggyback.")] = "bare",
    held: Annotated[
        float, typer.Option(metavar="P", help="Percent of packets held back, so that others overtake them.")
    ] = 0,
    syns: Annotated[
        int | None, typer.Option(metavar="M", help="SYNs before the client gives up; default: it never does.")
    ] = None,
    lone_after: Annotated[
        int | None,
        typer.Option(
            metavar="J",
            help="Lost SYNs after which the first segment goes alone (1: RFC 5681, 2: Linux).",
        ),
    ] = None,
    fast_open: Annotated[
        bool,
        typer.Option(
            "--fast-open",
            help="Instead: the request in the SYN, to a server that keeps state and answers at once.",
        ),
    ] = False,
    response: Annotated[
        int, typer.Option(metavar="N", help="With --fast-open: segments of the server's response.")
    ] = 1,
    key_once: Annotated[
        bool,
        typer.Option("--key-once", help="With --fast-open: the keys on the third ACK alone (an ablation)."),
    ] = False,
    linux: Annotated[
        bool,
        typer.Option(
            "--linux",
            help="With --fast-open: Linux as the client, in v1, to a server that waits for the key.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """How a connection to a stateless server ends, by probability."""
    from testbed.model import predict, predict_fast_open, predict_linux_fast_open

    patience = math.inf if syns is None else syns
    if linux and not (fast_open and profile == "v1"):
        raise UserError("--linux: goes with --fast-open and --profile v1; without Fast Open: --lone-after 2")
    if linux:
        said = predict_linux_fast_open(loss / 100, syn_retries, syns=patience)
    elif fast_open:
        said = predict_fast_open(
            profile, loss / 100, response, syn_retries, repeat_keys=not key_once, syns=patience
        )
    else:
        said = predict(
            profile,
            loss / 100,
            segments,
            syn_retries,
            isn_recovery=isn_recovery,
            third_ack=third_ack,
            held=held / 100,
            syns=patience,
            lone_after=math.inf if lone_after is None else lone_after,
        )
    if as_json:
        print_json(said)
        return
    print(f"mptcp     {said.mptcp:.6f}")
    if profile == "tcp":
        print(f"tcp       {said.tcp:.6f}")
    other = f"no mapping {said.fallback - said.by_syn:.6f}" if linux else f"key lost {said.by_key:.6f}"
    print(f"fallback  {said.fallback:.6f}  (plain SYN {said.by_syn:.6f}, {other})")
    print(f"reset     {said.reset:.6f}")
    print(f"hang      {said.hang:.6f}")
