"""Cases of an experiment: which cells they make, what is said of a bad one, and how they come out.

experiments/middleboxes.yaml is run whole in the simulator, a cut of it in a lab.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.cli.show import matrix_table
from testbed.errors import MachineError, UserError
from testbed.figures import demands
from testbed.net import check
from testbed.results import Matrix, Results, load, matrix
from testbed.runner import choose_way, conclude, load_experiment, run_campaign
from testbed.runner.document import parse
from testbed.runner.experiment import check as checked

MIDDLEBOXES = Path(__file__).parents[2] / "experiments" / "middleboxes.yaml"
GOOD = """\
topology: {name: two_path}
cases:
  plain: {expect: mptcp}
  nat: {paths.1.middlebox.up: nat port=5000, connections: 3, expect: {v0: fallback, any: [mptcp, reset]}}
vary:
  client.profile: [v0, v1]
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cases.yaml"
    path.write_text(text)
    return path


def run(experiment: Path, out: Path, net: str, *sets: str) -> Results:
    campaign = load_experiment(experiment, sets, demands())
    way = choose_way(campaign, net)
    finished = run_campaign(campaign, net=way.net, way=way.words, out=out)
    finished.check()
    conclude(finished.directory, campaign.experiment.figures)
    return load(finished.directory)


def of(results: Results) -> Matrix:
    found = matrix(results)
    assert found is not None
    return found


def test_cases_are_the_first_factor(tmp_path: Path) -> None:
    cells = load_experiment(file(tmp_path, GOOD)).cells
    assert [tuple(plan.factors.values()) for plan in cells] == [
        ("plain", "v0"),
        ("plain", "v1"),
        ("nat", "v0"),
        ("nat", "v1"),
    ]
    assert [plan.cell.connections for plan in cells] == [1, 1, 3, 3]
    assert cells[0].cell.expect == {"any": ["mptcp"]}
    assert cells[2].cell.expect == {"v0": ["fallback"], "any": ["mptcp", "reset"]}
    assert cells[2].cell.network == {"paths.1.middlebox.up": "nat port=5000"}


def test_what_was_run_reads_back_as_the_same_experiment(tmp_path: Path) -> None:
    campaign = load_experiment(file(tmp_path, GOOD))
    again = checked(parse(campaign.text(), "again.yaml"), "again")
    assert [plan.cell for plan in again.cells] == [plan.cell for plan in campaign.cells]
    assert again.resolved() == campaign.resolved()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("cases: [nat]", "cases: expected names with keys below them"),
        ("cases: {nat: 5}", "cases.nat: expected keys below it"),
        ("cases:\n  nat: {seed: 5}", "cases.yaml:3: cases.nat.seed: cannot stand in a case"),
        ("cases:\n  nat: {expect: works}", "cases.yaml:3: expect: expected one or more of mptcp"),
        (
            "cases:\n  nat: {paths.1.middlebox.up: nut}",
            "paths.1.middlebox.up: middlebox: 'nut': nut is unknown",
        ),
        ("cases:\n  nat: {client.profil: v0}", "did you mean profile"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        load_experiment(file(tmp_path, f"topology: {{name: two_path}}\n{line}\n"))
    assert says in str(error.value)


def test_what_nobody_expected_stands_out(tmp_path: Path) -> None:
    text = (
        GOOD.replace("nat port=5000", "strip mp_capable on=syn")
        + "workload: {request: 300B, response: 1KB}\n"
    )
    found = of(run(file(tmp_path, text), tmp_path / "out", "sim"))
    assert [(row, column) for row, column, _ in found.surprises] == [("nat", "v1")]
    shown = matrix_table(found)
    assert "✗ fallback (expected mptcp or reset)" in shown
    assert "3 of 4 cells as expected" in shown


def test_without_cases_there_is_no_matrix(tmp_path: Path) -> None:
    text = "topology: {name: two_path}\nworkload: {request: 300B, response: 1KB}\n"
    assert matrix(run(file(tmp_path, text), tmp_path / "out", "sim")) is None


@pytest.mark.slow
def test_every_middlebox_comes_out_as_expected_in_the_simulator(tmp_path: Path) -> None:
    results = run(MIDDLEBOXES, tmp_path / "out", "sim")
    found = of(results)
    assert [(row, column, outcome.said) for row, column, outcome in found.surprises] == []
    assert len(found.rows) >= 30
    svg = (tmp_path / "out" / "case_matrix.svg").read_text()
    assert "ISN randomisation" in svg
    assert "fallback, damaged" in svg


@pytest.mark.lab
def test_middleboxes_in_a_lab(tmp_path: Path) -> None:
    """Those that change most: numbers, ports, payload, sizes."""
    try:
        check()
    except MachineError as problem:
        pytest.skip(str(problem))
    kept = ("ISN randomisation:", "NAT, ports:", "splits, options on all:", "FTP ALG, longer, checksums:")
    lines = MIDDLEBOXES.read_text().splitlines()
    start, end = lines.index("cases:"), lines.index("vary:")
    cases = [line for line in lines[start + 1 : end] if line.strip().startswith(kept)]
    assert len(cases) == len(kept)
    text = "\n".join([*lines[: start + 1], *cases, *lines[end:]])
    sets = ["client.profile=v1", "connections=2"]
    found = of(run(file(tmp_path, text), tmp_path / "out", "mininet", *sets))
    assert [(row, outcome.said) for row, _, outcome in found.surprises] == []
