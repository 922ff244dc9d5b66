"""run_in_lab: a whole run with the userspace stack, from specifications to rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import RunFailed, UserError
from testbed.mptcp.config import SECOND, ClientConfig, Profile, ServerConfig, SynCookies
from testbed.net import run_in_lab
from testbed.net.job import Job, Result
from testbed.net.programs import Program, wait_done
from testbed.plan import NetPlan
from testbed.workloads import HostSpec, Row, RunOutcome, Workload, overflowed
from tests.net.needs import lab_only, two_path


def specs(
    plan: NetPlan,
    connections: int = 4,
    profile: Profile = Profile.V1,
    workload: Workload | None = None,
    **client: Any,
) -> tuple[HostSpec, HostSpec]:
    near, far = plan.addresses("client"), plan.addresses("server")
    common: dict[str, Any] = {"workload": workload or Workload(), "connections": connections, "seed": 5}
    return (
        HostSpec("client", "client", near, far, client=ClientConfig(profile=profile, **client), **common),
        HostSpec("server", "server", far, near, server=ServerConfig(syn_cookies=SynCookies.ALWAYS), **common),
    )


def test_a_job_survives_the_way_to_the_lab(tmp_path: Path) -> None:
    plan = two_path({"paths.1.drop.up": "third_ack + data:1", "paths.2.loss": 5})
    job = Job(plan, specs(plan), seed=9, capture=True, timeout=12.5, cpu=3)
    job.write(tmp_path)
    assert Job.read(tmp_path) == job


def test_a_result_survives_the_way_back(tmp_path: Path) -> None:
    rows: list[Row] = [{"host": "client", "bytes_sent": 7, "reason": None, "paths": [{"name": "1"}]}]
    outcome = RunOutcome(rows=rows, fidelity={"wire_p50_us": 1.5}, invalid="it rained")
    for result in (Result(outcome=outcome), Result(3, "no tun")):
        result.write(tmp_path)
        assert Result.read(tmp_path) == result


def test_an_address_outside_the_host_is_the_users_error(tmp_path: Path) -> None:
    plan = two_path()
    client = HostSpec("client", "client", ("10.9.9.9",), ("10.1.1.1",), client=ClientConfig())
    with pytest.raises(
        UserError, match=r"client has no address 10\.9\.9\.9; it has 10\.0\.1\.1, 10\.0\.2\.1"
    ):
        run_in_lab(plan, [client], 1, directory=tmp_path)


@pytest.mark.lab
@lab_only
@pytest.mark.parametrize("profile", [Profile.TCP, Profile.V0, Profile.DRAFT, Profile.V1])
def test_connections_of_every_profile_are_recorded_at_both_ends(tmp_path: Path, profile: Profile) -> None:
    plan = two_path(delay="2ms")
    outcome = run_in_lab(plan, specs(plan, 4, profile), 5, directory=tmp_path, capture=True, timeout=30)
    assert outcome.invalid is None
    expected = "tcp" if profile is Profile.TCP else "mptcp"
    for role in ("client", "server"):
        rows = [row for row in outcome.rows if row["role"] == role]
        assert [row["verdict"] for row in rows] == [expected] * 4, rows
        assert all(row["intact"] for row in rows)
        assert all(row["profile"] == profile for row in rows)
    ports = {role: {row[f"{side}_port"] for row in outcome.rows if row["role"] == role}
             for role, side in (("client", "local"), ("server", "remote"))}  # fmt: skip
    assert ports["client"] == ports["server"]
    assert outcome.links["client-r1/forward"]["packets"] > 4 * 4
    joined = outcome.links["client-r2/forward"]["packets"] > 0
    assert joined == (profile is not Profile.TCP)
    assert {"wire_lateness_p99_us", "client_cpu_share", "server_cpu_share"} <= set(outcome.fidelity)
    assert [Path(name).exists() for name in outcome.captures] == [True, True]


@pytest.mark.lab
@lab_only
def test_rows_tell_what_became_of_data_in_the_syn(tmp_path: Path) -> None:
    plan = two_path(delay="2ms")
    near, far = specs(plan, 3, fast_open=True)
    server = ServerConfig(fast_open=True, syn_cookies=SynCookies.OFF)
    outcome = run_in_lab(plan, (near, replace(far, server=server)), 5, directory=tmp_path, timeout=30)
    assert [row["verdict"] for row in outcome.rows] == ["mptcp"] * 6
    for role in ("client", "server"):
        seen = {(row["fast_open"], row["syn_data"]) for row in outcome.rows if row["role"] == role}
        assert seen == {("cookie", 0), ("accepted", 300)}


@pytest.mark.lab
@lab_only
def test_an_exact_drop_on_the_wire_makes_the_client_fall_back(tmp_path: Path) -> None:
    plan = two_path({"paths.1.drop.up": "third_ack"}, delay="2ms")
    outcome = run_in_lab(plan, specs(plan, 3, Profile.V0), 5, directory=tmp_path, timeout=30)
    client = [row for row in outcome.rows if row["role"] == "client"]
    assert [row["verdict"] for row in client] == ["fallback"] * 3
    assert all(row["intact"] for row in client)
    assert outcome.links["client-r1/forward"]["dropped"]["exact"] == 3


@pytest.mark.lab
@lab_only
def test_a_run_that_does_not_end_in_time_is_invalid_and_keeps_its_rows(tmp_path: Path) -> None:
    plan = two_path({"paths.*.loss.up": 100}, delay="1ms")
    outcome = run_in_lab(plan, specs(plan, 1), 5, directory=tmp_path, timeout=0.5)
    assert outcome.invalid is not None
    assert "client had not finished after 0.5 s" in outcome.invalid
    assert [row["role"] for row in outcome.rows] == ["client"]


@pytest.mark.lab
@lab_only
def test_a_queue_that_overflows_is_counted_and_leaves_the_run_valid(tmp_path: Path) -> None:
    """Whether such a run counts is for the campaign to say (`fidelity.queue_drops`)."""
    plan = two_path({"paths.1.queue.down": 2}, delay="1ms", bw=2)
    workload = Workload(response=60_000, timeout=30 * SECOND)
    outcome = run_in_lab(plan, specs(plan, 2, workload=workload), 5, directory=tmp_path, timeout=30)
    assert outcome.invalid is None
    assert list(overflowed(outcome.links)) == ["client-r1/backward"]


def test_a_program_that_cannot_start_says_why_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "wires.json").write_text("{}")
    with pytest.raises(UserError, match=r"^wires: .*wires\.json: no specification of wires"):
        Program("wires", "testbed.drive.wires", tmp_path).wait_ready()


def test_a_program_that_ends_meanwhile_ends_the_wait(tmp_path: Path) -> None:
    (tmp_path / "wires.json").write_text('{"seed": 1, "links": []}')
    one, other = (Program("wires", "testbed.drive.wires", tmp_path) for _ in range(2))
    for program in (one, other):
        program.wait_ready()
    other.process.kill()
    with pytest.raises(RunFailed, match="wires: ended with status -9"):
        wait_done([one], [other], timeout=20)
    assert wait_done([one], [], timeout=0.01) == [one]
    one.end()
    assert one.report()["links"] == {}
