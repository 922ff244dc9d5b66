"""`testbed reproduce` ends with how many numbers agree, and its exit status says the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.reproduce import Checked, Reproduction
from tests.cli.conftest import Done

Testbed = Callable[..., Done]


def made(agrees: list[bool | None], missing: list[str], failures: list[str]) -> Reproduction:
    numbers = tuple(
        Checked("fast_open", f"number {index}", "3.2 %", "2.9 %", one) for index, one in enumerate(agrees)
    )
    return Reproduction(Path("r/report.html"), dict.fromkeys(missing, "no lab here"), failures, numbers)


@pytest.mark.slow
def test_a_real_page_agrees_in_all_its_numbers(testbed: Testbed, tmp_path: Path) -> None:
    words = ("reproduce", "option_space", "capable_with_dss", "--quick", "--out", tmp_path)
    done = testbed(*words)
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1] == "25 of 25 numbers agree"
    data = json.loads(testbed(*words, "--json").out)
    assert (data["agree"], data["judged"], data["failures"]) == (25, 25, [])
    assert data["report"] == str(tmp_path / "report.html")
    assert {one["figure"] for one in data["numbers"]} == {"option_space", "capable_with_dss"}


def test_a_number_that_differs_is_named_and_ends_with_status_1(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.reproduce.reproduce", lambda *_, **__: made([True, False, None], [], []))
    done = testbed("reproduce", "fast_open")
    assert done.status == 1
    assert "differs  fast_open: number 1: 3.2 %, expected 2.9 %" in done.out
    assert done.out.splitlines()[-1] == "1 of 2 numbers agree"


@given(
    agrees=st.lists(st.sampled_from([True, False, None]), max_size=6),
    missing=st.lists(st.sampled_from(["a", "b"]), max_size=2),
    failures=st.lists(st.just("run 3 failed"), max_size=1),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_status_follows_from_the_numbers(
    testbed: Testbed, agrees: list[bool | None], missing: list[str], failures: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("testbed.reproduce.reproduce", lambda *_, **__: made(agrees, missing, failures))
        done = testbed("reproduce", "fast_open")
        data = json.loads(testbed("reproduce", "fast_open", "--json").out)
    judged, agree = len(agrees) - agrees.count(None), agrees.count(True)
    assert done.out.splitlines()[-1] == f"{agree} of {judged} numbers agree"
    assert (data["agree"], data["judged"], len(data["numbers"])) == (agree, judged, len(agrees))
    if failures or agree < judged:
        assert done.status == 1
    else:
        assert done.status == (3 if missing and not judged else 0)
