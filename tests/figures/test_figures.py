"""Figures and the report: files written, what they show, and what is said where rows do not suit them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from testbed.errors import UserError
from testbed.figures import FIGURES, draw, write_report
from testbed.figures.fallback_by_loss import draw as draw_fallback
from testbed.model import predict
from testbed.results import Results, load
from tests.figures import synthetic

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "fallback.yaml"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return load(synthetic.write(tmp_path_factory.mktemp("synthetic"), EXPERIMENT, ["connections=200"]))


def test_both_files_and_the_same_bytes_again(results: Results, tmp_path: Path) -> None:
    svg, png = draw("fallback_by_loss", [results])
    assert (svg.name, png.name) == ("fallback_by_loss.svg", "fallback_by_loss.png")
    assert png.read_bytes().startswith(b"\x89PNG")
    again, _ = draw("fallback_by_loss", [results], tmp_path)
    assert again.read_bytes() == svg.read_bytes()
    text = svg.read_text()
    for words in (
        "RFC 6824",
        "RFC 8684",
        "closed form",
        "95 % interval",
        "seed 1",
        "n = 200",
        "0123456789ab",
    ):
        assert words in text, words


def test_points_stand_at_the_rates_of_the_summary(results: Results) -> None:
    linear = draw_fallback([results]).axes[0]
    drawn = [container.lines[0].get_ydata() for container in linear.containers]
    for points, profile in zip(drawn, ("v0", "draft", "v1"), strict=True):
        rows = results.summary[results.summary["client.profile"] == profile]
        assert np.allclose(points, 100 * rows["fallback_rate"])
    # v0 first: its points stand at the loss itself, where its line is steep.
    assert np.allclose(linear.containers[0].lines[0].get_xdata(), [0, 1, 2, 5, 10, 20])


def test_the_line_is_the_closed_form(results: Results) -> None:
    linear = draw_fallback([results]).axes[0]
    lines = [line for line in linear.get_lines() if len(line.get_xdata()) == 400]
    assert len(lines) == 3
    for line, profile in zip(lines, ("v0", "draft", "v1"), strict=True):
        said = [100 * predict(profile, loss / 100, 1, 2, syns=7).fallback for loss in line.get_xdata()]
        assert np.allclose(line.get_ydata(), said)


def test_two_ways_of_running_lie_over_one_another(results: Results) -> None:
    linear = draw_fallback([results, results]).axes[0]
    assert len(linear.containers) == 6


def test_every_registered_figure_can_be_drawn(results: Results, tmp_path: Path) -> None:
    for name in FIGURES.keys() - {"case_matrix"}:  # it needs cases: tests/runner/test_cases.py
        for file in draw(name, [results], tmp_path):
            assert file.stat().st_size > 5_000


def test_rows_without_a_varied_loss_are_an_error(tmp_path: Path, results: Results) -> None:
    bare = Results(
        tmp_path,
        results.connections,
        results.summary,
        {},
        [{**record, "factors": {"client.profile": "v0"}} for record in results.records],
    )
    with pytest.raises(UserError, match="needs one varied loss"):
        draw("fallback_by_loss", [bare])
    with pytest.raises(UserError, match="no figure is called 'x'; there are fallback_by_loss"):
        draw("x", [results])


def test_the_report_needs_no_other_file(results: Results) -> None:
    page = write_report(results).read_text()
    assert "How often does MPTCP fall back" in page
    assert page.count("<svg") == 1
    assert "cookie_without_key" in page
    assert "draft-paasch-mptcp-syncookies-02 §2" in page
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "{{" not in page
    commits = {json.dumps(record["commit"]) for record in results.records}
    assert all(json.loads(commit) in page for commit in commits)
