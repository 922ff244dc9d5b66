"""A small cut of `testbed interop`: Linux with itself, which proves the lab and the counters, then ours."""

from __future__ import annotations

import pytest

from testbed.oracle import Cell, Outcome, run_cells, scenario_cells, small_matrix
from tests.namespaces import why_no_lab
from tests.programs import why_no_mptcp

REASON = why_no_lab() or why_no_mptcp()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

SIZE = 300_000
SLOW = ("path-dies", "first-path-dies")


def cut() -> list[Cell]:
    transfers = [cell for cell in small_matrix() if cell.pair == "linux-linux" or cell.paths == 1]
    scenarios = [
        cell for cell in scenario_cells() if cell.pair == "linux-linux" and cell.scenario not in SLOW
    ]
    return transfers + scenarios


CELLS = cut()


@pytest.fixture(scope="module")
def outcomes() -> dict[Cell, Outcome]:
    """All of them, in one lab."""
    return {outcome.cell: outcome for outcome in run_cells(CELLS, SIZE)}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_cell(cell: Cell, outcomes: dict[Cell, Outcome]) -> None:
    outcome = outcomes[cell]
    assert outcome.differences == ()
    assert outcome.state == "passed"
