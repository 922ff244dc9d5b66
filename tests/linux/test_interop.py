"""A cut of `testbed interop`: every pair over both families with one, two and four paths, checksums and SYN
cookies, and every scenario once with our stack at one end. Linux with itself proves the lab and the counters.
"""

from __future__ import annotations

import pytest

from testbed.oracle import Cell, Outcome, run_cells, scenario_cells, small_matrix
from tests.namespaces import why_no_lab
from tests.programs import why_no_mptcp

REASON = why_no_lab() or why_no_mptcp()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

SIZE = 300_000
SIDE_BY_SIDE = 3  # a cell waits more than it computes
PAIRS = ("ours-linux", "linux-ours")


def scenarios() -> list[Cell]:
    """The pairs and the families in turn."""
    found: dict[str, list[Cell]] = {}
    for cell in scenario_cells():
        if cell.pair in PAIRS:
            found.setdefault(cell.scenario, []).append(cell)
    return [cells[number % len(cells)] for number, cells in enumerate(found.values())]


CELLS = [*small_matrix(), *scenarios()]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> dict[Cell, Outcome]:
    """Of the cells that pytest was asked for."""
    names = {item.name for item in request.session.items}
    cells = [cell for cell in CELLS if f"test_cell[{cell.name}]" in names]
    return {outcome.cell: outcome for outcome in run_cells(cells, SIZE, SIDE_BY_SIDE)}


def test_every_pair_plays_half_of_the_scenarios() -> None:
    cells = scenarios()
    assert len(cells) == len({cell.scenario for cell in cells}) == len({c.scenario for c in scenario_cells()})
    for values in ({cell.pair for cell in cells}, {cell.family for cell in cells}):
        assert len(values) == 2


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_cell(cell: Cell, outcomes: dict[Cell, Outcome]) -> None:
    outcome = outcomes[cell]
    assert outcome.differences == ()
    assert outcome.state == "passed"
