"""Bulk over shaped paths: what they could carry, a path that dies, and words that are wrong."""

from __future__ import annotations

import pytest

from testbed.bench.paths import Arguments, measure, payload_capacity
from testbed.errors import UserError
from tests.namespaces import why_no_lab
from tests.programs import why_no_mptcp

REASON = why_no_lab() or why_no_mptcp()


def test_payload_capacity_is_the_sum_over_the_paths() -> None:
    plan = Arguments.of(1, 1 << 20, ["paths.1.rate=15", "paths.2.rate.up=5"], "").plan()
    assert payload_capacity(plan) == pytest.approx(20e6 * 1420 / 1514)


@pytest.mark.parametrize(
    ("sets", "dies", "named"),
    [
        (["paths.3.rate=1"], "", "paths.3.rate"),
        (["paths.1.rate=fast"], "", "paths.1.rate"),
        (["rate"], "", "KEY=VALUE"),
        ([], "3@1s", "3"),
        ([], "1", "PATH@TIME"),
        ([], "1@soon", "PATH@TIME"),
    ],
)
def test_words_that_are_wrong_are_named(sets: list[str], dies: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        Arguments.of(1, 1 << 20, sets, dies).plan()


@pytest.mark.lab
@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_both_stacks_end_although_a_path_dies() -> None:
    said: list[str] = []
    outcome = measure(Arguments.of(1, 2_000_000, ["paths.*.rate=20"], "2@0.8s"), said.append)
    for one in (*outcome.ours, *outcome.linux):
        assert one.sender.bytes == one.receiver.bytes == 2_000_000
        assert one.sender.multipath
        assert one.goodput < outcome.capacity
    assert len(outcome.ratios) == len(said) == 1
