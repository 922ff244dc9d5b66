"""`make fuzz`: the long fuzz, and the replay of one case.

    make fuzz                                            two million packets, a new seed
    make fuzz ARGS='--packets 100000 --seed 7'
    make fuzz ARGS='--replay 7000123'                    the packet ladder of one case
    make fuzz ARGS='--replay 7000123 --shrink'           a smaller one that fails in the same way

Status: 0 all passed, 1 a case failed or a share exceeded its bound, 2 wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.fuzz.campaign import Result, Tally, campaign
from tests.fuzz.case import PARTS, draw, without
from tests.fuzz.faults import FAULTS
from tests.fuzz.network import Hit
from tests.fuzz.play import Outcome, play
from tests.fuzz.shrink import describe, replay_command, shrink

SHRUNK = 3  # failing cases that a campaign makes smaller
STATED = 10  # failing cases that it names
PROGRESS = 10.0  # seconds between two lines


def main(words: list[str] | None = None) -> int:
    options = _parser().parse_args(words)
    try:
        if options.replay is not None:
            return _replay(options)
        return _campaign(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make fuzz", description="Fuzz two endpoints over an adversarial network, in virtual time."
    )
    parser.add_argument(
        "--packets", type=_count, default=2_000_000, help="packets to send (default: 2000000)"
    )
    parser.add_argument("--cases", type=_count, help="connections to run at most (default: no limit)")
    parser.add_argument("--seed", type=_seed, help="seed of the campaign (default: drawn and printed)")
    parser.add_argument(
        "--jobs", type=_count, default=os.cpu_count() or 1, help="processes (default: one per CPU)"
    )
    parser.add_argument(
        "--replay", type=_seed, metavar="CASE", help="run one case and print its packet ladder"
    )
    parser.add_argument(
        "--without",
        type=_names,
        default=frozenset(),
        metavar="NAMES",
        help="leave these faults and parts out",
    )
    parser.add_argument(
        "--only", type=_hits, metavar="HITS", help="let only these hits act: drop/up/3,split/down/7"
    )
    parser.add_argument(
        "--shrink", action="store_true", help="with --replay: look for a smaller failing case"
    )
    return parser


def _campaign(options: argparse.Namespace) -> int:
    number = options.seed if options.seed is not None else int.from_bytes(os.urandom(3), "big")
    print(
        f"seed {number}; the same cases again: make fuzz ARGS='--seed {number} --packets {options.packets}'"
    )
    began = last = time.monotonic()

    def show(result: Result, tally: Tally) -> None:
        nonlocal last
        if result.failure is not None and len(tally.failures) <= STATED:
            print(f"FAILED {result.failure.kind}: {result.failure.text.splitlines()[0]}")
            print(f"  replay: {replay_command(result.seed)}", flush=True)
        if time.monotonic() - last > PROGRESS:
            last = time.monotonic()
            rate = tally.packets / (last - began)
            print(f"{tally.packets} packets, {tally.cases} connections, {rate:.0f} packets/s", flush=True)

    tally = campaign(number, packets=options.packets, cases=options.cases, jobs=options.jobs, on_result=show)
    seconds = time.monotonic() - began
    print(tally.table())
    for failed in tally.failures[:SHRUNK]:
        smaller = shrink(failed.seed)
        if smaller is not None:
            print(f"smaller: {replay_command(failed.seed, smaller.names, smaller.only)}", flush=True)
    too_high = tally.too_high()
    for line in too_high:
        print(f"FAILED bound: {line}")
    print(
        f"{tally.packets} packets in {tally.cases} connections, {seconds:.0f} s, "
        f"{tally.packets / seconds:.0f} packets/s; {len(tally.failures)} failed, "
        f"{len(too_high)} bounds exceeded"
    )
    return 1 if tally.failures or too_high else 0


def _replay(options: argparse.Namespace) -> int:
    names, only = options.without, options.only
    if options.shrink:
        smaller = shrink(options.replay, names)
        if smaller is None:
            print("the case does not fail: nothing to shrink")
            return 0
        names, only = smaller.names, smaller.only
    outcome = play(without(draw(options.replay), names), only, ladder=True)
    _print(outcome)
    print(f"replay: {replay_command(options.replay, names, only)}")
    return 1 if outcome.failure is not None else 0


def _print(outcome: Outcome) -> None:
    print(describe(outcome.case))
    print(outcome.ladder)
    print("hits: " + (", ".join(f"{name}/{way}/{number}" for name, way, number in outcome.hits) or "none"))
    print(f"{outcome.packets} packets, end: {outcome.end or 'none'} {outcome.reason}")
    if outcome.failure is not None:
        print(f"FAILED {outcome.failure.kind}: {outcome.failure.text}")


def _count(text: str) -> int:
    value = _seed(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return value


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise argparse.ArgumentTypeError(f"expected a whole number of at most 15 digits, not {text!r}")
    return int(text)


def _names(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    unknown = sorted(names - {*FAULTS, *PARTS})
    if unknown:
        known = ", ".join((*FAULTS, *PARTS))
        raise argparse.ArgumentTypeError(f"unknown name {unknown[0]!r}; known are {known}")
    return names


def _hits(text: str) -> frozenset[Hit]:
    hits: set[Hit] = set()
    for word in text.split(",") if text != "none" else ():
        parts = word.split("/")
        if (
            len(parts) != 3
            or parts[0] not in FAULTS
            or parts[1] not in ("up", "down")
            or not parts[2].isdigit()
        ):
            raise argparse.ArgumentTypeError(f"expected hits as drop/up/3, not {word!r}")
        hits.add((parts[0], parts[1], int(parts[2])))
    return frozenset(hits)
