"""The report of a run: it says what the terminal says and more, for every kind of experiment."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from testbed.cli.show import summary_table
from testbed.figures import write_report
from testbed.figures.topology import topology_svg
from testbed.plan import known_topologies, load_topology, plan_from, sketch
from testbed.results import Results, load
from testbed.runner import conclude, load_experiment, run_campaign

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
KINDS = {
    "losses": ("fallback.yaml", ["vary.paths.*.loss.up=[0, 20]", "connections=40"]),
    "requests": ("fallback.yaml", ["vary={}", "figures=[]", "connections=5", "client.profile=tcp"]),
    "two paths": ("bulk_paths.yaml", ["vary={}", "figures=[]", "workload.request=300KB"]),
    "rivals": ("dumbbell.yaml", ["vary.topology.rivals=[1, 2]", "workload.request=300KB"]),
    "cases": ("middleboxes.yaml", ["vary.client.profile=[v1]", "connections=1", "figures=[]"]),
    "flood": ("flood.yaml", ["vary.traffic.attacker.syn_flood=[10]", "connections=10", "workload.start=0"]),
    "invalid": (
        "fallback.yaml",
        ["vary={}", "figures=[]", "connections=20", "paths.1.queue.down=1", "workload.arrivals=1000/s"],
    ),
    "unfinished": (
        "bulk.yaml",
        ["vary={}", "workload.type=request", "workload.timeout=500ms"],
    ),
    "nothing arrives": ("fallback.yaml", ["vary={}", "figures=[]", "connections=3", "paths.*.loss.up=100"]),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(KINDS))
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    file, sets = KINDS[request.param]
    out = tmp_path_factory.mktemp("report") / "out"
    campaign = load_experiment(EXPERIMENTS / file, sets)
    run_campaign(campaign, net="sim", way="simulator, virtual time", out=out, jobs=1)
    conclude(out, campaign.experiment.figures)
    return load(out)


def page_of(results: Results) -> str:
    return (results.directory / "report.html").read_text(encoding="utf-8")


def test_it_holds_what_is_asked_of_it(results: Results) -> None:
    page = page_of(results)
    facts = results.environment
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    assert facts["question"] in text
    assert facts["source"].strip() in html.unescape(page)
    assert (results.directory / "experiment.yaml").read_text().strip() in html.unescape(page)
    assert 'class="net"' in page  # the drawing
    for link in facts["topology"]["links"]:
        assert f"{link['a']} – {link['b']}" in text
        assert link["up"] in text
    assert "<li>" in page.split('class="findings"')[1].split("</ul>")[0]
    assert str(facts["experiment"]["seed"]) in text
    if results.summary["duration_ms"].notna().any() or "case" in results.factors:
        assert 'class="plot"' in page


def test_it_says_nothing_that_means_nothing(results: Results) -> None:
    text = re.sub(r"<[^>]+>", " ", page_of(results).split("</style>")[1])
    assert not re.search(r"\b(nan|None|NaN|inf|undefined)\b", text)
    assert "{{" not in text


def test_it_needs_no_other_file(results: Results) -> None:
    page = page_of(results)
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "url(http" not in page
    assert page == write_report(load(results.directory), results.environment["figures"]).read_text()


def test_it_says_what_the_terminal_says(results: Results) -> None:
    """Every rate and every expected value of the terminal's table."""
    text = html.unescape(re.sub(r"<[^>]+>", "", page_of(results)))
    rates = re.findall(r"[0-9]+\.[0-9]{2}(?= \[)", summary_table(results))
    assert all(rate in text for rate in rates)
    for name in ("fallback", "reset"):
        for value in results.summary[f"{name}_expected"].dropna():
            if results.summary[name].sum():
                assert f"{100 * value:.2f}" in text
    for why in results.summary["expected_withheld"].dropna():
        assert not why or why in text
    reasons = {record["invalid"] for record in results.records if record["invalid"]}
    assert not reasons or any(reason in text for reason in reasons)
    if results.summary["unfinished"].sum():
        assert "raise the timeout" in text


@pytest.mark.parametrize("name", sorted(known_topologies()))
def test_every_topology_is_drawn(name: str) -> None:
    plan = plan_from(load_topology(name))
    drawn = topology_svg(sketch(plan))
    for node in plan.nodes:
        assert f">{node.name}<" in drawn
    assert drawn.count("<line") == len(plan.links)
    boxes = re.findall(r'<rect class="\w+" x="([^"]+)" y="([^"]+)"', drawn)
    assert len(set(boxes)) == len(plan.nodes)  # none hides another
    assert all(float(x) >= 0 and float(y) >= 0 for x, y in boxes)
