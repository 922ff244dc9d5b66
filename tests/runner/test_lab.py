"""`testbed run` in a real lab: the files it leaves, and that nothing else stays behind whatever ends it."""

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
from testbed.records import finished_runs
from testbed.results import load

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


def test_a_small_campaign(tmp_path: Path) -> None:
    out = tmp_path / "out"
    sets = ["vary.client.profile=[v0, v1]", "vary.paths.*.loss.up=[0, 20]", "connections=40", "capture=true"]
    done = subprocess.run(command(out, *sets), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = load(out)
    assert list(results.summary["connections"]) == [40] * 4
    assert results.environment["net"] == "mininet"
    assert "Mininet lab" in results.environment["way"]
    assert results.summary["damaged"].sum() == 0
    # Without loss nobody falls back, whatever the profile.
    assert list(results.summary[results.summary["paths.*.loss.up"] == 0]["fallback"]) == [0, 0]
    # With it, v0 falls back for the reason that the experiment is about.
    lossy = results.connections[
        (results.connections["client.profile"] == "v0") & (results.connections["verdict"] == "fallback")
    ]
    assert set(lossy["reason"]) <= {"cookie_without_key", "syn_retries_exhausted"}
    assert "cookie_without_key" in set(lossy["reason"])
    for directory, record in finished_runs(out):
        assert record["invalid"] is None
        assert record["fidelity"]
        assert record["captures"]
        for name in record["captures"]:
            assert (directory / name).stat().st_size > 0


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


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind(tmp_path: Path, how: signal.Signals) -> None:
    out = tmp_path / "out"
    interfaces = sorted(Path("/sys/class/net").iterdir())
    process = subprocess.Popen(
        command(out, "connections=4000", "jobs=2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # In the middle of it: both labs have their programs' specifications and more than their first processes.
    own = network_of("self")
    while True:
        assert process.poll() is None, process.communicate()
        below = descendants(process.pid)
        networks = {network_of(pid) for pid in below} - {own, ""}
        if len(networks) >= 6 and len(list(out.glob("runs/*/nodes.json"))) == 2:
            break
        select.select([], [], [], 0.05)
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
    assert not networks & held, "a network namespace lives on"
    assert sorted(Path("/sys/class/net").iterdir()) == interfaces
    assert not list(out.rglob("*.partial"))
    for record in out.rglob("record.json"):
        json.loads(record.read_text())
