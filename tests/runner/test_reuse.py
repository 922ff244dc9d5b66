"""Finished runs are used again: an experiment that grows runs only what is new, another code is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import UserError
from testbed.records import RECORD, RUNS, every_run, finished_runs, read_record
from testbed.results import load, write_tables
from testbed.runner import Progress, identity, load_experiment, run_campaign
from testbed.runner.executions import Planned, plan_runs
from tests.runner.test_campaign import FAKE, marks, started

__all__ = ["marks"]

BASE: dict[str, Any] = {
    "topology": {"name": "two_path"},
    "vary": {"client.profile": ["v0", "v1"]},
    "workload": {"type": "request"},
    "connections": 6,
    "seed": 5,
}


def go(document: dict[str, Any], net: str = "sim", out: str | None = "out", **more: Any) -> list[str]:
    """Runs it with the backend of test_campaign; returns what was said meanwhile."""
    file = Path("grow.yaml")
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    said: list[str] = []

    def watch(progress: Progress) -> None:
        said.extend(progress.notices)
        progress.notices.clear()

    campaign = load_experiment(file, ["fidelity.calibrate=false"])
    run_campaign(
        campaign, net=net, way="fake", out=out and Path(out), jobs=1, watch=watch, backend=FAKE, **more
    )
    return said


def sizes(out: str = "out") -> dict[tuple[Any, ...], int]:
    """Connections of each cell, over all its runs that count."""
    found: dict[tuple[Any, ...], int] = {}
    for _, record in finished_runs(Path(out)):
        key = (*record["factors"].values(), record["repeat"])
        found[key] = found.get(key, 0) + record["settings"]["connections"]
    return found


GROWN = [
    ({"vary": {"client.profile": ["draft", "v1", "v0"]}}, {"000-draft"}),
    ({"repeats": 3}, {"000-v0-r2", "000-v0-r3", "001-v1-r2", "001-v1-r3"}),
    ({"connections": 10}, {"000-v0-p2", "001-v1-p2"}),
    ({"question": "why?", "jobs": 1, "figures": []}, set()),
]


@pytest.mark.parametrize(("change", "new"), GROWN)
def test_an_experiment_that_grows_runs_only_what_is_new(
    marks: Path, change: dict[str, Any], new: set[str]
) -> None:
    go(BASE)
    before = {path.name: (path / RECORD).read_bytes() for path, _ in every_run(Path("out"))}
    go(BASE | change)
    assert set(started(marks)[2:]) == new
    for name, text in before.items():
        assert (Path("out") / "runs" / name / RECORD).read_bytes() == text, "a finished run is left alone"
    wanted = (BASE | change)["connections"]
    assert set(sizes().values()) == {wanted}
    assert yaml.safe_load((Path("out") / "experiment.yaml").read_text())["connections"] == wanted
    summary = write_tables(Path("out"))
    assert list(summary["client.profile"]) == (BASE | change)["vary"]["client.profile"]


def test_more_cases_run_alone_and_what_is_expected_may_change(marks: Path) -> None:
    cases = {"plain": {"expect": "mptcp"}, "tcp": {"client.profile": "tcp"}}
    plain = {key: value for key, value in BASE.items() if key != "vary"}
    go(plain | {"cases": cases})
    more = {"nat": {"paths.1.middlebox.up": "nat"}, "plain": {"expect": "fallback"}, "tcp": cases["tcp"]}
    go(plain | {"cases": more})
    assert started(marks)[2:] == ["000-nat"]
    results = load("out")
    assert list(results.summary["case"]) == ["nat", "plain", "tcp"]
    assert results.settings(1)["expect"] == {"any": ["fallback"]}


def test_a_case_that_changed_is_another_experiment(marks: Path) -> None:
    plain = {key: value for key, value in BASE.items() if key != "vary"}
    go(plain | {"cases": {"one": {"client.profile": "tcp"}}})
    with pytest.raises(UserError, match=r"holds another experiment \(cases"):
        go(plain | {"cases": {"one": {"client.profile": "v1"}}})


@pytest.mark.parametrize(
    "change",
    [{"vary": {"client.profile": ["v0"]}}, {"connections": 5}, {"seed": 6}, {"client": {"syn_retries": 3}}],
)
def test_an_experiment_that_shrinks_or_changes_is_another_one(marks: Path, change: dict[str, Any]) -> None:
    go(BASE)
    with pytest.raises(UserError, match="holds another experiment"):
        go(BASE | change)
    assert set(sizes().values()) == {6}, "what was there still counts"


def test_connections_that_compete_are_run_together(marks: Path) -> None:
    """More connections in a bulk cell is another load: a part of them is no part of the result."""
    bulk = BASE | {"workload": {"type": "bulk"}}
    go(bulk)
    go(bulk | {"connections": 8})
    assert len(started(marks)) == 4
    assert set(sizes().values()) == {8}
    assert all(record["settings"]["connections"] == 8 for _, record in finished_runs(Path("out")))


def test_a_topology_file_that_changed_runs_again(marks: Path) -> None:
    text = (Path(__file__).parents[2] / "topologies" / "two_path.py").read_text()
    Path("mine.py").write_text(text)
    mine = BASE | {"topology": {"file": "mine.py"}}
    go(mine)
    go(mine)
    assert len(started(marks)) == 2
    assert 'delay="10ms"' in text or "10ms" in text
    Path("mine.py").write_text(text.replace("10ms", "11ms"))
    from testbed.runner import network

    network._plain_network.cache_clear()
    go(mine)
    assert len(started(marks)) == 4


def another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("identity", "executions", "campaign"):
        monkeypatch.setattr(f"testbed.runner.{module}.code_version", lambda: "abcdef012345")


def test_another_version_of_the_code_is_named_and_runs_again(
    marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(BASE)
    was = identity.code_version()
    another_version(monkeypatch)
    said = " ".join(go(BASE))
    assert "2 finished runs were made by another version of the code" in said
    assert was in said
    assert "abcdef012345" in said
    assert "--reuse-old" in said
    assert len(started(marks)) == 4
    assert len(list(finished_runs(Path("out")))) == 2, "only the new ones count"
    assert len(list(every_run(Path("out")))) == 4, "and the old ones are kept"
    assert {record["code"] for _, record in finished_runs(Path("out"))} == {"abcdef012345"}
    assert go(BASE) == []
    assert len(started(marks)) == 4


def test_reuse_old_counts_them(marks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(BASE)
    another_version(monkeypatch)
    said = " ".join(go(BASE | {"repeats": 2}, reuse_old=True))
    assert "they count (--reuse-old)" in said
    assert len(started(marks)) == 4
    assert len(list(finished_runs(Path("out")))) == 4


def age(out: Path) -> None:
    """Makes a directory what an earlier version of the testbed left."""
    (out / RUNS).unlink()
    for path, record in every_run(out):
        for key in ("part", "code", "digest", "late"):
            record.pop(key, None)
        del record["settings"]["mptcp" if "mptcp" in record["settings"] else "traffic"]
        (path / RECORD).write_text(json.dumps(record))
    document = yaml.safe_load((out / "experiment.yaml").read_text())
    del document["blocks"], document["fidelity"]["rtt_error"]
    (out / "experiment.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def test_old_directories_load_and_resume(marks: Path) -> None:
    go(BASE)
    (Path("out") / "runs" / "001-v1" / RECORD).unlink()
    age(Path("out"))
    assert len(load("out").summary) == 1
    go(BASE)
    assert started(marks)[2:] == ["001-v1"]
    assert len(load("out").summary) == 2


def test_an_interrupted_lab_goes_on_with_the_parts_that_are_missing(marks: Path) -> None:
    go(BASE, "mininet")
    names = sorted(started(marks))
    assert names == [f"{cell}-p{part}" for cell in ("000-v0", "001-v1") for part in (1, 2, 3)]
    for name in ("000-v0-p1", "001-v1-p2"):
        (Path("out") / "runs" / name / RECORD).unlink()
    go(BASE, "mininet")
    assert sorted(started(marks)[6:]) == ["000-v0-p1", "001-v1-p2"]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documents")


def planned(folder: Path, document: dict[str, Any], net: str, there: list[dict[str, Any]]) -> Planned:
    file = folder / "one.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return plan_runs(load_experiment(file), net, there, "c0ffee")


def record_of(plan: Planned, place: int) -> dict[str, Any]:
    """As campaign.py writes it, as far as planning reads it."""
    one = plan.executions[place]
    run = one.next_run()
    assert run is not None
    return {
        "run": run.name,
        "settings": {"connections": run.connections},
        "seed": run.seed,
        "repeat": run.repeat,
        "part": run.part,
        "code": identity.code_version(),
        "digest": run.digest,
        "invalid": None,
    }


STEP = st.tuples(st.sets(st.sampled_from(["v0", "draft", "v1", "tcp"])), st.integers(0, 5), st.integers(0, 2))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(STEP, min_size=1, max_size=4),
    st.sampled_from(["sim", "mininet"]),
    st.randoms(use_true_random=False),
)
def test_however_it_grows_every_connection_is_run_once(
    documents: Path, steps: list[tuple[set[str], int, int]], net: str, rng: Any
) -> None:
    """Grown in any steps, interrupted at any run: each cell has its number of connections, names are never
    used twice, and no finished run that is still wanted is left out."""
    profiles, connections, repeats = ["v1"], 4, 1
    there: list[dict[str, Any]] = []
    for more, connections_more, repeats_more in steps:
        profiles += sorted(more - set(profiles))
        rng.shuffle(profiles)
        connections, repeats = connections + connections_more, repeats + repeats_more
        document = {
            **BASE,
            "vary": {"client.profile": list(profiles)},
            "connections": connections,
            "repeats": repeats,
        }
        plan = planned(documents, document, net, there)
        used = {str(record["run"]) for one in plan.executions for record in one.tries.values()}
        assert used == {record["run"] for record in there}, "all that is there is used again"
        per_cell: dict[tuple[int, int], int] = {}
        for one in plan.executions:
            key = one.plan.index, one.repeat
            per_cell[key] = per_cell.get(key, 0) + one.connections
        assert len(per_cell) == len(profiles) * repeats
        assert set(per_cell.values()) == {connections}
        names = [one.base for one in plan.executions]
        assert len(set(names)) == len(names)
        missing = [place for place, one in enumerate(plan.executions) if not one.tries]
        rng.shuffle(missing)
        interrupted = rng.random() < 0.3
        there += [record_of(plan, place) for place in missing[: len(missing) // 2 if interrupted else None]]


def test_records_name_what_they_were_made_from(marks: Path) -> None:
    go(BASE)
    record = read_record(Path("out/runs/000-v0"))
    assert record is not None
    assert record["code"] == identity.code_version()
    assert record["digest"] == identity.record_digest(record)
