"""Losing packets at a queue is what TCP does: such runs count, and no run is repeated for its outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import RunFailed
from testbed.records import finished_runs
from testbed.results import closed_form, load
from testbed.runner import Finished, load_experiment, run_campaign
from testbed.runner.backends import _with_queues
from testbed.runner.experiment import written
from testbed.runner.fidelity import Fidelity
from testbed.runner.seeds import derive
from testbed.workloads import RunOutcome, overflowed

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FULL = {"a-b/forward": {"dropped": {"queue": 3, "loss": 9}}, "a-b/backward": {"dropped": {"queue": 0}}}


def run(path: Path, text: str, *sets: str) -> Finished:
    file = path / "one.yaml"
    file.write_text(text)
    return run_campaign(load_experiment(file, sets), net="sim", way="simulator", out=path / "out", jobs=1)


DOWNLOADS = """\
topology: {name: wifi_lte}
workload: {type: request, request: 300B, response: 2MB, arrivals: 1/s}
connections: 1
repeats: 5
"""


def test_five_downloads_over_wifi_and_lte_are_five_runs(tmp_path: Path) -> None:
    done = run(tmp_path, DOWNLOADS)
    assert done.failures == []
    records = [record for _, record in finished_runs(tmp_path / "out")]
    assert sum(bool(overflowed(record["links"])) for record in records) > 0
    assert [(record["invalid"], record["try"]) for record in records] == [(None, 1)] * 5
    assert len(load(tmp_path / "out").connections) == 5


@pytest.mark.parametrize("drops", ["count", "invalid"])
@pytest.mark.parametrize("kind", ["request", "http", "bulk"])
@pytest.mark.parametrize("queue", [2, 5, 100_000])
def test_no_simulated_run_is_drawn_again(tmp_path: Path, kind: str, queue: int, drops: str) -> None:
    """One try each, with the seed that cell and repeat alone decide, whether its queue overflows or not."""
    text = f"""\
topology: {{name: two_path, max_queue_size: {queue}}}
workload: {{type: {kind}, response: 60KB, arrivals: 20/s}}
connections: 2
repeats: 4
fidelity: {{queue_drops: {drops}}}
"""
    done = run(tmp_path, text)
    records = [record for _, record in finished_runs(tmp_path / "out")]
    assert [record["try"] for record in records] == [1] * 4
    assert [record["seed"] for record in records] == [derive(1, {}, repeat, 1) for repeat in (1, 2, 3, 4)]
    full = [record for record in records if overflowed(record["links"])]
    assert bool(full) == (queue < 100)
    invalid = [record for record in records if record["invalid"] is not None]
    assert invalid == (full if drops == "invalid" else [])
    assert len(done.failures) == len(invalid)
    if invalid:
        with pytest.raises(RunFailed, match=r"fidelity\.queue_drops: count"):
            done.check()


def test_where_the_queue_dropped_the_expected_value_is_withheld(tmp_path: Path) -> None:
    text = (EXPERIMENTS / "fallback.yaml").read_text()
    sets = ("vary={}", "client.profile=v1", "connections=20", "paths.1.queue.down=2", "figures=[]")
    cases = {"none": "paths.*.loss.up=0", "count": "fidelity.queue_drops=count"}
    done = run(tmp_path, text, *sets, *cases.values())
    assert done.failures == []
    (row,) = load(tmp_path / "out").summary.to_dict("records")
    assert row["fallback_expected"] != row["fallback_expected"]
    assert row["expected_withheld"].startswith("queue overflow dropped ")
    assert "client-r1/backward" in row["expected_withheld"]


def test_only_the_machine_is_a_reason_for_another_try() -> None:
    late = RunOutcome(links=FULL, invalid="a wire was late")
    counted, invalid = Fidelity(), Fidelity(queue_drops="invalid")
    assert _with_queues(RunOutcome(links=FULL), counted).invalid is None
    alone = _with_queues(RunOutcome(links=FULL), invalid)
    assert (alone.retry, "3 packets on a-b/forward" in str(alone.invalid)) == (False, True)
    assert _with_queues(late, invalid).retry
    assert _with_queues(late, counted) == late


def test_shipped_experiments_with_a_closed_form_ask_for_invalid() -> None:
    asked = []
    for file in sorted(EXPERIMENTS.rglob("*.yaml")):
        loaded = load_experiment(file)
        if any(closed_form(written(plan.cell)) is not None for plan in loaded.cells):
            asked.append(file.stem)
            assert getattr(loaded.experiment.fidelity, "queue_drops") == "invalid", file  # noqa: B009
    assert len(asked) > 8
