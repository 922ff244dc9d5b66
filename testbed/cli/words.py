"""`testbed explain`: what a word of the results or of a packet means, and where it is decided."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from testbed.cli.complete import words
from testbed.cli.json_output import print_json

WIDTH = 100


def explain(
    word: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORD",
            autocompletion=words,
            help="A reason, option, counter (also as nstat prints it), RST reason, scheduler, or a kind of "
            "these, such as counters. Default: list everything.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON list; without a word, an object: kind to names.")
    ] = False,
) -> None:
    """Explain a word of results, packets or counters: meaning, RFC section, file, tests."""
    from testbed.explain import explain as look_up
    from testbed.explain import known

    if not word:
        _list(known(), as_json)
        return
    entries = look_up(" ".join(word))
    if as_json:
        print_json(entries)
        return
    for entry in entries:
        print(f"{entry.name}  ({entry.kind})")
        print(f"  {entry.meaning}")
        if entry.section:
            print(f"  section  {entry.section}")
        if entry.aliases:
            print(f"  also     {', '.join(entry.aliases)}")
        for title, places in (("code", entry.files), ("tests", entry.tests)):
            for place in places:
                print(f"  {title:<7}  {place}")


def _list(kinds: dict[str, list[str]], as_json: bool) -> None:
    if as_json:
        print_json(kinds)
        return
    for kind, names in kinds.items():
        print(f"{kind} ({len(names)})")
        print(textwrap.fill(", ".join(names), WIDTH, initial_indent="  ", subsequent_indent="  "))
    print("\n`testbed explain WORD` explains one of them, `testbed explain KIND` all of a kind.")
