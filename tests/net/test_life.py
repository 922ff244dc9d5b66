"""A lab's end: with the runner however it goes, alone, beside others; and nothing stays."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from testbed.errors import RunFailed
from testbed.net import Lab
from testbed.net.job import RESULT, Job
from tests.net.needs import Namespaces, Watch, family, lab_only, probe, two_path

pytestmark = [pytest.mark.lab, lab_only]

RUNNER = """
import sys
from testbed.net import Lab
from testbed.plan import load_topology, plan_from
with Lab(plan_from(load_topology("two_path"))) as lab:
    commands = [lab.popen("client", ["sleep", "1000"]) for _ in range(2)]
    print("up", flush=True)
    sys.stdin.read()
"""


CAPACITY = """
from testbed.runner.capacity import carried_rates
carried_rates(print, (10,))
"""


def _machine() -> dict[str, str]:
    """What a lab must not touch: every setting of the network, and of the kernel's that keep still."""
    found = {}
    for folder in ("net", "kernel"):
        for file in (Path("/proc/sys") / folder).rglob("*"):
            moves = file.parts[-2] in ("random", "pty") or file.name in ("ns_last_pid", "tainted")
            if not moves and file.is_file():
                with contextlib.suppress(OSError):  # not to be read, or an interface that has gone
                    found[str(file)] = file.read_text(errors="replace")
    return found


def _changed(before: dict[str, str]) -> list[str]:
    """Interfaces of others come and go meanwhile."""
    after = _machine()
    return [name for name in before.keys() & after.keys() if before[name] != after[name]]


def _runner(place: Path, program: str = RUNNER) -> subprocess.Popen[str]:
    """`place` takes what is temporary; in its environment it marks every process of the lab."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(place)},
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_runner_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    before = _machine()
    with _runner(tmp_path) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "up\n"
        everyone = family(runner.pid)
        inside = Namespaces(everyone)
        assert len(inside.names) >= 4 * 2 + 3  # net and mnt of four nodes; net, mnt and pid of the lab
        watch = Watch(everyone)
        runner.send_signal(number)
        watch.wait_gone()
    assert not inside.let_go()
    assert not [
        name
        for name in (file.name for file in Path("/sys/class/net").iterdir())
        if name.startswith(("client-", "r1-", "r2-"))
    ]
    assert not list(tmp_path.iterdir())
    assert not _changed(before)


def _marked(place: Path) -> set[int]:
    """The processes whose environment names `place`; one that has ended has none."""
    mark = f"TMPDIR={place}\0".encode()
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes():
                    found.add(int(folder.name))
    return found


def _launched(runner: subprocess.Popen[str], mode: bytes = b"hold") -> None:
    """Until the lab's first process is there."""
    while not any(
        b"testbed.net.launch" in command and mode in command.split(b"\0")
        for command in map(_command, family(runner.pid))
    ):
        assert runner.poll() is None


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_temporary_directory_stays_until_its_reader_lets_go(tmp_path: Path) -> None:
    """Whatever goes first with a runner: the lab's standard input, or the socket."""
    place = tmp_path / "lab"
    place.mkdir()
    Job(two_path()).write(place)
    ours, theirs = socket.socketpair()
    command = [
        sys.executable,
        "-P",
        "-m",
        "testbed.net.launch",
        str(theirs.fileno()),
        str(place),
        "hold",
        "temporary",
    ]
    with (
        ours,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]) as launcher,
    ):
        theirs.close()
        assert ours.recv(1) == b"\0"  # the lab has ended, and well
        assert (place / RESULT).exists()
        ours.close()
        assert launcher.wait() == 0
    assert not place.exists()


def test_kill_9_leaves_nothing_below_run_either(tmp_path: Path) -> None:
    """A lab has a /run of its own, with the directory mounted in it."""
    home = Path("/run") if os.access("/run", os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=home) as name:
        place = Path(name)
        with _runner(place) as runner:
            assert runner.stdout is not None
            assert runner.stdout.readline() == "up\n"
            watch = Watch(family(runner.pid))
            runner.kill()
            watch.wait_gone()
        assert not list(place.iterdir())


def test_kill_9_while_rates_are_tried_leaves_nothing(tmp_path: Path) -> None:
    with _runner(tmp_path, CAPACITY) as runner:
        _launched(runner, b"run")
        watch = Watch(family(runner.pid))
        runner.kill()
        watch.wait_gone()
    Watch(_marked(tmp_path)).wait_gone()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_kill_9_at_random_moments_leaves_nothing(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    seed = int(pytestconfig.getoption("hypothesis_seed") or 1)
    rng = random.Random(seed)
    whole = 0.0  # seconds that a lab takes to come up and down again
    for victim in ("nobody", "runner", "launcher", "anyone"):
        with _runner(tmp_path) as runner:
            _launched(runner)
            began = time.monotonic()
            assert runner.stdin is not None
            runner.stdin.close()  # the lab ends by itself, where it comes that far
            moment = rng.uniform(0, whole) if whole else None
            watch = Watch([runner.pid])
            select.select([watch.fds[runner.pid]], [], [], moment)
            whole = whole or time.monotonic() - began
            others = sorted(family(runner.pid) - {runner.pid}) or [runner.pid]
            chosen = {"runner": runner.pid, "launcher": others[0]}
            if victim != "nobody":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chosen.get(victim) or rng.choice(others), signal.SIGKILL)
            story = f"{victim} killed after {moment} of {whole} s, seed {seed}"
            try:
                watch.wait_gone()
                Watch(_marked(tmp_path)).wait_gone()
            except AssertionError as error:
                raise AssertionError(f"{story}: {error}") from None
        assert not _marked(tmp_path), story
        assert not list(tmp_path.iterdir()), story


def test_the_end_of_process_1_is_an_error_and_leaves_nothing() -> None:
    with pytest.raises(RunFailed, match="the lab ended"), Lab(two_path()) as lab:  # noqa: PT012
        everyone = family(lab.process.pid) - {lab.process.pid}
        watch = Watch(everyone)
        (first,) = [pid for pid in everyone if _parent(pid) == lab.process.pid]
        os.kill(first, signal.SIGKILL)
        watch.wait_gone()


def test_a_node_that_was_killed_is_named() -> None:
    with pytest.raises(RunFailed, match="r1: the first process of this node"), Lab(two_path()) as lab:  # noqa: PT012
        watch = Watch(family(lab.process.pid))
        os.kill(lab.pid("r1"), signal.SIGKILL)
    watch.wait_gone(0)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_labs_side_by_side_do_not_meet() -> None:
    with Lab(two_path(delay="5ms")) as slow:
        with Lab(two_path(delay="0ms")) as fast:
            one, other = (Namespaces([lab.pid("client")]) for lab in (slow, fast))
            assert one.names
            assert not one.names & other.names
            assert one.let_go()
            assert other.let_go()
            assert min(probe(slow, "client", "10.0.1.1", "10.1.1.1", 3)) >= 10
            assert min(probe(fast, "client", "10.0.1.1", "10.1.1.1", 3)) < 10
        assert min(probe(slow, "client", "10.0.2.1", "10.1.2.1", 3)) >= 10  # the other's end is no matter


def test_an_error_in_the_runner_ends_the_lab_and_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), Lab(two_path()) as lab:  # noqa: PT012
        watch = Watch(family(lab.process.pid))
        1 / 0  # noqa: B018
    watch.wait_gone(0)


def test_a_directory_below_run_stays_reachable() -> None:
    base = Path("/run")
    if not os.access(base, os.W_OK):
        pytest.skip("may not write to /run")
    import tempfile

    with tempfile.TemporaryDirectory(dir=base) as place:
        with Lab(two_path(delay="1ms"), directory=Path(place), capture=True) as lab:
            probe(lab, "client", "10.0.1.1", "10.1.1.1")
        assert (Path(place) / "client-r1.pcapng").stat().st_size > 100
