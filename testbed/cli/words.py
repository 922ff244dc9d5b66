"""`testbed explain`: what a word of the results or of a packet means, and where it is decided."""

from __future__ import annotations

from typing import Annotated

import typer


def explain(
    word: Annotated[
        str, typer.Argument(metavar="WORD", help="A reason, option, counter, scheduler ... or a kind.")
    ],
) -> None:
    """A reason, option, state, scheduler, controller: meaning, RFC section, file, tests."""
    from testbed.explain import explain as look_up

    for entry in look_up(word):
        print(f"{entry.name}  ({entry.kind})")
        print(f"  {entry.meaning}")
        if entry.section:
            print(f"  section  {entry.section}")
        for title, places in (("code", entry.files), ("tests", entry.tests)):
            for place in places:
                print(f"  {title:<7}  {place}")
