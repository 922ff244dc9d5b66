"""`testbed trace` and `testbed ladder`: what a capture holds."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.errors import UserError

if TYPE_CHECKING:
    from testbed.trace import Capture

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE.pcap", help="Captures (pcap or pcapng); several: of different links."),
]
Draft = Annotated[int, typer.Option(min=2, max=15, help="Version nibble of the draft profile on this wire.")]


def trace(
    files: Files,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per connection, each on a line of its own.")
    ] = False,
    draft_version: Draft = 2,
) -> None:
    """Connections, subflows, keys, tokens, verdicts and reasons in a capture."""
    from testbed.cli.show import counted, table
    from testbed.trace import connections, read_capture, to_json

    capture = read_capture(*files)
    found = [to_json(connection) for connection in connections(capture.packets, draft_version)]
    if as_json:
        for each in found:
            print(json.dumps(each))
        _left_out(capture)
        return
    if not found:
        _nothing(capture)
        return
    head = ["client", "server", "profile", "verdict", "reason", "subflows", "bytes up", "down", "closed by"]
    rows = [
        [
            _endpoint(each["initiator"]),
            _endpoint(each["listener"]),
            str(each["profile"]),
            str(each["verdict"]),
            str(each["reason"]),
            str(len(each["subflows"])),  # type: ignore[arg-type]
            *(str(count) for count in each["bytes"]),  # type: ignore[attr-defined]
            str(each["closed_by"]),
        ]
        for each in found
    ]
    print(table(head, rows, left=5))
    verdicts = Counter(str(each["verdict"]) for each in found)
    words = ", ".join(f"{count} {word}" for word, count in verdicts.items())
    print(f"{counted(len(found), 'connection')}: {words}")
    _left_out(capture)


def ladder(
    files: Files,
    svg: Annotated[
        Path | None, typer.Option(metavar="OUT.svg", help="Write a picture instead of printing text.")
    ] = None,
    connection: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only the N-th, in the order of `testbed trace`; default: all."),
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=60, help="Columns, 110 unless said; with --svg px, 860 unless said.")
    ] = None,
    most: Annotated[int | None, typer.Option(min=2, help="Packets shown of one connection.")] = None,
    draft_version: Draft = 2,
) -> None:
    """Packet ladder of every connection in a capture, options spelled out; as text, or as a picture."""
    from testbed.trace import ladder as draw
    from testbed.trace import ladder_svg, read_capture

    capture = read_capture(*files)
    if svg is not None:
        picture = ladder_svg(
            capture, width=width or 860, draft_version=draft_version, most=most, connection=connection
        )
        if not picture:
            raise UserError(f"{files[0]}: no TCP connection in this capture, hence nothing to draw")
        try:
            svg.write_text(picture, encoding="utf-8")
        except OSError as error:
            raise UserError(f"--svg {svg}: cannot be written: {error.strerror}") from error
        print(svg)
        _left_out(capture)
        return
    drawn = draw(capture, width=width or 110, draft_version=draft_version, most=most, connection=connection)
    if not drawn:
        _nothing(capture)
        return
    print(drawn)
    _left_out(capture)


def _endpoint(value: object) -> str:
    assert isinstance(value, dict)
    address, port = value["address"], value["port"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _nothing(capture: Capture) -> None:
    print("no TCP connection in this capture")
    _left_out(capture)


def _left_out(capture: Capture) -> None:
    from testbed.cli.show import counted

    for why, count in capture.left_out.items():
        print(f"left out: {counted(count, 'frame')}, {why}", file=sys.stderr)
