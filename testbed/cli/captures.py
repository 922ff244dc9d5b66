"""`testbed trace` and `testbed ladder`: what a capture holds."""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.errors import UserError

if TYPE_CHECKING:
    from testbed.trace import Capture, Connection

MOST_PACKETS = 200  # of one connection, unless --most says more
MOST_CONNECTIONS = 20  # unless --connection names one, or --most 0 asks for all

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE.pcap",
        help="Captures (pcap or pcapng, also .gz; - is standard input); several: of different links.",
    ),
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
    from testbed.trace import each_connection, to_json

    with _read(files) as capture:
        found = each_connection(capture.packets, draft_version)
        if as_json:
            for each in found:
                print(json.dumps(to_json(each, capture)))
            _left_out(capture)
            return
        rows = [_row(each) for each in found]
        if not rows:
            _nothing(capture)
            return
        head = [
            "client",
            "server",
            "profile",
            "verdict",
            "reason",
            "subflows",
            "bytes up",
            "down",
            "closed by",
        ]
        print(table(head, rows, left=5))
        verdicts = Counter(row[3] for row in rows)
        words = ", ".join(f"{count} {word}" for word, count in verdicts.items())
        print(f"{counted(len(rows), 'connection')}: {words}")
        _left_out(capture)


def ladder(
    files: Files,
    svg: Annotated[
        Path | None, typer.Option(metavar="OUT.svg", help="Write a picture instead of printing text.")
    ] = None,
    connection: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Only the N-th, in the order of `testbed trace`; default: the first 20."
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(min=60, help="Columns of the text, default 110; with --svg px, default 860."),
    ] = None,
    most: Annotated[
        int,
        typer.Option(min=0, help="Packets shown of one connection; 0 shows all packets of all connections."),
    ] = MOST_PACKETS,
    draft_version: Draft = 2,
) -> None:
    """Packet ladder of every connection in a capture, options spelled out; as text, or as a picture."""
    from testbed.trace import connections, ladder_svg
    from testbed.trace import ladder as draw

    with _read(files) as capture:
        found = connections(capture.packets, draft_version)
        if not found and connection is None:
            if svg is not None:
                raise UserError(f"{files[0]}: no TCP connection in this capture, hence nothing to draw")
            _nothing(capture)
            return
        if connection is not None and not 1 <= connection <= len(found):
            there = f"expected 1 to {len(found)}" if found else "there is none"
            raise UserError(f"{files[0]}: connection {connection}: {there}")
        shown = found if connection is not None or most == 0 else found[:MOST_CONNECTIONS]
        bound = None if most == 0 else max(2, most)
        if svg is not None:
            picture = ladder_svg(shown, width=width or 860, most=bound, connection=connection)
            try:
                svg.write_text(picture, encoding="utf-8")
            except OSError as error:
                raise UserError(f"--svg {svg}: cannot be written: {error.strerror}") from error
            print(svg)
        else:
            print(draw(shown, width=width or 110, most=bound, connection=connection))
        if len(shown) < len(found):
            print(
                f"{len(found) - len(shown)} of {len(found)} connections are not shown: "
                "name one by --connection, or show all by --most 0",
                file=sys.stderr,
            )
        _left_out(capture)


@contextmanager
def _read(files: list[Path]) -> Iterator[Capture]:
    """Millions of packets hold no reference cycles, and the search for some takes a third of the time."""
    from testbed.trace import read_capture

    gc.disable()
    try:
        yield read_capture(*files)
    finally:
        gc.enable()


def _row(each: Connection) -> list[str]:
    return [
        _endpoint(each.initiator),
        _endpoint(each.listener),
        each.profile,
        each.verdict.value,
        each.reason.value,
        str(len(each.subflows)),
        *(str(count) for count in each.bytes),
        each.closed_by,
    ]


def _endpoint(address: tuple[bytes, int]) -> str:
    from ipaddress import ip_address

    host, port = ip_address(address[0]), address[1]
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"


def _nothing(capture: Capture) -> None:
    print("no TCP connection in this capture")
    _left_out(capture)


def _left_out(capture: Capture) -> None:
    from testbed.cli.show import counted

    for line in capture.warnings:
        print(f"warning: {line}", file=sys.stderr)
    for why, count in capture.left_out.items():
        print(f"left out: {counted(count, 'frame')}, {why}", file=sys.stderr)
    cut = capture.cut
    if cut:
        print(f"options cut by the snapshot length: {counted(cut, 'packet')}", file=sys.stderr)
