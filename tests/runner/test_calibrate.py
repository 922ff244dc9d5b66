"""Links before a campaign: measured, compared with the request, and nothing is run where they miss it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import MachineError, RunFailed
from testbed.link import LinkParams
from testbed.net import check
from testbed.net.calibrate import Measured, Pair, measure
from testbed.results import exact_interval
from testbed.results.calibration import HEAD, calibration_rows, calibration_table
from testbed.runner import Finished, calibrate, load_experiment, run_campaign
from testbed.runner.calibrate import measured
from testbed.runner.capacity import carried_rates
from testbed.runner.fidelity import Fidelity
from testbed.runner.spec import build

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


def fails(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    came: Callable[[Pair], tuple[Measured, Measured]],
    text: str,
) -> str:
    """The error of a campaign whose links were measured so; '' where it begins."""
    monkeypatch.setattr("testbed.net.calibrate.measure", lambda pairs, seed: [came(pair) for pair in pairs])
    folder.mkdir(exist_ok=True)
    file = folder / "one.yaml"
    file.write_text(text)
    campaign = load_experiment(file)
    cells = [plan.cell for plan in campaign.cells]
    fidelity = build(Fidelity, campaign.experiment.fidelity)
    try:
        calibrate.calibrate(cells, fidelity, 1, folder, lambda words: None)
    except RunFailed as error:
        return str(error)
    return ""


def exactly(params: LinkParams) -> Measured:
    lost = round(1000 * params.loss)
    return Measured(params.delay, 1000, lost, params.rate and float(params.rate), params.queue)


MANY = """\
topology: {name: two_path, bw: 20, delay: 5ms}
vary: {paths.2.loss: [0, 1, 2, 5, 10, 20, 30], client.profile: [v1]}
"""


def late_by(delay: int) -> Callable[[Pair], tuple[Measured, Measured]]:
    return lambda pair: (replace(exactly(pair[0]), delay=pair[0].delay + delay), exactly(pair[1]))


def test_misses_of_a_busy_machine_are_one_group_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Seven settings that are 3.2 ms late were seven lines and a dead end."""
    said = fails(monkeypatch, tmp_path, late_by(3_200_000), MANY)
    assert "7 of 7 link settings" in said
    assert "RTT: 7 settings, up to 3.2 ms off, fidelity.rtt_error allows 1 ms: client-r1" in said
    assert "; and 4 more" in said
    assert "--net sim" in said
    assert "--set fidelity.rtt_error=4ms" in said
    assert "fidelity.calibrate=false" in said
    assert "calibration.json" in said
    assert len(said.splitlines()) <= 8


def test_the_simulator_is_no_way_out_for_linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = MANY.replace("[v1]", "[kernel]")
    assert "--net sim" not in fails(monkeypatch, tmp_path, late_by(3_200_000), text)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    delay=st.integers(0, 9_000_000),
    slower=st.floats(0, 0.3),
    shorter=st.integers(0, 60),
    lost=st.integers(0, 40),
)
def test_whatever_misses_is_named_with_its_key_and_allowing_it_helps(
    tmp_path_factory: pytest.TempPathFactory, delay: int, slower: float, shorter: int, lost: int
) -> None:
    """Each quantity that is off stands in one line, with its key; the settings that the error proposes let
    the campaign begin, unless the loss is wrong."""

    def came(pair: Pair) -> tuple[Measured, Measured]:
        forward, backward = pair
        assert forward.rate is not None
        measured_forward = Measured(
            forward.delay + delay, 1000, lost, forward.rate * (1 - slower), forward.queue - shorter
        )
        return measured_forward, exactly(backward)

    text = "topology: {name: two_path, bw: 20, delay: 5ms}\n"
    folder = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        said = fails(patch, folder, came, text)
        lines = [line.split(":")[0].strip() for line in said.splitlines()[1:] if ">" in line]
        assert lines == list(dict.fromkeys(lines))
        assert ("RTT" in lines) == (delay > 1_000_000)
        assert ("rate" in lines) == (abs((1 - slower) - 1) > 0.02)
        assert ("queue" in lines) == (shorter > 2)
        low, _ = exact_interval(lost, 1000, calibrate.CONFIDENCE)
        assert ("loss" in lines) == (low > 0)
        assert bool(said) == bool(lines)
        if said and "loss" not in lines:
            wider = re.findall(r"--set fidelity\.(\w+_error)=(\S+)", said)
            keys = ", ".join(f"{key}: {value}" for key, value in wider)
            assert fails(patch, folder, came, f"{text}fidelity: {{{keys}}}\n") == ""


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
    assert run(tmp_path, *sets).done == 3
    assert calibration_table(tmp_path / "out") == before, "nothing was left to run, so nothing is measured"


@pytest.mark.lab
def test_nothing_is_run_where_links_miss_the_request(tmp_path: Path, a_lab: None) -> None:
    with pytest.raises(RunFailed, match=r"nothing was run \(asked for > measured\):\n  RTT: 2 settings") as e:
        run(tmp_path, "fidelity.rtt_error=0ms")
    assert str(e.value).count("client-r2 RTT 10 > ") == 2, "each of the two settings"
    assert "--net sim" in str(e.value)
    assert "fidelity.rtt_error=" in str(e.value)
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
