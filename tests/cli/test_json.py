"""`--json`: one value that every JSON parser reads, the same numbers as the text, and keys that stay."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.bench import labs, paths
from testbed.bench.end import Report
from testbed.bench.turns import Transfer
from testbed.cli.json_output import plain
from tests.cli.conftest import Done

Testbed = Callable[..., Done]
ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "experiments" / "fallback.yaml"
SETS = ("connections=20", "vary.paths.*.loss.up=[0, 20]", "vary.client.profile=[v0, tcp]")
FLAGS = [word for text in SETS for word in ("--set", text)]


def strict(text: str) -> Any:
    """As other languages read it: NaN and Infinity are errors."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert text.endswith("\n")
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json") / "out"


def test_run_and_results(testbed: Testbed, ran: Path) -> None:
    done = testbed("run", EXPERIMENT, "--net", "sim", "--out", ran, *FLAGS, "--json")
    assert done.status == 0, done.err
    data = strict(done.out)
    keys = {"directory", "factors", "cells", "warnings", "figures", "report", "unexpected", "failures"}
    assert set(data) == keys
    assert (data["directory"], data["unexpected"], data["failures"]) == (str(ran), [], [])
    assert data["figures"] == [str(ran / "fallback_by_loss.png")]
    assert data["report"] == str(ran / "report.html")
    again = strict(testbed("results", ran, "--json").out)
    assert set(again) == {"directory", "factors", "cells"}
    with (ran / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(again["cells"]) == 4
    for row, cell in zip(rows, again["cells"], strict=True):
        flat = {**cell["factors"], **{key: value for key, value in cell.items() if key != "factors"}}
        assert set(flat) == set(row)  # every column, under its name
        for name, text in row.items():
            value = flat[name]
            if text == "":
                assert value is None, name  # what does not exist
            elif isinstance(value, str):
                assert value == text
            else:
                assert value == pytest.approx(float(text), rel=1e-5), name
    assert any(cell["fallback_goodput_mbit"] is None for cell in again["cells"])
    refused = testbed("results", ran, "--json", "--csv")
    assert (refused.status, refused.out) == (2, "")


def test_a_run_with_a_failure_says_so_and_ends_with_status_1(testbed: Testbed, tmp_path: Path) -> None:
    sets = ["vary={}", "figures=[]", "connections=3", "cases={a: {expect: hang}}"]
    words = [word for text in sets for word in ("--set", text)]
    done = testbed("run", EXPERIMENT, "--net", "sim", "--out", tmp_path / "out", *words, "--json")
    assert done.status == 1
    (surprise,) = strict(done.out)["unexpected"]
    assert surprise["case"] == "a"
    assert "expected hang" in surprise["outcome"]


def test_wrong_input_leaves_standard_output_empty(testbed: Testbed) -> None:
    for words in (
        ["run", "nothing.yaml", "--json"],
        ["results", "nowhere", "--json"],
        ["topo", "show", "nowhere", "--json"],
        ["explain", "nothing_like_it", "--json"],
        ["model", "fallback", "--profile", "v9", "--loss", "1", "--json"],
        ["bench", "paths", "--rounds", "0", "--json"],
        ["reproduce", "fig_99", "--json"],
    ):
        done = testbed(*words)
        assert (done.status, done.out) == (2, ""), words


TOPOLOGIES = sorted(file.stem for file in (ROOT / "topologies").glob("*.py"))


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_topo_show(testbed: Testbed, name: str) -> None:
    """A sweep over every topology: links and paths refer to what is there."""
    data = strict(testbed("topo", "show", name, "--json").out)
    assert set(data) == {"name", "parameters", "nodes", "links", "paths"}
    nodes = {node["name"]: node for node in data["nodes"]}
    links = {link["name"] for link in data["links"]}
    shown = testbed("topo", "show", name).out
    for link in data["links"]:
        for end in ("a", "b"):
            assert link[end]["node"] in nodes
            for address in link[end]["addresses"]:
                assert address.split("/")[0] in nodes[link[end]["node"]]["addresses"]
        if link["shaped"]:
            assert link["forward"]["text"] in shown
    for path in data["paths"]:
        assert path["client_address"] in nodes[path["client"]]["addresses"]
        assert {hop["link"] for hop in (*path["up"], *path["down"])} <= links


def test_topo_list_doctor_and_model(testbed: Testbed) -> None:
    listed = strict(testbed("topo", "list", "--json").out)
    assert {one["name"] for one in listed} >= set(TOPOLOGIES)
    assert set(listed[0]) == {"name", "what"}
    done = testbed("doctor", "--json")
    assert done.status in (0, 3)
    data = strict(done.out)
    assert data["way"] in ("root", "user", "sim")
    assert {key for one in data["checks"] for key in one} == {"name", "found", "needed", "detail", "remedy"}
    assert (done.status == 3) == any(one["needed"] and not one["found"] for one in data["checks"])
    assert strict(testbed("doctor", "--way", "--json").out) == {"way": data["way"]}
    model = strict(testbed("model", "fallback", "--profile", "v0", "--loss", "5", "--json").out)
    assert set(model) == {"mptcp", "tcp", "fallback", "reset", "hang", "by_syn", "by_key"}


def test_doctor_names_the_remedy(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.doctor.SEARCH", "/nowhere")
    done = testbed("doctor", "--json")
    assert done.status == 3
    (check,) = (one for one in strict(done.out)["checks"] if one["name"] == "ifconfig")
    assert check["remedy"] == "sudo apt-get install net-tools"


def transfer(seconds: float) -> Transfer:
    report = Report(bytes=1_000_000, seconds=seconds, cpu=0.1, subflows=2, multipath=True)
    return Transfer(report, report)


@pytest.mark.skipif(sys.platform != "linux", reason="bench needs Linux")
def test_bench(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = paths.Outcome(ours=[transfer(1.0)], linux=[transfer(0.5)], capacity=16e6)
    monkeypatch.setattr("testbed.bench.paths.measure", lambda *_: outcome)
    data = strict(testbed("bench", "paths", "--json").out)
    assert set(data) == {"ratios", "capacity_bits_per_second", "ours", "linux"}
    assert (data["ratios"], data["capacity_bits_per_second"]) == ([0.5], 16e6)
    assert data["ours"][0]["goodput_bits_per_second"] == 8e6
    assert data["linux"][0]["sender"]["subflows"] == 2
    turn = labs.Turn(up=0.1, down=0.2, errors=0, whole=1.0, cpu=0.5)
    timed = labs.Outcome(19, {labs.LAB: [turn], labs.SHAPED: [turn], labs.PLAIN: [turn]})
    monkeypatch.setattr("testbed.bench.labs.measure", lambda *_: timed)
    data = strict(testbed("bench", "labs", "--json").out)
    assert (data["hosts"], data["turns"][labs.LAB][0]["up"]) == (19, 0.1)
    rows = [{"profile": "v1", "syns": 10, "bytes": None}, {"profile": "v0", "syns": 10, "bytes": 5}]
    monkeypatch.setattr("testbed.bench.half_open.measure", lambda *_, **__: rows)
    out = testbed("bench", "half-open", "--json").out
    assert [json.loads(line) for line in out.splitlines()] == rows


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(values)
def test_every_measured_value_becomes_json(value: Any) -> None:
    """The property: plain() leaves what JSON can hold as it is, and nothing that JSON cannot hold."""

    def expected(one: Any) -> Any:
        if isinstance(one, dict):
            return {key: expected(inner) for key, inner in one.items()}
        if isinstance(one, list | tuple):
            return [expected(inner) for inner in one]
        return None if isinstance(one, float) and not math.isfinite(one) else one

    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected(value)
