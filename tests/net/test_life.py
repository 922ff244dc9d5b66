"""A lab's end: with the runner however it goes, alone, beside others; and nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import RunFailed
from testbed.net import Lab
from tests.net.needs import Watch, family, lab_only, namespaces_in_use, namespaces_of, probe, two_path

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


def _machine() -> dict[str, str]:
    """What a lab must not touch."""
    names = ("net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv6/conf/all/disable_ipv6")
    return {name: Path("/proc/sys", name).read_text() for name in names if Path("/proc/sys", name).exists()}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_runner_leaves_nothing(number: signal.Signals) -> None:
    before = _machine()
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert runner.stdout is not None
    with runner:
        assert runner.stdout.readline() == "up\n"
        everyone = family(runner.pid)
        inside = namespaces_of(everyone) - namespaces_of([os.getpid()])
        assert len(inside) >= 4 * 2 + 3  # net and mnt of four nodes; net, mnt and pid of the lab
        watch = Watch(everyone)
        runner.send_signal(number)
        watch.wait_gone()
    assert not inside & namespaces_in_use()
    assert not [
        name
        for name in (file.name for file in Path("/sys/class/net").iterdir())
        if name.startswith(("client-", "r1-", "r2-"))
    ]
    assert _machine() == before


def test_the_end_of_process_1_is_an_error_and_leaves_nothing() -> None:
    with pytest.raises(RunFailed, match="the lab ended"), Lab(two_path()) as lab:  # noqa: PT012
        everyone = family(lab.process.pid) - {lab.process.pid}
        watch = Watch(everyone)
        (first,) = [pid for pid in everyone if _parent(pid) == lab.process.pid]
        os.kill(first, signal.SIGKILL)
        watch.wait_gone()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_labs_side_by_side_do_not_meet() -> None:
    with Lab(two_path(delay="5ms")) as slow:
        with Lab(two_path(delay="0ms")) as fast:
            assert not namespaces_of([slow.pid("client")]) & namespaces_of([fast.pid("client")])
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
