"""`testbed run` in a real lab: nothing stays behind whatever ends it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import MachineError
from testbed.net import check

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "experiments" / "fallback.yaml"


@pytest.fixture(autouse=True)
def _a_lab_can_be_had() -> None:
    try:
        check()
    except MachineError as error:
        pytest.skip(str(error))


def command(out: Path, *sets: str) -> list[str]:
    words = [
        sys.executable,
        "-m",
        "testbed.cli",
        "run",
        str(EXPERIMENT),
        "--net",
        "mininet",
        "--out",
        str(out),
    ]
    for text in sets:
        words += ["--set", text]
    return words


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, in whatever namespaces."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def network_of(pid: int | str) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def hold_networks(pids: list[int]) -> dict[str, int]:
    """The network namespaces of processes, by name, each held open: the kernel gives a name that is free to
    the next lab that anybody starts."""
    held: dict[str, int] = {}
    for pid in pids:
        try:
            handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        except OSError:
            continue
        name = f"net:[{os.fstat(handle).st_ino}]"
        if held.setdefault(name, handle) != handle:
            os.close(handle)
    return held


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind(tmp_path: Path, how: signal.Signals) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(out, "connections=4000", "jobs=2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # In the middle of it: both labs have their programs' specifications and more than their first processes.
    own = network_of("self")
    while True:
        assert process.poll() is None, process.communicate()
        below = descendants(process.pid)
        if (
            len({network_of(pid) for pid in below} - {own, ""}) >= 6
            and len(list(out.glob("runs/*/nodes.json"))) == 2
        ):
            break
        select.select([], [], [], 0.05)
    networks = hold_networks(below)
    os.close(networks.pop(own))
    handles = []
    for pid in below:
        try:
            handles.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in err
    for handle in handles:
        assert select.select([handle], [], [], 30)[0], "a process lives on"
        os.close(handle)
    held = {network_of(entry.name) for entry in Path("/proc").glob("[0-9]*")}
    assert not networks.keys() & held, "a network namespace is still in use"
    for handle in networks.values():
        os.close(handle)
    names = [path.name for path in Path("/sys/class/net").iterdir()]
    assert not [name for name in names if name.startswith(("client", "server", "r1", "r2", "mptcp"))]
    assert not list(out.rglob("*.partial"))
    for record in out.rglob("record.json"):
        json.loads(record.read_text())
