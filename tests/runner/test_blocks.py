"""The order of runs: blocks in a lab, drawn from the seed; in the simulator nothing depends on the order."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.records import RECORD, ROWS, every_run, finished_runs
from testbed.runner import load_experiment, run_campaign
from testbed.runner.blocks import in_blocks, separable, split
from testbed.runner.network import network_of
from tests.runner.test_campaign import FAKE, marks, started

__all__ = ["marks"]

SIX = {
    "topology": {"name": "two_path"},
    "vary": {"client.profile": ["v0", "draft", "v1"], "paths.*.loss.up": [0, 5]},
    "connections": 30,
    "seed": 5,
}


def go(document: dict[str, Any], net: str, out: str, jobs: int = 1, backend: str | None = FAKE) -> None:
    file = Path("order.yaml")
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    campaign = load_experiment(file, ["fidelity.calibrate=false"])
    run_campaign(campaign, net=net, way="a test", out=Path(out), jobs=jobs, backend=backend)


def cells(names: list[str]) -> list[str]:
    return [name.rsplit("-p", 1)[0] for name in names]


def test_a_lab_runs_blocks_of_all_cells_in_random_order(marks: Path) -> None:
    go(SIX, "mininet", "out")
    names = started(marks)
    assert len(names) == 18
    blocks = [cells(names[first : first + 6]) for first in (0, 6, 12)]
    for block in blocks:
        assert len(set(block)) == 6, "each block holds one run of every cell"
    assert len({tuple(block) for block in blocks}) > 1
    assert blocks[0] != sorted(blocks[0])
    records = [record for _, record in finished_runs(Path("out"))]
    assert [record["settings"]["connections"] for record in records] == [10] * 18
    assert len({record["seed"] for record in records}) == 18


def test_the_order_comes_from_the_seed_and_names_do_not_depend_on_it(marks: Path) -> None:
    for out, seed in (("one", 5), ("two", 5), ("three", 6)):
        go(SIX | {"seed": seed}, "mininet", out)
    orders = [started(marks)[first : first + 18] for first in (0, 18, 36)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    names = [sorted(path.name for path, _ in every_run(Path(out))) for out in ("one", "two", "three")]
    assert names[0] == names[1] == names[2]


def test_blocks_of_one_do_not_spread_connections(marks: Path) -> None:
    go(SIX | {"blocks": 1}, "mininet", "out")
    assert {record["settings"]["connections"] for _, record in finished_runs(Path("out"))} == {30}


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 20), st.integers(1, 6), min_size=1), st.integers(0, 2**62))
def test_each_block_holds_every_cell_that_has_runs_left(runs: dict[int, int], seed: int) -> None:
    items = [(cell, number) for cell, count in runs.items() for number in range(count)]
    ordered = in_blocks(items, lambda item: item[0], seed)
    assert Counter(ordered) == Counter(items)
    assert ordered == in_blocks(items, lambda item: item[0], seed)
    first = 0
    for block in range(max(runs.values())):
        inside = {cell for cell, count in runs.items() if count > block}
        here = ordered[first : first + len(inside)]
        assert {cell for cell, _ in here} == inside
        assert {number for _, number in here} == {block}
        first += len(inside)


@given(st.integers(1, 10_000), st.integers(1, 40))
def test_parts_are_equal_and_none_is_empty(count: int, parts: int) -> None:
    sizes = split(count, parts)
    assert sum(sizes) == count
    assert len(sizes) == min(count, parts)
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


ONCE_IN_A_RUN = [
    {"workload": {"type": "bulk"}},
    {"client": {"fast_open": True}, "server": {"fast_open": True, "syn_cookies": "off"}},
    {"paths.1.at": {"3s": {"loss": 100}}},
    {"paths.2.blackout": ["2s-3s"]},
    {"paths.1.drop.up": "data@2"},
    {"paths.1.drop.up": "third_ack:5@all"},
    {"paths.1.drop.up": "packet:7"},
    {"links.client-r1.at": {"1s": {"delay": "30ms"}}},
]
IN_EVERY_CONNECTION = [
    {},
    {"workload": {"type": "http"}},
    {"paths.1.drop.up": "third_ack"},
    {"paths.*.loss": 5, "paths.1.middlebox.up": "nat"},
    {"paths.2.burst": {"p": "1%", "r": "25%"}},
]


@pytest.mark.parametrize(
    ("change", "expected"),
    [(one, False) for one in ONCE_IN_A_RUN] + [(one, True) for one in IN_EVERY_CONNECTION],
)
def test_what_happens_once_in_a_run_is_not_spread(
    tmp_path: Path, change: dict[str, Any], expected: bool
) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(yaml.safe_dump({"topology": {"name": "two_path"}, "connections": 30, **change}))
    cell = load_experiment(file).cells[0].cell
    assert separable(cell, network_of(cell)) is expected


ROUGH: dict[str, Any] = {
    "topology": {"name": "two_path", "bw": 10, "delay": "10ms"},
    "vary": {"client.profile": ["v0", "v1"], "paths.*.loss.up": [0, 20]},
    "paths.*.reorder.down": 5,
    "paths.*.queue": 1000,  # nothing overflows, so that each run is valid
    "workload": {"type": "request", "request": "3KB", "response": "30KB", "arrivals": "100/s"},
    "connections": 15,
    "repeats": 2,
    "seed": 9,
}


def contents(out: str) -> dict[str, tuple[bytes, bytes]]:
    return {
        path.name: ((path / RECORD).read_bytes(), (path / ROWS).read_bytes())
        for path, _ in every_run(Path(out))
    }


def test_simulated_records_depend_neither_on_the_order_nor_on_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker, three workers, another seed of Python's hashes, values the other way round, and only one
    cell after the other: the same bytes for the same run."""
    monkeypatch.chdir(tmp_path)
    go(ROUGH, "sim", "one", backend=None)
    reference = contents("one")
    assert len(reference) == 8
    for number, (jobs, hashes) in enumerate(((3, "0"), (2, "1"), (1, "12345"))):
        monkeypatch.setitem(os.environ, "PYTHONHASHSEED", hashes)
        go(ROUGH, "sim", f"many-{number}", jobs=jobs, backend=None)
        assert contents(f"many-{number}") == reference
    turned = ROUGH | {"vary": {key: values[::-1] for key, values in ROUGH["vary"].items()}}
    go(turned, "sim", "turned", backend=None)
    by_seed = {record["seed"]: path for path, record in every_run(Path("one"))}
    for path, record in every_run(Path("turned")):
        there = by_seed[record["seed"]]
        assert (path / ROWS).read_bytes() == (there / ROWS).read_bytes()


def test_a_simulated_experiment_that_grows_holds_what_it_would_hold_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values and repeats that are added one after the other leave the same rows as all of them at once."""
    monkeypatch.chdir(tmp_path)
    small = ROUGH | {"vary": {"client.profile": ["v1"], "paths.*.loss.up": [20]}, "repeats": 1}
    go(small, "sim", "grown", backend=None)
    go(small | {"repeats": 2}, "sim", "grown", backend=None)
    go(ROUGH, "sim", "grown", backend=None)
    go(ROUGH, "sim", "fresh", backend=None)
    rows = [
        [
            (record["cell"], record["repeat"], (path / ROWS).read_bytes())
            for path, record in finished_runs(Path(out))
        ]
        for out in ("grown", "fresh")
    ]
    assert rows[0] == rows[1]
