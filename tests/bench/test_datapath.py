"""One short round of the real thing: both stacks move the bytes, and the profile names our files."""

from __future__ import annotations

import pytest

from testbed.bench import profile_of
from testbed.bench.datapath import Arguments, measure
from tests.namespaces import why_no_lab
from tests.programs import why_no_mptcp

REASON = why_no_lab() or why_no_mptcp()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


def test_a_round() -> None:
    size = 4 << 20
    said: list[str] = []
    outcome = measure(Arguments(rounds=1, size=16 * size, own_size=size, profile=True), said.append)
    ours, linux = outcome.ours[0], outcome.linux[0]
    assert ours.sender.bytes == ours.receiver.bytes == size
    assert linux.sender.bytes == linux.receiver.bytes == 16 * size
    assert ours.sender.multipath
    assert linux.sender.multipath
    assert ours.sender.subflows == linux.sender.subflows == 2
    assert ours.sender.bytes / ours.sender.frames > 10_000  # large frames, ACKs counted
    assert len(outcome.ratios) == len(said) == 1
    assert outcome.profiled is not None
    for end in (outcome.profiled.sender, outcome.profiled.receiver):
        assert any("testbed/mptcp/" in line for line in profile_of("x", end))
