"""Linux's own MPTCP as either end of a run in a lab, beside our stack and against itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import MachineError
from testbed.linux import node
from testbed.mptcp.config import SECOND, ClientConfig, FastOpenAnswer, Profile, ServerConfig, SynCookies
from testbed.net import run_in_lab
from testbed.plan import NetPlan
from testbed.results.join import join
from testbed.workloads import HostSpec, RunOutcome, Workload
from tests.net.needs import lab_only, two_path
from tests.net.test_machine import AS_NOBODY, ROOT


def _why_not() -> str | None:
    try:
        node.check()
    except MachineError as error:
        return str(error)
    return None


NO_MPTCP = _why_not()
pytestmark = [pytest.mark.lab, lab_only, pytest.mark.skipif(NO_MPTCP is not None, reason=str(NO_MPTCP))]

KERNEL_SERVER = ServerConfig((Profile.KERNEL,))
PAIRS = {
    "kernel with ours": (ClientConfig(Profile.KERNEL), ServerConfig()),
    "ours with kernel": (ClientConfig(), KERNEL_SERVER),
    "kernel with kernel": (ClientConfig(Profile.KERNEL), KERNEL_SERVER),
}
pairs = pytest.mark.parametrize("pair", list(PAIRS))
COOKIES = SynCookies.ALWAYS


def run(
    plan: NetPlan,
    client: ClientConfig,
    server: ServerConfig,
    directory: Path,
    connections: int = 6,
    workload: Workload | None = None,
    **options: Any,
) -> tuple[RunOutcome, list[dict[str, Any]]]:
    near, far = plan.addresses("client"), plan.addresses("server")
    common: dict[str, Any] = {"workload": workload or Workload(), "connections": connections, "seed": 5}
    hosts = (
        HostSpec("client", "client", near, far, client=client, **common),
        HostSpec("server", "server", far, near, server=server, **common),
    )
    outcome = run_in_lab(plan, hosts, 5, directory=directory, timeout=60, **options)
    return outcome, join(outcome.rows)


@pairs
@pytest.mark.parametrize("cookies", [SynCookies.OFF, COOKIES])
def test_requests_are_recorded_at_both_ends(tmp_path: Path, pair: str, cookies: SynCookies) -> None:
    client, server = PAIRS[pair]
    server = replace(server, syn_cookies=cookies)
    outcome, joined = run(two_path(delay="2ms"), client, server, tmp_path, capture=True)
    assert outcome.invalid is None
    assert [row["verdict"] for row in joined] == ["mptcp"] * 6, outcome.rows
    assert [row["server_verdict"] for row in joined] == ["mptcp"] * 6
    assert all(row["intact"] and row["closed_by"] == "data_fin" for row in joined)
    assert [(row["bytes_up"], row["bytes_down"]) for row in joined] == [(300, 10_000)] * 6
    assert [row["client_port"] for row in joined] == list(range(21_000, 21_006))
    profiles = {row["role"]: row["profile"] for row in outcome.rows}
    assert profiles["client"] == client.profile
    assert outcome.counters["client"]["MPCapableSYNTX"] == 6
    by_cookie = outcome.counters["server"].get("SyncookiesRecv", 0)  # joins as well
    assert by_cookie >= 6 if cookies is COOKIES else by_cookie == 0
    for row in outcome.rows:
        assert row["bytes_sent"] == (300 if row["role"] == "client" else 10_000)
        assert row["opened_ns"] <= row["connected_ns"] <= row["first_byte_ns"] <= row["done_ns"]  # type: ignore[operator]
    assert {"client_cpu_share", "server_cpu_share", "client_timer_lateness_p99_us"} <= set(outcome.fidelity)
    assert outcome.links["client-r1/forward"]["packets"] > 4 * 6


@pairs
def test_bulk_uses_both_paths(tmp_path: Path, pair: str) -> None:
    bulk = Workload("bulk", response=4_000_000)
    outcome, joined = run(two_path(delay="5ms"), *PAIRS[pair], tmp_path, 1, bulk)
    (row,) = joined
    assert row["verdict"] == "mptcp", outcome.rows
    assert row["intact"]
    assert row["subflows"] == 2
    both = {("10.0.1.1", "10.1.1.1"), ("10.0.2.1", "10.1.2.1")}
    for end in outcome.rows:
        ends = (
            ("local_address", "remote_address")
            if end["role"] == "client"
            else ("remote_address", "local_address")
        )
        paths: Any = end["paths"]
        assert {tuple(path[name] for name in ends) for path in paths} == both
        carried = [path["bytes_received" if end["role"] == "client" else "bytes_sent"] for path in paths]
        assert min(carried) > 1_000_000


@pairs
def test_a_lossy_path_loses_no_byte(tmp_path: Path, pair: str) -> None:
    client, server = PAIRS[pair]
    server = replace(server, syn_cookies=COOKIES)
    outcome, joined = run(two_path({"paths.1.loss": 5}, delay="2ms"), client, server, tmp_path, 20)
    assert outcome.invalid is None
    assert {row["verdict"] for row in joined} <= {"mptcp", "fallback", "reset"}
    assert all(row["intact"] for row in joined if row["verdict"] != "reset")
    assert sum(row["verdict"] == "mptcp" for row in joined) > 10
    assert all(row["reason"] != "none" for row in joined if row["verdict"] != "mptcp")


def test_a_client_that_asks_for_plain_tcp_gets_it(tmp_path: Path) -> None:
    _, joined = run(two_path(delay="2ms"), ClientConfig(Profile.TCP), KERNEL_SERVER, tmp_path, 3)
    assert [(row["verdict"], row["server_verdict"]) for row in joined] == [("tcp", "tcp")] * 3


def test_an_old_stack_makes_the_kernel_fall_back(tmp_path: Path) -> None:
    only_tcp = ServerConfig((Profile.TCP,))
    _, joined = run(two_path(delay="2ms"), ClientConfig(Profile.KERNEL), only_tcp, tmp_path, 3)
    assert [(row["verdict"], row["reason"]) for row in joined] == [("fallback", "no_capable_in_synack")] * 3
    assert all(row["intact"] and row["closed_by"] == "fin" for row in joined)


def test_syns_that_go_unanswered_end_in_plain_tcp(tmp_path: Path) -> None:
    plan = two_path({"paths.1.drop.up": "syn:1-3"}, delay="2ms")
    _, joined = run(plan, ClientConfig(Profile.KERNEL), ServerConfig(), tmp_path, 1)
    assert [(row["verdict"], row["reason"]) for row in joined] == [("fallback", "syn_retries_exhausted")]


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    plan = two_path({"paths.*.loss.up": 100}, delay="1ms")
    patience = Workload(timeout=SECOND)
    _, joined = run(plan, ClientConfig(Profile.KERNEL), KERNEL_SERVER, tmp_path, 2, patience)
    assert [(row["verdict"], row["server_verdict"]) for row in joined] == [("hang", "absent")] * 2


@pytest.mark.parametrize("pair", ["kernel with ours", "ours with kernel"])
def test_fast_open(tmp_path: Path, pair: str) -> None:
    client, server = PAIRS[pair]
    client = replace(client, fast_open=True)
    server = replace(server, fast_open=True, syn_cookies=SynCookies.OFF)
    slow = Workload(arrivals=4)
    outcome, joined = run(two_path(delay="2ms"), client, server, tmp_path, 3, slow)
    assert all(row["intact"] for row in joined), outcome.rows
    assert [(row["fast_open"], row["syn_data"]) for row in joined][1:] == [("accepted", 300)] * 2


def test_what_became_of_fast_open_is_known_after_a_fallback_too(tmp_path: Path) -> None:
    """An answer before the key makes Linux fall back; so does the data of a lost SYN, sent again unmapped."""
    client = ClientConfig(Profile.KERNEL, fast_open=True, fast_open_pauses=False)
    slow = Workload(arrivals=4)
    at_once = ServerConfig(fast_open=True, fast_open_answer=FastOpenAnswer.AT_ONCE)
    _, joined = run(two_path(delay="2ms"), client, at_once, tmp_path / "at_once", 3, slow)
    found = [(row["verdict"], row["reason"], row["fast_open"], row["syn_data"]) for row in joined]
    assert found[1:] == [("fallback", "no_data_ack", "accepted", 300)] * 2
    plan = two_path({"paths.1.drop.up": "syn@2"}, delay="2ms")
    _, joined = run(plan, client, ServerConfig(fast_open=True), tmp_path / "lost", 3, slow)
    found = [(row["verdict"], row["reason"], row["fast_open"], row["syn_data"]) for row in joined]
    assert found[1:] == [("fallback", "no_mapping", "lost", 0), ("mptcp", "none", "accepted", 300)]


ROOTLESS = """
import os
from pathlib import Path
from testbed.workloads import Workload
from tests.net.test_kernel_host import PAIRS, run, two_path
assert os.geteuid() == 65534
long = Workload(response=500_000)  # a short one may be over before its second subflow
out = Path(os.environ["HOME"], "out")
outcome, joined = run(two_path(delay="2ms"), *PAIRS["kernel with kernel"], out, 3, long)
print([(row["verdict"], row["subflows"]) for row in joined])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_in_a_user_namespace() -> None:
    place = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    place.chmod(0o777)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", AS_NOBODY, str(place), ROOTLESS]
    try:
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    finally:
        shutil.rmtree(place)
    assert done.stdout.strip() == str([("mptcp", 2)] * 3), done.stderr
