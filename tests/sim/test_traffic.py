"""Hosts in the background of a simulated run: no run waits for them, their rows stand apart, same seed same
bytes; and how much of a sink's account lies in the time of the measured clients."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from testbed.mptcp.config import ClientConfig, Profile, ServerConfig
from testbed.plan import load_topology, plan_from
from testbed.sim import simulate
from testbed.workloads import HostSpec, RunOutcome, Workload
from testbed.workloads.serving import ENDLESS
from testbed.workloads.traffic import MARK, carried

SECOND = 1_000_000_000
PLAN = plan_from(load_topology("dumbbell", rivals=2, delay="5ms", jitter="1ms"))
RIVAL = Workload("bulk", ENDLESS, 0, timeout=ENDLESS)


def ends(near: str, far: str, profile: Profile, workload: Workload, **more: Any) -> tuple[HostSpec, HostSpec]:
    here, there = PLAN.addresses(near), PLAN.addresses(far)
    return (
        HostSpec(near, "client", here, there, client=ClientConfig(profile), workload=workload, **more),
        HostSpec(far, "server", there, here, server=ServerConfig(), workload=workload, **more),
    )


def go(*rivals: tuple[str, str, Workload], size: int = 1_000_000, seed: int = 1, **more: Any) -> RunOutcome:
    measured = ends("client", "server", Profile.V1, Workload("bulk", size, 0, **more), seed=seed)
    others = [
        spec
        for near, far, workload in rivals
        for spec in ends(near, far, Profile.TCP, workload, seed=seed, background=True)
    ]
    return simulate(PLAN, (*measured, *others), seed)


def test_a_run_ends_with_the_client_and_rows_stand_apart() -> None:
    outcome = go(("tcp1", "sink1", RIVAL), ("tcp2", "sink2", RIVAL))
    assert outcome.invalid is None
    assert [row["host"] for row in outcome.rows] == ["client", "server"]
    assert {row["host"] for row in outcome.background} == {"tcp1", "sink1", "tcp2", "sink2"}
    done = max(int(str(row["done_ns"])) for row in outcome.rows)
    assert done < outcome.elapsed_ns < done + SECOND, "what was on a wire, and no more"
    rates = [rival["goodput_mbit"] for rival in carried(outcome.rows, outcome.background)]
    own = 8e3 * 1_000_000 / done
    assert 8 < sum(rates) + own < 10, "together they fill the bottleneck of 10 Mbit/s"  # type: ignore[arg-type]
    assert own < 8


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again, other = (
        json.dumps(dataclasses.asdict(go(("tcp1", "sink1", RIVAL), size=300_000, seed=seed)))
        for seed in (3, 3, 4)
    )
    assert first == again != other


def test_a_rival_may_begin_later_and_end_earlier() -> None:
    some = Workload("bulk", 50_000, 0, timeout=ENDLESS, start=SECOND // 2)
    never = Workload("bulk", ENDLESS, 0, timeout=ENDLESS, start=1000 * SECOND)
    outcome = go(("tcp1", "sink1", some), ("tcp2", "sink2", never), size=2_000_000)
    opened = [row["opened_ns"] for row in outcome.background if row["host"] == "tcp1"]
    assert opened == [SECOND // 2]
    (first,) = carried(outcome.rows, outcome.background)
    assert (first["from"], first["to"], first["profile"], first["bytes"]) == ("tcp1", "sink1", "tcp", 50_000)


def test_only_the_clients_time_counts() -> None:
    early = go(("tcp1", "sink1", RIVAL), size=300_000, start=2 * SECOND)
    (row,) = [row for row in early.rows if row["role"] == "client"]
    assert row["opened_ns"] == 2 * SECOND
    (rival,) = carried(early.rows, early.background)
    (sink,) = [row for row in early.background if row["host"] == "sink1"]
    alone = 2 * 10e6 / 8  # bytes that fit through before the client came
    assert int(str(sink["bytes_received"])) - int(str(rival["bytes"])) == pytest.approx(alone, rel=0.15)


def test_goodput_is_read_off_the_marks() -> None:
    row = {"host": "tcp1", "role": "client", "profile": "tcp", "retransmits": 3}
    row |= {"local_address": "10.3.1.1", "local_port": 21000}
    sink = {"host": "sink1", "role": "server", "remote_address": "10.3.1.1", "remote_port": 21000}
    sink["marks"] = [(0, 0), (MARK, 1000), (2 * MARK, 3000)]
    times = ((MARK // 2, MARK, 500), (MARK, 3 * MARK // 2, 1000), (MARK, 9 * MARK, 2000), (0, MARK, 1000))
    for opened, done, expected in times:
        measured = [{"role": "client", "opened_ns": opened, "done_ns": done}]
        (found,) = carried(measured, [row, sink])
        assert found["bytes"] == expected
        assert found["goodput_mbit"] == expected * 8e3 / (done - opened)
    (lost,) = carried(measured, [row])  # no sink ever heard of it
    assert (lost["bytes"], lost["to"]) == (0, None)
