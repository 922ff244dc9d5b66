"""The experiments of experiments/seed, a few connections each, against what the closed forms say of them.

Each rate inside the exact 99.9 % interval. `testbed run --net sim` with the same --set replays a failure.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.results import Results, exact_interval, load
from testbed.runner import load_experiment, run_campaign

SEED = Path(__file__).parents[2] / "experiments" / "seed"
LOSS = "vary.paths.*.loss.up=[20]"
ORDER = "vary.paths.*.reorder.up=[20, 40]"


def simulate(name: str, out: Path, *sets: str) -> Results:
    campaign = load_experiment(SEED / f"{name}.yaml", sets)
    run_campaign(campaign, net="sim", way="the simulator", out=out).check()
    return load(out)


def hold_against_closed_form(results: Results) -> None:
    for row in results.summary.to_dict("records"):
        for verdict in ("fallback", "reset", "hang"):
            low, high = exact_interval(row[verdict], row["connections"])
            assert low <= row[f"{verdict}_expected"] <= high, row
        assert row["damaged"] == 0, row


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("cookie_loss", LOSS),
        pytest.param("isn_recovery", LOSS, marks=pytest.mark.slow),
        ("overtaking", ORDER),
        pytest.param("piggyback", LOSS, marks=pytest.mark.slow),
        pytest.param("fast_open", LOSS, marks=pytest.mark.slow),
    ],
)
def test_rates_are_where_the_closed_forms_are(name: str, cut: str, tmp_path: Path) -> None:
    hold_against_closed_form(simulate(name, tmp_path / "out", cut, "connections=300"))


@pytest.mark.slow
def test_multipath_tcp_hangs_as_often_as_tcp_where_the_server_speaks_first(tmp_path: Path) -> None:
    sets = [LOSS, "vary.workload.request=[0]", "vary.client.profile=[v0, draft, v1]", "connections=300"]
    results = simulate("cookie_loss", tmp_path / "out", *sets, "server.profiles=[v1, draft, v0]")
    hold_against_closed_form(results)
    assert results.summary["hang"].min() > 30


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "response"), [("draft", "4KB"), ("v1", "14KB")])
def test_a_key_said_once_is_lost_with_longer_responses_too(
    profile: str, response: str, tmp_path: Path
) -> None:
    sets = [LOSS, f"vary.client.profile=[{profile}]", "vary.client.mptcp.repeat_keys=[false]"]
    results = simulate(
        "fast_open", tmp_path / "out", *sets, "connections=300", f"workload.response={response}"
    )
    hold_against_closed_form(results)
    assert results.summary["fallback"].min() > 30
