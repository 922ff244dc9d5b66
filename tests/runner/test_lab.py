"""`testbed run` in a real lab: nothing stays behind whatever ends it."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import MachineError
from testbed.net import check
from tests.net.needs import Namespaces, Watch, family

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
        "-P",
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


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind(tmp_path: Path, how: signal.Signals) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(out, "connections=4000", "jobs=2", "fidelity.calibrate=false"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # In the middle of it: both labs have their programs' specifications and more than their first processes.
    while True:
        assert process.poll() is None, process.communicate()
        everyone = family(process.pid)
        inside = Namespaces(everyone)
        networks = [name for name in inside.names if name.startswith("net:")]
        if len(networks) >= 5 and len(list(out.glob("runs/*/nodes.json"))) == 2:
            break
        inside.let_go()
        select.select([], [], [], 0.05)
    watch = Watch(everyone)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "Traceback" not in err
    watch.wait_gone(30)
    assert not inside.let_go(), "a namespace is still in use"
    names = [path.name for path in Path("/sys/class/net").iterdir()]
    assert not [name for name in names if name.startswith(("client", "server", "r1", "r2", "mptcp"))]
    assert not list(out.rglob("*.partial"))
    for record in out.rglob("record.json"):
        json.loads(record.read_text())
