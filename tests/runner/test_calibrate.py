"""Links before a campaign: measured, compared with the request, and nothing is run where they miss it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import MachineError, RunFailed
from testbed.link import LinkParams
from testbed.net import check
from testbed.net.calibrate import Measured, Pair, measure
from testbed.results.calibration import HEAD, calibration_rows, calibration_table
from testbed.runner import Finished, calibrate, load_experiment, run_campaign
from testbed.runner.calibrate import measured
from testbed.runner.capacity import carried_rates
from testbed.runner.fidelity import Fidelity

MILLISECOND = 1_000_000
FAST = LinkParams(rate=20_000_000, queue=50, delay=5 * MILLISECOND)
EXACT = Measured(FAST.delay, 1000, 0, 20e6, 50)


def entry(
    monkeypatch: pytest.MonkeyPatch, *came: Measured, asked: LinkParams = FAST, **fidelity: Any
) -> dict[str, Any]:
    """What is written of a link whose forward direction came out so, try by try."""
    tries = list(came)

    def fake(pairs: list[Pair], seed: int) -> list[tuple[Measured, Measured]]:
        return [(tries.pop(0) if len(tries) > 1 else tries[0], EXACT)]

    monkeypatch.setattr("testbed.net.calibrate.measure", fake)
    (found,) = measured({(asked, FAST): ["a-b"]}, Fidelity(**fidelity), 1, lambda words: None)
    return found


def test_as_asked_for_is_no_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    found = entry(monkeypatch, EXACT)
    assert (found["missed"], found["tries"]) == ([], 1)


@pytest.mark.parametrize(
    ("came", "words"),
    [
        (Measured(FAST.delay + 3 * MILLISECOND, 1000, 0, 20e6, 50), "RTT 10 > 13.00"),
        (Measured(FAST.delay, 1000, 0, 19e6, 50), "forward rate 20 > 19.00"),
        (Measured(FAST.delay, 1000, 0, 20e6, 60), "forward queue 50 > 60"),
        (Measured(FAST.delay, 1000, 12, 20e6, 50), "forward loss 0 > 1.20"),
    ],
)
def test_what_misses_is_named_with_request_and_measurement(
    monkeypatch: pytest.MonkeyPatch, came: Measured, words: str
) -> None:
    found = entry(monkeypatch, came)
    assert (found["missed"], found["tries"]) == ([words], calibrate.TRIES)


def test_loss_is_judged_by_its_exact_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = LinkParams(rate=FAST.rate, queue=FAST.queue, delay=FAST.delay, loss=0.05)
    for lost, missed in ((50, []), (70, []), (90, ["forward loss 5 > 9.00"])):
        came = Measured(FAST.delay, 1000, lost, 20e6, 50)
        assert entry(monkeypatch, came, asked=lossy)["missed"] == missed


def test_a_miss_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Measured(FAST.delay + 3 * MILLISECOND, 1000, 0, 20e6, 50)
    found = entry(monkeypatch, late, EXACT)
    assert (found["missed"], found["tries"]) == ([], 2)


def test_links_that_were_measured_a_short_while_ago_are_not_measured_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = json.loads(json.dumps(entry(monkeypatch, EXACT)))
    slower = LinkParams(rate=FAST.rate // 2, queue=FAST.queue, delay=FAST.delay)
    asked: list[list[Pair]] = []

    def fake(pairs: list[Pair], seed: int) -> list[tuple[Measured, Measured]]:
        asked.append(pairs)
        return [(Measured(FAST.delay, 1000, 0, 10e6, 50), EXACT) for _ in pairs]

    monkeypatch.setattr("testbed.net.calibrate.measure", fake)
    links = {(FAST, FAST): ["c-d"], (slower, FAST): ["e-f"]}
    same, other = measured(links, Fidelity(), 1, lambda words: None, [good])
    assert asked == [[(slower, FAST)]]
    assert same == {**good, "links": ["c-d"]}
    assert (other["links"], other["missed"]) == (["e-f"], [])
    missed = json.loads(json.dumps(good))
    missed["forward"]["measured"]["rate"] = 1e6
    measured({(FAST, FAST): ["c-d"]}, Fidelity(), 1, lambda words: None, [missed])
    assert asked[1:] == [[(FAST, FAST)]] * calibrate.TRIES, "half the rate is a miss, each time"


def test_what_cannot_be_told_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    found = entry(monkeypatch, Measured(FAST.delay, 1000, 0))
    assert found["missed"] == []
    assert dict(zip(HEAD, calibration_rows([found])[0], strict=True))["rate, Mbit/s"] == "20 > ?"


@pytest.fixture
def a_lab() -> None:
    try:
        check()
    except MachineError as error:
        pytest.skip(str(error))


EXPERIMENT = """\
topology: {name: two_path, bw: 20, delay: 5ms}
vary: {paths.2.loss: [0, 20]}
workload: {request: 1KB, response: 1KB, arrivals: 100/s}
connections: 3
"""


def run(tmp_path: Path, *sets: str) -> Finished:
    file = tmp_path / "two.yaml"
    file.write_text(EXPERIMENT)
    campaign = load_experiment(file, sets)
    return run_campaign(campaign, net="mininet", way="a test", out=tmp_path / "out")


@pytest.mark.lab
def test_a_campaign_measures_its_links_once_and_without_their_jitter(tmp_path: Path, a_lab: None) -> None:
    sets = ("vary.paths.2.loss=[0]", "paths.1.jitter=5ms")
    run(tmp_path, *sets).check()
    before = calibration_table(tmp_path / "out")
    assert [row[0] for row in before] == ["client-r1, client-r2", ""]
    assert not any(row[-1] for row in before)
    assert run(tmp_path, *sets).done == 1
    assert calibration_table(tmp_path / "out") == before, "nothing was left to run, so nothing is measured"


@pytest.mark.lab
def test_nothing_is_run_where_links_miss_the_request(tmp_path: Path, a_lab: None) -> None:
    with pytest.raises(
        RunFailed,
        match=r"(?s)nothing was run \(asked for > measured\):\nclient-r1.*RTT 10 > .*fidelity.calibrate",
    ) as e:
        run(tmp_path, "fidelity.rtt_error=0ms")
    assert str(e.value).count("client-r2: ") == 2, "each of the two settings"
    entries = json.loads((tmp_path / "out" / "calibration.json").read_text())["links"]
    assert [found["tries"] for found in entries] == [3, 3]
    assert not list((tmp_path / "out").glob("runs/*"))


@pytest.mark.lab
def test_a_link_is_what_it_is_measured_to_be(a_lab: None) -> None:
    pair = (
        LinkParams(rate=5_000_000, queue=30, delay=20 * MILLISECOND, loss=0.1),
        LinkParams(rate=2_000_000, queue=20_000, queue_in_bytes=True, delay=MILLISECOND),
    )
    ((forward, backward),) = measure([pair], seed=3)
    assert 60 <= forward.lost <= 145
    assert forward.queue is not None
    assert abs(forward.queue - 30) <= 2
    assert backward.lost == 0
    assert backward.queue is not None
    assert abs(backward.queue - 20_000) <= 3_000


@pytest.mark.lab
def test_what_this_machine_carries(a_lab: None) -> None:
    steps = carried_rates(lambda step: None, rates=[2])
    assert [step.rate for step in steps] == [2]
    assert 0 < steps[0].goodput < 4
