"""A full disk: one clear line, nothing lost, and the same command goes on once there is room.

In a mount namespace of the test's own, with a small tmpfs in the place of the results.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.net.needs import lab_only

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")

# The disk fills as soon as the first run is finished, or before anything is there (FULL).
SCRIPT = """
import json, os, select, subprocess, sys
from pathlib import Path
from testbed.net.namespaces import CLONE_NEWNS, mount, unshare
from testbed.net.namespaces import _MS_PRIVATE as PRIVATE, _MS_REC as REC
place, when, *command = sys.argv[1:]
unshare(CLONE_NEWNS)
mount("none", "/", None, REC | PRIVATE)
mount("tmpfs", place, "tmpfs", 0, "size=8m")
filler = Path(place, "filler")

def fill():
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass

def kept():
    finished = [file.parent for file in Path(place).glob("out/runs/*/record.json")]
    return {run.name: [(run / name).read_text() for name in ("record.json", "rows.json")] for run in finished}

if when == "first":
    fill()
process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
ended = os.pidfd_open(process.pid)
while when == "later" and not list(Path(place).glob("out/runs/*/record.json")):
    if select.select([ended], [], [], 0.02)[0]:
        break
fill()
err = process.communicate()[1]
before = kept()
filler.unlink()
again = subprocess.run(command, capture_output=True, text=True)
after = kept()
print(json.dumps({
    "status": process.returncode, "err": err, "before": len(before), "again": again.returncode,
    "again_err": again.stderr, "runs": len(after),
    "lost": [name for name in before if before[name] != after[name]],
    "half": [str(file) for pattern in ("*.part", "*.partial") for file in Path(place).rglob(pattern)],
}))
"""


def until_full(place: Path, when: str, net: str) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "testbed.cli", "run", str(ROOT / "experiments" / "fallback.yaml")]
    command += ["--net", net, "--out", str(place / "out"), "--jobs", "1"]
    for text in (
        "connections=20",
        "blocks=1",  # one run of each cell in a lab too
        "vary={client.profile: [v0, v1]}",
        "paths.*.loss.up=0",
        "fidelity.calibrate=false",
        "figures=[]",
    ):
        command += ["--set", text]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(place), when, *command], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("when", "net"),
    [
        pytest.param("first", "sim", marks=pytest.mark.slow),
        pytest.param("later", "mininet", marks=[pytest.mark.lab, lab_only]),
    ],
)
def test_a_full_disk_is_named_and_the_campaign_goes_on_later(tmp_path: Path, when: str, net: str) -> None:
    found = until_full(tmp_path, when, net)
    (line,) = [text for text in found["err"].splitlines() if text.startswith("testbed: ")]
    directory = tmp_path / "out"
    expected = f"testbed: {directory}: no more can be written there; make room (df -h {directory}), and"
    assert line.startswith(expected)
    assert found["status"] == 3
    assert "Traceback" not in found["err"]
    assert found["before"] == (0 if when == "first" else 1), found
    assert (found["again"], found["runs"]) == (0, 2), found["again_err"]
    assert found["lost"] == found["half"] == []
