"""The short fuzz of `make test`: the same few hundred connections each time, and the bounds of the long one.

`make fuzz` and `make test-long` draw new ones. A failure prints the command that replays it.
"""

from __future__ import annotations

import pytest

from tests.fuzz.bounds import BOUNDS
from tests.fuzz.campaign import campaign
from tests.fuzz.case import draw
from tests.fuzz.faults import FAULTS, Kind
from tests.fuzz.play import play
from tests.fuzz.shrink import replay_command

BATCHES = 4
CASES = 120  # of each batch


@pytest.mark.parametrize("number", range(1, BATCHES + 1))
def test_short_fuzz(number: int) -> None:
    tally = campaign(number, cases=CASES)
    story = [
        f"{one.failure.kind}: {one.failure.text}\n  {replay_command(one.seed)}"
        for one in tally.failures
        if one.failure is not None
    ]
    assert not story, "\n".join(story)
    assert not tally.too_high(), "\n".join(tally.too_high())
    assert tally.cases == CASES
    assert tally.packets > 50 * CASES, "the connections carry too little to test anything"
    assert tally.ends["network"]["clean"] > CASES / 4


def test_every_fault_has_a_bound_and_the_networks_allow_no_error() -> None:
    changing = {name for name, fault in FAULTS.items() if fault.kind is not Kind.NETWORK}
    assert set(BOUNDS) == changing | {"mixed", "cookie"}
    assert all(0 <= bound <= 60 for bound in BOUNDS.values())


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_acts_somewhere(name: str) -> None:
    cases = [case for case in map(draw, range(600)) if any(one.name == name for one in case.faults)]
    assert len(cases) > 10, "drawn too seldom"
    assert any(name in play(case).acted for case in cases[:40])
