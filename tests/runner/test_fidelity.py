"""Which figures make a run in real time invalid, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.errors import UserError
from testbed.runner import load_experiment
from testbed.runner.fidelity import Fidelity, judge, too_late
from testbed.runner.network import base_rtt, network_of
from testbed.runner.spec import build

USUAL = {
    "wire_lateness_p50_us": 40.0,
    "wire_lateness_p99_us": 120.0,
    "wire_lateness_max_us": 5500.0,
    "wire_cpu_share": 0.06,
    "wire_write_errors": 0.0,
    "client_timer_lateness_p99_us": 48_000.0,
    "client_cpu_share": 0.1,
    "client_write_errors": 0.0,
    "client_tun_drops": 0.0,
    "machine_cpu_share": 1.0,
}


def test_a_machine_whose_cores_all_have_other_work_is_good_enough() -> None:
    assert judge(USUAL, Fidelity()) is None


@pytest.mark.parametrize(
    ("figure", "value", "words"),
    [
        ("wire_lateness_p99_us", 7100.0, "7.1 ms late or more, where fidelity.wire_lateness_p99 is 5 ms"),
        ("client_timer_lateness_p99_us", 250_000.0, "timers of client came 250 ms late or more, where"),
        ("wire_cpu_share", 0.93, "the wires took 93 % of a core, where fidelity.wire_cpu is 90 %"),
        ("server_cpu_share", 0.99, "server took 99 % of a core, where fidelity.host_cpu is 95 %"),
        ("wire_write_errors", 3.0, "wire could not write 3 packets, where fidelity.lost is 0"),
        ("server_write_errors", 1.0, "server could not write 1 packets"),
        ("wire_read_lateness_p99_us", 6000.0, "waited 6 ms or more before a wire read them, where"),
        ("server_read_lateness_p99_us", 300_000.0, "waited 300 ms or more before server read them"),
    ],
)  # fmt: skip
def test_what_broke_a_threshold_is_named_with_its_value(figure: str, value: float, words: str) -> None:
    assert words in (judge({**USUAL, figure: value}, Fidelity()) or "")


def test_all_that_broke_is_said() -> None:
    said = judge({"wire_cpu_share": 1.0, "wire_write_errors": 1.0}, Fidelity()) or ""
    assert "of a core" in said
    assert "could not write" in said


MS = 1_000_000
QUIET = {
    "wire_lateness_p50_us": 40.0,
    "wire_lateness_p99_us": 120.0,
    "wire_read_lateness_p50_us": 0.0,
    "wire_read_lateness_p99_us": 300.0,
    "client_timer_lateness_p50_us": 60.0,
    "client_timer_lateness_p99_us": 900.0,
    "client_read_lateness_p50_us": 10.0,
    "client_read_lateness_p99_us": 700.0,
    "server_timer_lateness_p50_us": 60.0,
    "server_timer_lateness_p99_us": 900.0,
    "server_read_lateness_p50_us": 10.0,
    "server_read_lateness_p99_us": 700.0,
    "machine_cpu_share": 1.0,
}


def keys(figures: dict[str, float], base_rtt: int, **thresholds: Any) -> list[str]:
    return [reason["key"] for reason in too_late(figures, Fidelity(**thresholds), base_rtt)]


def test_times_of_a_quiet_machine_count() -> None:
    assert keys(QUIET, 20 * MS) == []
    assert keys(QUIET, 0) == []
    assert too_late({}, Fidelity(), 0) == []


STAGES = [name.removesuffix("_p99_us") for name in QUIET if name.endswith("_p99_us")]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("base_rtt", "half", "most"),
    [(0, 500, 2000), (4 * MS, 500, 2000), (20 * MS, 1000, 5000), (400 * MS, 20_000, 100_000)],
)
def test_two_limits_of_lateness_at_every_stage(stage: str, base_rtt: int, half: int, most: int) -> None:
    """max(0.5 ms, 5 % of the base RTT) at p50, max(2 ms, 25 %) at p99; reads count as timers and wires do."""
    assert keys({f"{stage}_p50_us": half * 0.45}, base_rtt) == []
    assert keys({f"{stage}_p50_us": half + 1.0}, base_rtt) == ["late_p50"]
    assert keys({f"{stage}_p99_us": float(most)}, base_rtt) == []
    assert keys({f"{stage}_p99_us": most + 1.0}, base_rtt) == ["late_p99"]
    assert keys({f"{stage}_p99_us": most + 1.0}, base_rtt, late_p99=2 * most * 1000) == []


def test_what_is_late_is_named_with_its_limit() -> None:
    figures = {**QUIET, "server_read_lateness_p50_us": 3100.0}
    (reason,) = too_late(figures, Fidelity(), 20 * MS)
    assert reason["value"] == pytest.approx(3.1)
    for words in (
        "half of the packets waited 3.1 ms",
        "server",
        "fidelity.late_p50",
        "5 % of the base RTT of 20 ms",
    ):
        assert words in reason["text"]


def test_many_small_waits_of_a_round_trip_add_up() -> None:
    figures = {name: 400.0 for name in QUIET if name.endswith("_p50_us")}
    (reason,) = too_late(figures, Fidelity(), 20 * MS)
    assert "half of the round trips took 2.4 ms too long" in reason["text"]


def test_a_late_flood_changes_no_time() -> None:
    figures = {**QUIET, "attacker_timer_lateness_p99_us": 90_000.0, "attacker_read_lateness_p50_us": 9000.0}
    assert too_late(figures, Fidelity(), 20 * MS, {"attacker"}) == []
    assert len(too_late(figures, Fidelity(), 20 * MS)) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("topology: {name: two_path, delay: 10ms}", 20),
        ("topology: {name: two_path, delay: 10ms}\npaths.2.delay: 30ms", 20),
        ("topology: {name: two_path, delay: 10ms}\npaths.*.delay: 30ms", 60),
        ("topology: {name: two_path, delay: 10ms}\npaths.1.delay.up: 1ms", 11),
        ("topology: {name: two_path, delay: 10ms}\npaths.1.at: {3s: {delay: 2ms}}", 4),
    ],
)
def test_the_smallest_base_rtt(tmp_path: Path, text: str, expected: int) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(text + "\n")
    assert base_rtt(network_of(load_experiment(file).cells[0].cell)) == expected * MS


def experiment(tmp_path: Path, text: str) -> Fidelity:
    file = tmp_path / "one.yaml"
    file.write_text("topology: {name: two_path}\n" + text)
    return build(Fidelity, load_experiment(file).experiment.fidelity)


def test_thresholds_stand_in_the_experiment(tmp_path: Path) -> None:
    assert experiment(tmp_path, "") == Fidelity()
    given = experiment(tmp_path, "fidelity: {wire_lateness_p99: 500us, host_cpu: 60%, lost: 2}\n")
    assert given == Fidelity(wire_lateness_p99=500_000, host_cpu=0.6, lost=2)


def test_written_out_they_read_the_same(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("topology: {name: two_path}\nfidelity: {wire_cpu: 12.5%, timer_lateness_p99: 1500us}\n")
    (tmp_path / "again.yaml").write_text(text := load_experiment(file).text())
    assert "wire_cpu: 12.5%" in text
    assert load_experiment(tmp_path / "again.yaml").text().split("\n", 1)[1] == text.split("\n", 1)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("wire_lateness: 1ms", r":2: fidelity.wire_lateness: unknown key; did you mean wire_lateness_p99\?"),
        ("wire_lateness_p99: 2", "wire_lateness_p99: expected a time with its unit"),
        ("host_cpu: much", "host_cpu: expected a percentage such as 90%"),
    ],
)  # fmt: skip
def test_a_wrong_threshold_names_its_place(tmp_path: Path, words: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        experiment(tmp_path, f"fidelity: {{{words}}}\n")
