"""From a name to a page: what is run, what is left out, what is kept, and what an interrupt leaves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testbed.errors import MachineError, UserError
from testbed.reproduce import COLLECTIONS, FIGURES, Status, chosen, run
from testbed.reproduce.needs import Measurement, Slide
from testbed.reproduce.report import write
from testbed.reproduce.run import Done, run_steps
from testbed.reproduce.steps import Step, steps_of
from tests.cli.conftest import Done as Ended
from tests.cli.conftest import testbed as testbed  # the fixture
from tests.reproduce.small import small, small_page

ROWS = "tests.reproduce.test_reproduce:rows"


@pytest.fixture(autouse=True)
def _measurements_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child does not look for modules in the working directory, so it is told where this one is."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def rows(sizes: tuple[int, ...]) -> list[dict[str, int]]:
    return [{"size": size, "square": size * size} for size in sizes]


def fails(sizes: tuple[int, ...]) -> list[dict[str, int]]:
    raise MachineError("no such thing here")


def measuring(function: str, sizes: tuple[int, ...] = (2, 3)) -> Slide:
    measurement = Measurement("squares", "squares", f"tests.reproduce.test_reproduce:{function}", sizes, (2,))
    return Slide("measuring", "Measuring", "How much?", "nowhere:at_all", measurements=(measurement,))


def quiet(status: Status) -> None:
    pass


def finished(directory: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in directory.rglob("record.json")}


def test_names_mean_figures_in_the_order_of_the_slides() -> None:
    assert [slide.name for slide in chosen(["seed"])] == list(COLLECTIONS["seed"])
    assert chosen([]) == list(FIGURES.values())
    last, first = chosen(["seed"])[-1].name, chosen(["seed"])[0].name
    assert [slide.name for slide in chosen([last, first, last])] == [first, last]


def test_a_wrong_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"did you mean v0_fallback.*There are seed, "):
        chosen(["v0_falback"])


def test_every_campaign_stands_once_and_a_quick_one_is_smaller() -> None:
    full, quick = (steps_of(FIGURES.values(), quick) for quick in (False, True))
    assert len({step.key for step in full}) == len(full)
    left = {step.key for step in quick}
    assert [step.key for step in quick] == [step.key for step in full if step.key in left]
    assert {step.key for step in full if step.net == "sim"} <= left, "a quick one leaves out labs alone"
    assert sum(step.weight for step in quick) < sum(step.weight for step in full) / 5
    nets = [step.net for step in full]
    assert nets == sorted(nets, key=["", "sim", "mininet"].index), "labs come last"


@pytest.mark.slow
def test_a_page_from_nothing_and_the_second_time_nothing_is_run(tmp_path: Path) -> None:
    page = small_page(tmp_path)
    text = page.read_text(encoding="utf-8")
    known = re.findall(r'\bid="([^"]+)"', text)
    assert len(known) == len(set(known))
    goals = re.findall(r'href="#([^"]+)"', text)
    assert any(goal.startswith("ladders-fallback-") for goal in goals), "points lead to ladders"
    assert set(goals) <= set(known)
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', text), "it needs no other file"
    for words in ("testbed reproduce v0_fallback", "--net sim", "commit", "cookie_without_key"):
        assert words in text, words
    before = finished(tmp_path)
    assert len(before) > 10
    page.unlink()
    small_page(tmp_path)
    assert finished(tmp_path) == before
    assert page.read_text(encoding="utf-8") == text
    # Drawn where the lab cannot be had: what is there is not called left out.
    slides = [small("v0_fallback")]
    missing = {"fallback-sim": "no such way here", "fallback-mininet": "no lab here"}
    write(slides, steps_of(slides, quick=False), tmp_path, Done(missing), quick=False)
    text = page.read_text(encoding="utf-8")
    assert "no such way here" not in text


@pytest.mark.slow
def test_an_interrupted_reproduction_goes_on(tmp_path: Path) -> None:
    slides = [small("v0_fallback")]
    steps = steps_of(slides, quick=False)

    def stop(status: Status) -> None:
        if status.share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_steps(steps, tmp_path, jobs=1, fresh=False, watch=stop)
    before = finished(tmp_path)
    runs = sum(len(step.loaded.cells) for step in steps if step.loaded)
    assert 0 < len(before) < runs
    shares: list[float] = []
    done = run_steps(steps, tmp_path, jobs=1, fresh=False, watch=lambda status: shares.append(status.share))
    assert done.failures == []
    assert shares == sorted(shares)
    after = finished(tmp_path)
    assert len(after) == runs
    assert before.items() <= after.items()


def test_what_the_machine_cannot_do_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_lab(*arguments: object) -> None:
        raise MachineError("no lab here\nand advice")

    monkeypatch.setattr(run, "choose_way", no_lab)
    steps = [step for step in steps_of(chosen(["reliable_capable"]), quick=True) if step.net == "mininet"]
    done = run_steps(steps, tmp_path, jobs=1, fresh=False, watch=quiet)
    assert done.missing == {step.key: "no lab here" for step in steps}
    assert done.failures == []


def test_a_measurement_is_kept_until_other_sizes_are_asked_for(tmp_path: Path) -> None:
    step: Step = steps_of([measuring("rows")], quick=False)[0]
    path = run.measurement_file(tmp_path, step.key)
    run_steps([step], tmp_path, jobs=1, fresh=False, watch=quiet)
    assert '"square": 9' in path.read_text(encoding="utf-8")
    before = path.stat().st_mtime_ns
    run_steps([step], tmp_path, jobs=1, fresh=False, watch=quiet)
    assert path.stat().st_mtime_ns == before
    run_steps(steps_of([measuring("rows")], quick=True), tmp_path, jobs=1, fresh=False, watch=quiet)
    assert '"square": 9' not in path.read_text(encoding="utf-8")


def test_a_measurement_that_fails_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    steps = steps_of([measuring("fails")], quick=False)
    done = run_steps(steps, tmp_path, jobs=1, fresh=False, watch=quiet)
    assert done.failures == [
        f"squares: {ROWS.replace('rows', 'fails')} ended with status 1: no such thing here"
    ]


def test_the_command_lists_its_figures_and_refuses_others(testbed: object, tmp_path: Path) -> None:
    assert callable(testbed)
    listed: Ended = testbed("reproduce", "--list")
    assert listed.status == 0
    for name in ("seed", *FIGURES):
        assert name in listed.out
    refused: Ended = testbed("reproduce", "fig_99", "--out", tmp_path / "none")
    assert refused.status == 2
    assert "no figure is called 'fig_99'" in refused.err
    assert not (tmp_path / "none").exists()
