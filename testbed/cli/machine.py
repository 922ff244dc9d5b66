"""`testbed doctor`: prerequisites, and the commands that install what is missing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from testbed.runner import Step


def doctor(
    way: Annotated[
        bool, typer.Option("--way", help="Print one word: root, user or sim, for scripts.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure, in labs, what this machine can carry; a minute.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check prerequisites; print commands that install what is missing.

    Status 3 where this machine cannot run labs.
    """
    from testbed.cli.json_output import carried, print_json
    from testbed.cli.json_output import checks as json_checks
    from testbed.doctor import examine, lab_way

    if way:
        if as_json:
            print_json({"way": lab_way()})
        else:
            print(lab_way())
        return
    checks = examine()
    lacking = any(check.needed and not check.found for check in checks)
    if as_json:
        measured = _measure() if calibrate and not lacking else None
        print_json({**json_checks(lab_way(), checks), **(carried(*measured) if measured else {})})
        if lacking:
            raise typer.Exit(3)
        return
    width = max(len(check.name) for check in checks)
    for check in checks:
        state = "ok     " if check.found else "MISSING" if check.needed else "absent "
        print(f"{state}  {check.name:<{width}}  {check.detail}")
        if not check.found and check.mend:
            print(f"{'':7}  {'':<{width}}  mend: {check.mend}")
    print(f"a lab here: {lab_way().replace('sim', 'not to be had; --net sim works')}")
    if lacking:
        raise typer.Exit(3)
    if calibrate:
        _calibrate()


def _calibrate() -> None:
    """Links of several kinds, then bulk over two paths, faster until a run would not count."""
    from testbed.cli.show import table
    from testbed.results import CALIBRATION_HEAD, calibration_rows

    entries, steps = _measure()
    print(f"\nlinks, asked for > measured\n{table(CALIBRATION_HEAD, calibration_rows(entries), left=2)}\n")
    rows = [
        (
            f"{step.rate}",
            f"{step.goodput:.1f}",
            f"{step.share:.0%}",
            f"{step.lateness:.2f}",
            f"{step.cpu:.0%}",
            step.broken and "not carried",
        )
        for step in steps
    ]
    head = ("Mbit/s each", "goodput", "of the simulator's", "p99 lateness, ms", "CPU", "")
    print(f"bulk over two paths, our stack at both ends\n{table(head, rows)}\n")
    carried = [step for step in steps if not step.broken]
    if carried:
        rate, late = carried[-1].rate, carried[-1].lateness
        print(f"this machine carries two paths of {rate} Mbit/s each at p99 lateness {late:.2f} ms")
    else:
        print(f"this machine does not carry two paths of {steps[0].rate} Mbit/s: {steps[0].broken}")


def _measure() -> tuple[list[dict[str, Any]], list[Step]]:
    from testbed.runner import calibrate_links, carried_rates

    entries = calibrate_links(say)
    return entries, carried_rates(
        lambda step: say(f"two paths of {step.rate} Mbit/s: {step.broken or 'carried'}")
    )


def say(words: str) -> None:
    print(words, file=sys.stderr)
