"""Order, tries, resuming and interrupts, with a backend that takes no time."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import MachineError, RunFailed, UserError
from testbed.records import RECORD, finished_runs
from testbed.runner import Campaign, Finished, default_jobs, load_experiment, run_campaign

FAKE = "tests.runner.fake_backend:run"
ROOT = Path(__file__).parents[2]
TEXT = """\
topology: {name: two_path}
vary:
  client.profile: [v0, draft, v1]
  connections: [1, 2]
seed: 5
"""


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "marks"
    directory.mkdir()
    monkeypatch.setenv("MARKS", str(directory))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return directory


def campaign(*sets: str) -> Campaign:
    file = Path("small.yaml")
    file.write_text(TEXT)
    return load_experiment(file, sets)


def go(*sets: str, out: str | None = "out", jobs: int = 1, fresh: bool = False, net: str = "sim") -> Finished:
    return run_campaign(
        campaign(*(["fidelity.calibrate=false", "blocks=1"] if net == "mininet" else []), *sets),
        net=net,
        way="fake",
        out=Path(out) if out else None,
        jobs=jobs,
        fresh=fresh,
        backend=FAKE,
    )


def started(marks: Path) -> list[str]:
    return [file.name.split(" ", 1)[1] for file in sorted(marks.glob("* *"))]


NAMES = ["000-v0-1", "001-v0-2", "002-draft-1", "003-draft-2", "004-v1-1", "005-v1-2"]


def test_runs_in_the_order_of_the_file(marks: Path) -> None:
    done = go()
    assert started(marks) == NAMES
    assert done.failures == []
    records = [record for _, record in finished_runs(Path("out"))]
    assert [record["run"] for record in records] == NAMES
    assert len({record["seed"] for record in records}) == 6
    assert (Path("out") / "runs" / NAMES[0] / "run.log").read_text() == "a line for the log\n"
    environment = json.loads((Path("out") / "environment.json").read_text())
    assert environment["way"] == "fake"
    assert environment["experiment"]["seed"] == 5


def test_seeds_depend_on_the_cell_alone(marks: Path) -> None:
    go(out="all")
    go("vary.connections=[2]", "vary.client.profile=[v1, v0]", out="some", jobs=2)
    seeds = [
        {tuple(record["factors"].items()): record["seed"] for _, record in finished_runs(Path(out))}
        for out in ("all", "some")
    ]
    for factors, seed in seeds[1].items():
        assert seeds[0][factors] == seed


def test_every_repeat_has_its_own_seed(marks: Path) -> None:
    go("repeats=3", "vary.client.profile=[v1]", "vary.connections=[1]")
    records = [record for _, record in finished_runs(Path("out"))]
    assert [record["repeat"] for record in records] == [1, 2, 3]
    assert len({record["seed"] for record in records}) == 3


def test_finished_runs_are_not_repeated(marks: Path) -> None:
    go()
    assert go().done == 6
    assert len(started(marks)) == 6


def test_resumes_at_the_first_missing_run(marks: Path) -> None:
    go()
    for name in NAMES[2:4]:
        (Path("out") / "runs" / name / RECORD).unlink()
    before = len(started(marks))
    go()
    assert started(marks)[before:] == NAMES[2:4]


def test_an_invalid_run_has_three_tries_and_all_are_kept(
    marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVALID", "002-draft")
    done = go(net="mininet")
    names = ["002-draft-1", "002-draft-1.try2", "002-draft-1.try3"]
    assert sorted(started(marks)) == sorted(NAMES[:2] + names + NAMES[3:])  # a lab's order is random
    assert [one for one in started(marks) if one in names] == names
    assert all((Path("out") / "runs" / name / RECORD).exists() for name in names)
    with pytest.raises(RunFailed, match="invalid after 3 tries: a queue overflowed"):
        done.check()
    monkeypatch.delenv("INVALID")
    assert len(go(net="mininet").failures) == 1  # said again, not tried again
    assert len(started(marks)) == 8


def test_the_second_try_may_be_valid(marks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVALID", "002-draft-1$")
    assert go(net="mininet").failures == []
    names = ["002-draft-1", "002-draft-1.try2"]
    assert sorted(started(marks)) == sorted(NAMES[:2] + names + NAMES[3:])
    assert [one for one in started(marks) if one in names] == names
    seeds = {record["run"]: record["seed"] for _, record in finished_runs(Path("out"))}
    assert seeds[names[0]] != seeds[names[1]]


@pytest.mark.parametrize(("net", "invalid"), [("sim", "INVALID"), ("sim", "FULL"), ("mininet", "FULL")])
def test_a_run_that_its_network_made_invalid_is_never_repeated(
    marks: Path, monkeypatch: pytest.MonkeyPatch, net: str, invalid: str
) -> None:
    monkeypatch.setenv(invalid, "002-draft")
    done = go(net=net)
    assert sorted(started(marks)) == NAMES
    with pytest.raises(RunFailed, match="002-draft-1: invalid and not repeated: a queue overflowed"):
        done.check()
    monkeypatch.delenv(invalid)
    assert len(go(net=net).failures) == 1
    assert sorted(started(marks)) == NAMES


@pytest.mark.parametrize(
    ("variable", "words"), [("FAIL", "the lab did not come up"), ("CRASH", "killed by signal 9")]
)
def test_a_failed_run_is_told_and_tried_by_the_next_call(
    marks: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: str
) -> None:
    monkeypatch.setenv(variable, "003-draft")
    done = go(jobs=2)
    assert len(started(marks)) == 6
    with pytest.raises(RunFailed, match=words):
        done.check()
    monkeypatch.delenv(variable)
    assert go().failures == []
    assert started(marks)[6:] == ["003-draft-2"]


def test_a_machine_that_lacks_something_ends_it(marks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINE", "001")
    with pytest.raises(MachineError, match="apt-get install mininet"):
        go()
    assert started(marks) == NAMES[:2]


def test_another_experiment_in_the_same_directory_is_an_error(marks: Path) -> None:
    go()
    with pytest.raises(UserError, match=r"out: holds another experiment \(seed: 5 there, 6 now\)"):
        go("seed=6")
    assert len(list(finished_runs(Path("out")))) == 6
    done = go("seed=6", fresh=True)
    assert done.moved == Path("out.old-1")
    assert len(list(finished_runs(done.moved))) == 6
    assert len(started(marks)) == 12


def test_a_directory_of_something_else_is_left_alone(marks: Path) -> None:
    Path("out").mkdir()
    (Path("out") / "thesis.tex").write_text("x")
    for fresh in (False, True):
        with pytest.raises(UserError, match=r"not empty and has no experiment\.yaml"):
            go(fresh=fresh)
    assert [file.name for file in Path("out").iterdir()] == ["thesis.tex"]


def test_the_default_directory_moves_on_for_another_experiment(marks: Path) -> None:
    assert go(out=None).directory == Path("results/small-sim")
    assert go("seed=6", out=None).directory == Path("results/small-sim-2")
    assert go("seed=6", out=None).directory == Path("results/small-sim-2")
    assert go(out=None).directory == Path("results/small-sim")
    assert len(started(marks)) == 12


def test_two_runners_do_not_share_a_directory(marks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANG", "001")
    process = runner()
    try:
        wait_for(marks / "hanging", process)
        monkeypatch.delenv("HANG")
        with pytest.raises(UserError, match="another testbed run is writing there"):
            go()
    finally:
        process.kill()
        process.wait()


def runner() -> subprocess.Popen[bytes]:
    """The same campaign in a process of its own."""
    Path("small.yaml").write_text(TEXT)
    code = (
        "from pathlib import Path\n"
        "from testbed.runner import load_experiment, run_campaign\n"
        f"run_campaign(load_experiment('small.yaml'), net='sim', way='fake', out=Path('out'), jobs=1, "
        f"backend={FAKE!r})\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    while not file.exists() or not file.read_text():
        assert process.poll() is None, "the runner ended first"
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_runner_leaves_no_worker_and_no_half_record(
    marks: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setenv("HANG", "003")
    process = runner()
    wait_for(marks / "hanging", process)
    worker = int((marks / "hanging").read_text())
    handle = os.pidfd_open(worker)
    process.send_signal(how)
    assert process.wait(30) != 0
    assert select.select([handle], [], [], 30)[0], "the worker lives on"
    os.close(handle)
    assert not list(Path("out").rglob("*.partial"))
    assert not (Path("out") / "runs" / "003-draft-2" / RECORD).exists()
    finished = [record["run"] for _, record in finished_runs(Path("out"))]
    assert finished == NAMES[:3]
    monkeypatch.delenv("HANG")
    before = len(started(marks))
    go()
    assert started(marks)[before:] == [name for name in NAMES if name not in finished]


@pytest.mark.parametrize(
    ("net", "workloads", "cores", "jobs"),
    [
        ("sim", {"bulk"}, 4, 4),
        ("mininet", {"request"}, 2, 5),
        ("mininet", {"bulk"}, 2, 1),
        ("mininet", {"request", "bulk"}, 8, 4),
        ("mininet", {"bulk"}, 1, 1),
    ],
)
def test_runs_at_a_time(net: str, workloads: set[str], cores: int, jobs: int) -> None:
    """Labs that wait share a core; bulk transfers get one to themselves, with room for the wires."""
    assert default_jobs(net, workloads, cores) == jobs
