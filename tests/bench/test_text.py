"""A measurement as text: the ratio of each round, the spread, where the time goes."""

from __future__ import annotations

import pytest

from testbed.bench import profile_of, summary
from testbed.bench.datapath import Arguments, Outcome
from testbed.bench.end import Report
from testbed.bench.turns import Transfer
from testbed.errors import UserError


def transfer(gigabits: float, **changes: object) -> Transfer:
    size = 1_000_000_000
    seconds = size * 8 / (gigabits * 1e9)
    words: dict[str, object] = {"subflows": 2, "multipath": True, **changes}
    sender = Report(size, seconds, seconds / 2, **words)  # type: ignore[arg-type]
    return Transfer(sender, Report(size, seconds, seconds / 4, 2, True))


def test_the_ratio_comes_first_and_is_taken_round_by_round() -> None:
    """A minute in which everything is slow changes no ratio."""
    outcome = Outcome([transfer(2), transfer(1), transfer(3)], [transfer(8), transfer(4), transfer(6)])
    assert outcome.ratios == pytest.approx([0.25, 0.25, 0.5])
    first, ours, linux = summary(outcome)
    assert first.startswith("ratio 0.250 (0.250..0.500) of Linux MPTCP's goodput")
    assert "2.000 Gbit/s (1.000..3.000), CPU sender 50%, receiver 25%, 2 subflows, 1000 MB each" in ours
    assert linux.startswith("Linux  6.000 Gbit/s")


def test_without_linux_there_is_no_ratio() -> None:
    first, *lines = summary(Outcome([transfer(2)]))
    assert first == "no ratio: this kernel has no MPTCP"
    assert len(lines) == 1


def test_what_would_make_the_comparison_unfair_is_said() -> None:
    fell_back = Outcome([transfer(2, multipath=False, subflows=1, retransmits=7)])
    line = summary(fell_back)[1]
    assert "NOT MULTIPATH TCP" in line
    assert "1 subflow," in line
    assert "7 retransmits at most" in line


def test_own_time_by_file() -> None:
    hot = [
        ["/x/testbed/mptcp/outgoing.py", 10, "one", 100, 0.5],
        ["~", 0, "<built-in method posix.writev>", 10, 0.3],
        ["/x/testbed/mptcp/outgoing.py", 20, "two", 100, 0.2],
    ]
    lines = profile_of("sender", Report(1, 1, 1, 1, True, hot=hot))
    assert lines[0] == "sender: own time by file, of 1.00 s"
    assert lines[1].split() == ["70.0%", "testbed/mptcp/outgoing.py"]
    assert lines[2].split() == ["30.0%", "built-in", "method", "posix.writev"]
    assert lines[4].split() == ["50.0%", "5000.00", "us", "x", "100", "testbed/mptcp/outgoing.py:10", "one"]


@pytest.mark.parametrize("bad", [{"rounds": 0}, {"paths": 0}, {"paths": 9}, {"size": 1}, {"own_size": 0}])
def test_bad_arguments(bad: dict[str, int]) -> None:
    with pytest.raises(UserError):
        Arguments(**bad)
