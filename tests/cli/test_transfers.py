"""What the programs say of a transfer: words, units, and that it can be read in 100 columns."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest

from testbed.cli.programs import _Report
from testbed.cli.transfers import HEAD, WIDTH, interval_line, rate, size, summary
from testbed.workloads import FAULTS
from testbed.workloads.intervals import Interval, PathInterval

FOUR = (bytes((10, 0, 1, 1)), 61000), (bytes((10, 1, 1, 1)), 20080)
LONG = "2001:db8:1111:2222:3333:4444:5555:6666"


def interval(paths: int = 2, start: int = 0, last: bool = False, count: int = 1_234_567) -> Interval:
    each = PathInterval(0, count // paths, count // paths, 1 / paths, 1, 20_000_000, 14_600)
    return Interval(0, *FOUR, start, start + 1_000_000_000, last, count, count, paths, tuple([each] * paths))


def result(**more: Any) -> dict[str, Any]:
    path = {
        "subflow": 0,
        "local_address": "10.0.1.1",
        "local_port": 61000,
        "remote_address": "10.1.1.1",
        "remote_port": 20080,
        "local_id": 0,
        "remote_id": 0,
        "backup": False,
        "bytes_sent": 600_000,
        "bytes_received": 0,
        "retransmits": 3,
        "srtt_ns": 20_300_000,
        "cwnd": 14_600,
        "ended": "closed",
        "share": 0.6,
    }
    other = {**path, "subflow": 1, "local_id": 2, "bytes_sent": 400_000, "share": 0.4, "backup": True}
    return {
        "verdict": "mptcp",
        "reason": "none",
        "profile": "v1",
        "local": "10.0.1.1 61000",
        "remote": "10.1.1.1 20080",
        "subflows": 2,
        "bytes": 1_000_000,
        "bytes_sent": 1_000_000,
        "bytes_received": 0,
        "intact": True,
        "seconds": 2.0,
        "retransmits": 3,
        "fast_open": "none",
        "syn_data": 0,
        "paths": [path, {**other, "srtt_ns": None}],
        **more,
    }


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (12_345, "12.3 KB"),
        (123_456, "123 KB"),
        (999_600, "1.00 MB"),
        (2 * 10**15, "2000.0 TB"),
    ],
)
def test_sizes_have_three_digits(count: int, said: str) -> None:
    assert size(count) == said


def test_rates() -> None:
    assert rate(1_250_000, 1) == "10 Mbit/s"
    assert rate(1_250_000, 0.5) == "20 Mbit/s"
    assert rate(10, 0) == "0 bit/s"


def test_an_interval_stands_under_its_head() -> None:
    line = interval_line(interval(start=9_000_000_000))
    assert " ".join(line.split()) == "9.00-10.00 1.23 MB 9.88 Mbit/s 1.23 MB 9.88 Mbit/s 2 50 50"
    assert line.index("1.23 MB 9.88 Mbit/s") + len("1.23 MB 9.88 Mbit/s") == HEAD.index("sent") + len("sent")
    assert interval_line(interval(count=0, paths=1)).endswith("100")
    rest = interval_line(replace(interval(), short=True))
    assert " ".join(rest.split()) == "0.00-1.00 1.23 MB - 1.23 MB - 2 50 50"


@pytest.mark.parametrize("paths", [1, 8, 30])
def test_intervals_fit(paths: int) -> None:
    long = interval(paths, start=99_999_000_000_000, count=123_456_789_123)
    line = interval_line(long)
    assert len(line) <= WIDTH
    assert ("and 22 more" in line) == (paths == 30)
    assert len(HEAD) <= WIDTH


def test_the_summary_has_a_line_for_each_subflow() -> None:
    lines = summary(result()).splitlines()
    assert lines[0] == "10.0.1.1 61000 to 10.1.1.1 20080: mptcp, profile v1, 2 subflows"
    assert lines[1] == "sent 1 MB (4 Mbit/s), received 0 B (0 bit/s), 2.000 s, 3 retransmitted"
    first = "0 10.0.1.1:61000 > 10.1.1.1:20080 0/0 600 KB 0 B 60.0% 3 20.3 ms closed"
    assert lines[-2].split() == first.split()
    assert lines[-1].split()[0] == "1"
    assert lines[-1].endswith("-  closed, backup")
    assert max(map(len, lines)) <= WIDTH


def test_long_addresses_get_lines_of_their_own() -> None:
    paths = [{**path, "local_address": LONG, "remote_address": LONG} for path in result()["paths"]]
    text = summary(
        result(
            paths=paths,
            local=f"{LONG} 61000",
            remote=f"{LONG} 20080",
            verdict="fallback",
            reason="no_data_ack",
        )
    )
    assert max(map(len, text.splitlines())) <= WIDTH
    assert f"1: [{LONG}]:61000 > [{LONG}]:20080" in text
    assert "fallback (no_data_ack)" in text


def test_what_became_of_fast_open_is_said() -> None:
    assert "Fast Open" not in summary(result())
    assert "Fast Open: accepted, 300 bytes in the SYN\n" in summary(
        result(fast_open="accepted", syn_data=300)
    )
    assert "Fast Open: no data\n" in summary(result(fast_open="no_data"))


@pytest.mark.parametrize(
    ("verdict", "fault", "received", "words"),
    [
        ("reset", "cut_off", 0, "no data went either way: does a server run there?"),
        ("reset", "cut_off", 10, f"CUT OFF: {FAULTS['cut_off']}"),
        ("mptcp", "damaged", 10, f"DAMAGED: {FAULTS['damaged']}"),
        ("mptcp", "unasked", 10, "against a source give --receive SIZE, or --send 0 --time S"),
        ("reset", "interrupted", 10, "\ninterrupted"),
    ],
)
def test_a_client_that_lacks_data_says_why(verdict: str, fault: str, received: int, words: str) -> None:
    lacks = result(
        verdict=verdict, fault=fault, bytes=received, bytes_received=received, intact=False, paths=[]
    )
    assert " ".join(summary(lacks).split()).endswith(words.strip())
    assert max(map(len, summary(lacks).splitlines())) <= WIDTH


def test_each_connection_has_its_own_head_and_a_short_one_none() -> None:
    out = io.StringIO()
    report = _Report(False, out)
    report.interval(interval(last=True))
    assert out.getvalue() == ""
    report.interval(interval())
    report.interval(interval(start=1_000_000_000, last=True))
    assert out.getvalue().count("interval, s") == 1
    assert out.getvalue().startswith("10.0.1.1 61000 to 10.1.1.1 20080\n")
    report.connection(result())
    report.interval(interval())
    assert out.getvalue().count("interval, s") == 2


def test_json_has_the_intervals_of_its_own_connection() -> None:
    out = io.StringIO()
    report = _Report(True, out)
    report.interval(interval())
    report.connection(result(local="10.0.9.9 61000"))
    report.connection(result())
    other, own = map(json.loads, out.getvalue().splitlines())
    assert other["intervals"] == []
    assert [one["bytes_sent"] for one in own["intervals"]] == [1_234_567]
