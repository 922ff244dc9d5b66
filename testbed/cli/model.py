"""`testbed model`: closed forms, for figures and tests."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

app = typer.Typer(help="Closed forms: what a rate must be.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def model() -> None:
    """Closed forms: what a rate must be."""


@app.command()
def fallback(
    profile: Annotated[str, typer.Option(metavar="P", help="v0, draft, v1 or tcp.")],
    loss: Annotated[float, typer.Option(metavar="P", help="Percent of packets lost, client to server.")],
    segments: Annotated[int, typer.Option(metavar="N", help="Segments of the client's request.")] = 1,
    syn_retries: Annotated[
        int, typer.Option(metavar="K", help="MP_CAPABLE SYNs repeated before plain ones.")
    ] = 2,
    isn_recovery: Annotated[
        bool, typer.Option("--isn-recovery", help="The server rebuilds the ISN from a DSS (draft §3.2).")
    ] = False,
    third_ack: Annotated[str, typer.Option(metavar="HOW", help="bare or piggyback.")] = "bare",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """How a connection to a stateless server ends, by probability."""
    from testbed.model import predict

    said = predict(profile, loss / 100, segments, syn_retries, isn_recovery=isn_recovery, third_ack=third_ack)
    if as_json:
        print(json.dumps(dataclasses.asdict(said)))
        return
    print(f"mptcp     {said.mptcp:.6f}")
    if profile == "tcp":
        print(f"tcp       {said.tcp:.6f}")
    print(f"fallback  {said.fallback:.6f}  (plain SYN {said.by_syn:.6f}, key lost {said.by_key:.6f})")
    print(f"reset     {said.reset:.6f}")
