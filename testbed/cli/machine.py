"""`testbed doctor`: what is missing here, and the command that mends it."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    way: Annotated[
        bool, typer.Option("--way", help="Print one word: root, user or sim, for scripts.")
    ] = False,
) -> None:
    """What is missing here and the command that mends it. Status 3 where no lab can be had."""
    from testbed.doctor import examine, lab_way

    if way:
        print(lab_way())
        return
    checks = examine()
    width = max(len(check.name) for check in checks)
    for check in checks:
        state = "ok     " if check.found else "MISSING" if check.needed else "absent "
        print(f"{state}  {check.name:<{width}}  {check.detail}")
        if not check.found and check.mend:
            print(f"{'':7}  {'':<{width}}  mend: {check.mend}")
    print(f"a lab here: {lab_way().replace('sim', 'not to be had; --net sim works')}")
    if any(check.needed and not check.found for check in checks):
        raise typer.Exit(3)
