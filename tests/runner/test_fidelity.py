"""Which figures make a run in real time invalid, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import UserError
from testbed.runner import load_experiment
from testbed.runner.fidelity import Fidelity, judge
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
    ],
)  # fmt: skip
def test_what_broke_a_threshold_is_named_with_its_value(figure: str, value: float, words: str) -> None:
    assert words in (judge({**USUAL, figure: value}, Fidelity()) or "")


def test_all_that_broke_is_said() -> None:
    said = judge({"wire_cpu_share": 1.0, "wire_write_errors": 1.0}, Fidelity()) or ""
    assert "of a core" in said
    assert "could not write" in said


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
