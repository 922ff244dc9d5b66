"""The download time: in rows, summary, tables and figures, and the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.cli.show import summary_table, tables
from testbed.errors import UserError
from testbed.figures import FIGURES, draw
from testbed.results import Results, load, matrix
from testbed.runner import load_experiment, run_campaign

TEXT = """\
topology: {name: two_path, bw: 10}
workload: {type: request, request: 300B, response: 200KB, arrivals: 2/s}
connections: 6
"""


def results(path: Path, *sets: str, text: str = TEXT) -> Results:
    (path / "one.yaml").write_text(text)
    campaign = load_experiment(path / "one.yaml", sets)
    run_campaign(campaign, net="sim", way="simulator", out=path / "out", jobs=1).check()
    return load(path / "out")


def test_a_download_has_its_time(tmp_path: Path) -> None:
    found = results(tmp_path, "repeats=3")
    rows = found.connections
    assert list(rows["duration_ms"]) == list((rows["done_ns"] - rows["opened_ns"]) / 1e6)
    assert (rows["duration_ms"] > 8 * 200_000 / 20e6 * 1e3).all()  # both paths carry 20 Mbit/s
    (row,) = found.summary.to_dict("records")
    assert row["duration_ms"] == pytest.approx(rows["duration_ms"].mean(), rel=1e-5)
    assert row["duration_ms_low"] <= row["duration_ms"] <= row["duration_ms_high"]
    shown = f"{row['duration_ms']:.1f} [{row['duration_ms_low']:.1f}, {row['duration_ms_high']:.1f}]"
    assert shown in summary_table(found)


@pytest.mark.parametrize("kind", ["request", "http", "bulk"])
@pytest.mark.parametrize(("up", "down"), [("300B", "50KB"), ("5KB", "1B"), ("300KB", "0")])
@pytest.mark.parametrize("loss", [0, 10])
def test_bytes_over_time_are_the_goodput(tmp_path: Path, kind: str, up: str, down: str, loss: int) -> None:
    if kind == "http" and (up, down) != ("300B", "50KB"):
        up, down = "300B", "1KB"
    rows = results(
        tmp_path, f"workload.type={kind}", f"workload.request={up}", f"workload.response={down}",
        f"paths.*.loss={loss}",
    ).connections  # fmt: skip
    done = rows[rows["duration_ms"].notna()]
    assert len(done) >= 5
    carried = (done["bytes_up"] + done["bytes_down"]) * 8 / (done["duration_ms"] * 1e3)
    assert list(carried) == pytest.approx(list(done["goodput_mbit"]))
    assert (done["duration_ms"] >= done["setup_ms"]).all()


def test_who_never_gets_the_last_byte_has_no_time(tmp_path: Path) -> None:
    found = results(tmp_path, "paths.*.loss.down=100", "workload.timeout=5s")
    assert found.connections["duration_ms"].isna().all()
    assert "nan" not in summary_table(found)
    with pytest.raises(UserError, match="no connection has a duration_ms"):
        draw("duration", [found])


@pytest.mark.parametrize(
    "vary",
    [
        {},
        {"paths.*.delay": "[5ms, 20ms]"},
        {"paths.*.rate": "[2, 5, 10]", "client.profile": "[tcp, v1]"},
        {"connections": "[1, 2, 3, 4]"},
    ],
)
@pytest.mark.parametrize("name", ["duration", "goodput"])
def test_the_figure_draws_every_cell(tmp_path: Path, vary: dict[str, Any], name: str) -> None:
    sets = [f"vary.{key}={value}" for key, value in vary.items()]
    found = results(tmp_path, *sets)
    svg, _ = draw(name, [found])
    assert FIGURES[name].title
    assert svg.read_bytes() == draw(name, [found])[0].read_bytes()  # the same rows, the same bytes
    text = svg.read_text()
    for factor in vary:
        for value in found.summary[factor].unique():
            assert f">{value}" in text or f", {value}" in text or factor in text


def test_cases_print_both_tables(tmp_path: Path) -> None:
    text = TEXT + "cases: {plain: {expect: mptcp}, NAT: {paths.1.middlebox.up: nat, expect: mptcp}}\n"
    found = results(tmp_path, text=text)
    shown = tables(found, matrix(found))
    assert "2 of 2 cells as expected" in shown
    assert "duration ms" in shown.split("as expected")[1]
    plain, nat = found.summary["goodput_mbit"]
    assert nat == pytest.approx(plain, rel=0.05)  # no row of the server's belongs to the NAT's ports
