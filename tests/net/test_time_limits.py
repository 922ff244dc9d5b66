"""The time limits of an experiment in labs: our stack and Linux's at either end.

tests/workloads/test_patience.py has them in the simulator.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.mptcp.config import SECOND, ClientConfig, ServerConfig
from testbed.workloads import Workload
from tests.net.needs import lab_only, two_path
from tests.net.test_kernel_host import NO_MPTCP, PAIRS, run

ENDS = {"ours with ours": (ClientConfig(), ServerConfig()), **PAIRS}
needs_mptcp = pytest.mark.skipif(NO_MPTCP is not None, reason=str(NO_MPTCP))
pytestmark = [pytest.mark.lab, lab_only]
pairs = pytest.mark.parametrize(
    "pair", [pytest.param(name, marks=[needs_mptcp] if "kernel" in name else []) for name in ENDS]
)
SLOW = {"paths.*.rate": 1}  # 1 Mbit/s


@pairs
@pytest.mark.parametrize(("request_size", "response"), [(1_200_000, 0), (300, 1_200_000)])
def test_a_bulk_transfer_goes_on_while_data_moves(
    tmp_path: Path, pair: str, request_size: int, response: int
) -> None:
    patience = Workload("bulk", request_size, response, timeout=2 * SECOND)
    _, (row,) = run(two_path(SLOW), *ENDS[pair], tmp_path, 1, patience)
    assert (row["verdict"], row["intact"]) == ("mptcp", True)
    assert row["done_ns"] - row["opened_ns"] > 3 * SECOND


@pairs
@pytest.mark.parametrize(("request_size", "response"), [(3_000_000, 1), (300, 3_000_000)])
def test_a_request_that_still_moves_data_is_unfinished(
    tmp_path: Path, pair: str, request_size: int, response: int
) -> None:
    patience = Workload("request", request_size, response, arrivals=100.0, timeout=3 * SECOND)
    _, (row,) = run(two_path(SLOW), *ENDS[pair], tmp_path, 1, patience)
    assert (row["verdict"], row["reason"]) == ("unfinished", "time_limit")
    assert row["bytes_up"] + row["bytes_down"] > 200_000
