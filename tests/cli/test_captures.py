"""`testbed trace` and `testbed ladder`: bounds, warnings, standard input."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from testbed.capture import CapturedPacket, CaptureWriter, write_pcapng
from testbed.mptcp.wire import encode
from tests.cli.conftest import Done
from tests.trace.conversation import talk

Testbed = Callable[..., Done]


def repeated(path: Path, connections: int) -> Path:
    """That many small connections, one behind the other."""
    with path.open("wb") as stream:
        writer = CaptureWriter(stream)
        for number in range(connections):
            for time, segment, cause in talk("v1").segments:
                ports = {"sport": segment.sport, "dport": segment.dport}
                own = "sport" if segment.dport == 20080 else "dport"
                moved = replace(segment, **{**ports, own: 30_000 + number})  # type: ignore[arg-type]
                writer.packet(time + number * 10**9, encode(moved), cause)
    return path


def test_ladders_have_a_bound_unless_all_is_asked_for(testbed: Testbed, tmp_path: Path) -> None:
    capture = repeated(tmp_path / "many.pcapng", 23)
    done = testbed("ladder", capture)
    assert done.out.count("verdict  mptcp") == 20
    assert "3 of 23 connections are not shown" in done.err
    assert testbed("ladder", capture, "--most", 0).out.count("verdict  mptcp") == 23
    assert "connection 23: v1" in testbed("ladder", capture, "--connection", 23).out
    assert "… 8 packets left out …" in testbed("ladder", capture, "--connection", 1, "--most", 4).out


def test_a_long_connection_has_a_bound(testbed: Testbed, tmp_path: Path) -> None:
    made = talk("v1")
    time, last, _ = made.segments[5]
    made.segments[6:6] = [(time + number, last, None) for number in range(1, 400)]
    path = tmp_path / "long.pcapng"
    write_pcapng(path, [CapturedPacket(each[0], encode(each[1])) for each in made.segments])
    out = testbed("ladder", path).out
    assert f"… {len(made.segments) - 200} packets left out …" in out
    assert "packets left out" not in testbed("ladder", path, "--most", 0).out


def test_trace_says_what_was_left_out(testbed: Testbed, tmp_path: Path) -> None:
    whole = repeated(tmp_path / "a.pcapng", 1).read_bytes()
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(whole[:-10])
    done = testbed("trace", cut, "--json")
    assert done.status == 0
    assert f"warning: {cut}: offset " in done.err
    (line,) = done.out.splitlines()
    said = json.loads(line)["capture"]
    assert (said["files"], said["frames"], said["left_out"]) == ([str(cut)], 11, {})
    assert said["warnings"] == [done.err.splitlines()[0].removeprefix("warning: ")]


def test_trace_reads_standard_input(tmp_path: Path) -> None:
    whole = gzip.compress(repeated(tmp_path / "a.pcapng", 2).read_bytes())
    command = [sys.executable, "-P", "-m", "testbed.cli", "trace", "-"]
    done = subprocess.run(command, input=whole, capture_output=True, check=True)
    assert b"2 connections: 2 mptcp" in done.stdout
