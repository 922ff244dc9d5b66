"""How long frames wait to be read is measured; a process that hogs its CPU loses real-time priority."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.drive.fidelity import LatenessMeter, ReadMeter

READER = """
import json, os, select, sys
from testbed.drive.fidelity import ReadMeter
meter = ReadMeter()
poll = select.epoll()
poll.register(0, select.EPOLLIN)
os.write(1, b"ready\\n")
while True:
    poll.poll()
    meter.woke()
    data = os.read(0, 1)
    if not data:
        break
    meter.read(1)
print(json.dumps(meter.figures("x")))
"""
HOG = "import sys; print('on', flush=True)\nwhile True: pass"
GREEDY = """
import time
from testbed.drive.timer import HOSTS, ask_for_precedence, has_precedence
granted = ask_for_precedence(HOSTS)
began = time.monotonic()
while has_precedence() and time.monotonic() - began < 20: pass
print(int(granted), int(has_precedence()))
"""


def counted(path: Path) -> bool:
    meter = ReadMeter(str(path))
    known = bool(meter.figures("x"))
    meter.close()
    return known


@pytest.mark.parametrize("text", ["0 0 0\n", "", "nonsense\n"])
def test_a_kernel_that_does_not_count_gives_no_figures(tmp_path: Path, text: str) -> None:
    file = tmp_path / "schedstat"
    assert not counted(file)
    file.write_text(text)
    assert not counted(file)


def test_each_frame_has_waited_what_the_reader_waited_since_it_slept(tmp_path: Path) -> None:
    file = tmp_path / "schedstat"
    file.write_text("5 1000000 1\n")
    meter = ReadMeter(str(file))
    for waited, frames in ((1_000_000, 4), (3_000_000, 1), (3_000_000, 3)):
        file.write_text(f"5 {waited} 1\n")
        meter.woke()
        meter.read(frames)
    meter.read(-1)  # a device that has gone
    found = meter.figures("x")
    assert found == {
        "x_read_lateness_p50_us": 0.0,
        "x_read_lateness_p99_us": 2000.0,
        "x_read_lateness_max_us": 2000.0,
    }
    meter.close()
    assert meter.figures("x") == found


@given(st.lists(st.tuples(st.integers(0, 70_000_000), st.integers(1, 5)), min_size=1, max_size=30))
def test_several_at_once_count_as_one_by_one(samples: list[tuple[int, int]]) -> None:
    together, single = LatenessMeter(), LatenessMeter()
    for late, times in samples:
        together.add(late, times)
        for _ in range(times):
            single.add(late)
    assert together.figures("x") == single.figures("x")


@pytest.mark.skipif(not counted(Path("/proc/thread-self/schedstat")), reason="this kernel does not count")
def test_a_reader_beside_busy_neighbours_says_how_long_frames_waited() -> None:
    """Four processes keep the reader's only CPU busy: what it reads is milliseconds late, and it knows."""
    cpu = min(os.sched_getaffinity(0))

    def here() -> None:
        os.sched_setaffinity(0, {cpu})

    hogs = [
        subprocess.Popen([sys.executable, "-c", HOG], preexec_fn=here, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    pipe = subprocess.PIPE
    reader = subprocess.Popen([sys.executable, "-c", READER], preexec_fn=here, stdin=pipe, stdout=pipe)
    try:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for hog in hogs:
            assert hog.stdout is not None
            hog.stdout.readline()
        assert reader.stdout.readline() == b"ready\n"
        for _ in range(100):
            time.sleep(0.01)
            reader.stdin.write(b"x")
            reader.stdin.flush()
        reader.stdin.close()
        figures = json.loads(reader.stdout.readline())
    finally:
        for process in (*hogs, reader):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    assert figures["x_read_lateness_p99_us"] > 500, figures


def test_precedence_is_given_up_by_a_process_that_never_rests() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GREEDY], capture_output=True, text=True, timeout=60, check=True
    )
    granted, left = done.stdout.split()
    if granted == "0":
        pytest.skip("real-time priority is not granted here")
    assert left == "0"
