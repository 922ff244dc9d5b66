"""A time limit of the harness is not a finding: what hangs, what is unfinished, what only takes long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.linux.endpoint import KernelEndpoint
from testbed.mptcp.config import ClientConfig, Profile
from testbed.mptcp.wire import Segment
from testbed.results import load
from testbed.results.join import join
from testbed.runner.backends import _longest
from testbed.runner.unfinished import unfinished_runs
from testbed.workloads import HostSpec, Row, Workload
from testbed.workloads.outcome import unfinished
from testbed.workloads.spec import LONGEST
from tests.sim.cells import SECOND, ends, run_cell

SLACK = SECOND // 5  # that a packet may wait in the queue of five and on its way
SLOW = {"paths.*.rate": "100kbit"}
ROOT = Path(__file__).parents[2]


def slow(kind: Any, timeout: int, size: int = 1_000_000, **more: Any) -> Row:
    """The client's row of one upload at 100 kbit/s: 1 MB takes about 85 s."""
    overrides = {**SLOW, **more.pop("overrides", {})}
    workload = Workload(type=kind, request=size, response=more.pop("response", 0), timeout=timeout)
    outcome = run_cell(more.pop("profile", Profile.V1), overrides=overrides, workload=workload, **more)
    assert outcome.invalid is None
    return ends(outcome)[0][0]


@pytest.mark.parametrize("profile", [Profile.TCP, Profile.V0, Profile.V1])
@pytest.mark.parametrize(("request_size", "response"), [(1_000_000, 0), (1, 1_000_000)])
def test_a_bulk_transfer_goes_on_while_data_moves(profile: Profile, request_size: int, response: int) -> None:
    row = slow("bulk", 20 * SECOND, request_size, profile=profile, response=response)
    assert row["verdict"] == ("tcp" if profile is Profile.TCP else "mptcp")
    assert row["intact"]
    assert int(str(row["done_ns"])) > 80 * SECOND


def test_a_request_that_still_moves_data_at_its_limit_is_unfinished() -> None:
    row = slow("request", 20 * SECOND)
    assert (row["verdict"], row["reason"]) == ("unfinished", "time_limit")
    assert 150_000 < int(str(row["bytes_sent"])) < 260_000  # the bytes so far


def test_a_bulk_transfer_has_one_hour_or_its_timeout() -> None:
    size = 3_600 * 100_000 // 8  # a little more than fits into an hour with its headers
    row = slow("bulk", 20 * SECOND, size)
    assert (row["verdict"], row["reason"]) == ("unfinished", "time_limit")
    assert int(str(row["bytes_sent"])) > 0.9 * size
    row = slow("bulk", 4_000 * SECOND, size)
    assert (row["verdict"], row["intact"]) == ("mptcp", True)
    assert Workload(type="bulk", timeout=1).limit == LONGEST
    assert Workload(type="bulk", timeout=LONGEST + 1).limit == LONGEST + 1
    assert Workload(type="http", timeout=5).limit == 5


def test_a_bulk_transfer_that_falls_silent_hangs_after_its_timeout() -> None:
    row = slow("bulk", 20 * SECOND, overrides={"paths.*.blackout": "30s-1000s"})
    assert (row["verdict"], row["reason"]) == ("hang", "no_progress")
    assert 100_000 < int(str(row["bytes_sent"])) < 400_000


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["request", "http", "bulk"]),
    timeout=st.sampled_from([1, 3, 8, 20]),
    up=st.booleans(),
    size=st.sampled_from([2_000, 600_000, 4_000_000]),
    dark=st.tuples(st.integers(0, 25), st.sampled_from([0, 1, 5, 15, 300])),
    loss=st.sampled_from([0, 10]),
    seed=st.integers(0, 1_000),
)
def test_a_hang_is_silent_and_what_is_unfinished_is_not(
    kind: Any, timeout: int, up: bool, size: int, dark: tuple[int, int], loss: int, seed: int
) -> None:
    """Against the packets that the client's link let through, whatever the network does."""
    begin, length = dark
    overrides: dict[str, object] = {"paths.*.rate": 1, "paths.*.queue": 5, "paths.*.loss": loss}
    if length:
        overrides["paths.*.blackout"] = f"{begin}s-{begin + length}s"
    request, response = (min(size, 8_000) if kind == "http" else size, 300) if up else (300, size)
    workload = Workload(kind, request, response, timeout=timeout * SECOND)
    every: list[int] = []  # packets at the client's link, and those of them that brought data to the client
    brought: list[int] = []

    def watch(now: int, link: str, way: str, segment: Segment, dropped: str | None) -> None:
        if dropped is None and link == "client-r1":
            every.append(now)
            if way == "backward" and segment.payload:
                brought.append(now)

    outcome = run_cell(Profile.V1, overrides=overrides, workload=workload, seed=seed, capture=watch)
    assert outcome.invalid is None
    (row,) = join(outcome.rows)
    (client_row, _), *_ = ends(outcome)
    ended = int(str(row["opened_ns"])) + workload.timeout  # of a request
    if row["verdict"] == "unfinished":
        assert row["reason"] == "time_limit"
        assert kind != "bulk"  # none of these takes an hour
        assert any(ended - workload.timeout // 2 - SLACK <= at <= ended for at in every)
        assert unfinished(outcome.rows)["connections"] == 1
    elif row["verdict"] == "hang":
        assert row["reason"] == "no_progress"
        assert length or loss, "nothing stood in its way"
        if kind != "bulk" and not loss:
            half = ended - workload.timeout // 2
            assert not any(half + SLACK <= at <= ended - SLACK for at in brought)
    else:
        assert row["verdict"] in ("mptcp", "fallback")
        assert client_row["intact"]


@pytest.mark.parametrize(
    ("kind", "count", "arrivals", "last"),
    [("request", 1, 0.01, 500), ("http", 500, 40.0, 16), ("bulk", 1, 1.0, 0)],
)
def test_a_lab_waits_for_the_last_connections_limit(
    kind: Any, count: int, arrivals: float, last: float
) -> None:
    """`last`: seconds within which the last connection opens, but for one run in some hundred."""
    workload = Workload(type=kind, arrivals=arrivals, start=5 * SECOND)
    config = ClientConfig()
    ends = ("10.0.0.1",), ("10.0.0.2",)
    spec = HostSpec("c", "client", *ends, 80, config, workload=workload, connections=count)
    assert _longest((spec,)) > last + (workload.start + workload.limit) / SECOND


def test_the_kernels_connections_are_asked_for_their_progress() -> None:
    """A description is as of now, also in the middle of a transfer, where no event asks the kernel."""
    asked = []

    class Seen:
        def observe(self) -> None:
            asked.append("observe")

        def report(self) -> str:
            asked.append("report")
            return "said"

    endpoint = KernelEndpoint(dict)
    endpoint._connections[7] = Seen()  # type: ignore[assignment]
    assert endpoint.describe(7) == "said"  # type: ignore[comparison-overlap]
    assert asked == ["observe", "report"]


UNFINISHED = """\
topology: {name: two_path, bw: 0.5}
client: {paths: {endpoints: []}}
server: {paths: {endpoints: []}}
workload: {type: request, response: 1MB, arrivals: 1/s, timeout: 5s}
"""


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ("", 1),
        ("expect: unfinished\n", 0),
        ("expect: {v0: unfinished, any: mptcp}\n", 1),
        ("cases: {one: {expect: [unfinished, mptcp]}}\n", 0),
        ("cases: {one: {expect: mptcp}}\n", 1),
        ("cases: {one: {}}\n", 1),
    ],
)
def test_unfinished_connections_end_with_status_1(tmp_path: Path, more: str, status: int) -> None:
    (tmp_path / "one.yaml").write_text(UNFINISHED + more)
    command = [sys.executable, "-m", "testbed.cli", "run", "one.yaml", "--net", "sim", "--out", "out"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "unfinished" in done.stdout
    assert "nan" not in done.stdout
    assert ("raise workload.timeout (now 5s)" in done.stderr) == (status == 1)
    row = load(tmp_path / "out").summary.iloc[0]
    assert (row["unfinished"], row["hang"], row["served"]) == (1, 0, 0)
    assert len(unfinished_runs(tmp_path / "out")) == status


@pytest.mark.parametrize("kind", ["request", "bulk"])
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("begin", range(400, 1_600, 150))
def test_the_client_always_gives_up_first(kind: Any, way: str, begin: int) -> None:
    """Whichever direction goes dark, and when: a reset by the server's application would hide the verdict."""
    overrides: dict[str, object] = {"paths.*.rate": 1, f"paths.*.blackout.{way}": f"{begin}ms-600s"}
    for request, response in ((300, 2_000_000), (2_000_000, 300)):
        workload = Workload(kind, request, response, arrivals=100.0, timeout=3 * SECOND)
        outcome = run_cell(Profile.V1, overrides=overrides, workload=workload)
        (row,) = join(outcome.rows)
        assert row["verdict"] in ("hang", "unfinished"), row
        assert row["server_verdict"] != "unfinished", row
