"""Commands that need no lab work on systems that are not Linux; the others say that they need it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.portable.simulated_systems import SYSTEMS, System, without

ROOT = Path(__file__).parents[2]
EXPERIMENT = ROOT / "experiments" / "fallback.yaml"
SMALL = ["--net", "sim", "--set", "vary={}", "--set", "figures=[]", "--set", "capture=true", "--set"]
WORK = (
    (["--help"], "Commands"),
    (["run", "--help"], "EXPERIMENT.yaml"),
    (["topo", "list"], "two_path"),
    (["topo", "show", "two_path"], "10.1.2.1"),
    (["explain", "dss"], "RFC 8684 §3.3"),
    (["explain", "cookie_without_key"], "testbed/mptcp/fallback.py"),
    (["model", "fallback", "--profile", "v0", "--loss", "5"], "fallback  0.050119"),
    (["results", "out"], "5 connections, verdict mptcp"),
    (["report", "out"], "report.html"),
    (["trace", "out/runs/000/client-r1.pcapng"], "5 connections: 5 mptcp"),
    (["ladder", "out/runs/000/client-r1.pcapng", "--connection", "1"], "MP_CAPABLE"),
    (["doctor", "--way"], "sim"),
    (["reproduce", "--list"], "fast_open"),
)
NEED_LINUX = (
    ["run", EXPERIMENT],
    ["topo", "shell", "two_path"],
    ["client", "10.0.0.1:80"],
    ["server"],
    ["interop"],
    ["bench", "labs"],
    ["bench", "paths"],
    ["bench", "datapath"],
    ["bench", "half-open"],
)


def rows(directory: Path) -> bytes:
    return (directory / "runs" / "000" / "rows.json").read_bytes()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The rows of the same run on this machine as it is."""
    place = System(tmp_path_factory.mktemp("here"), without())
    done = place.testbed("run", EXPERIMENT, "--out", "out", *SMALL, "connections=5")
    assert done.returncode == 0, done.stderr
    return rows(place.directory / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SYSTEMS))
def test_what_needs_no_lab_works_and_what_does_says_so(name: str, here: bytes, tmp_path: Path) -> None:
    system = System(tmp_path, SYSTEMS[name])
    done = system.testbed("run", EXPERIMENT, "--out", "out", *SMALL, "connections=5")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert rows(tmp_path / "out") == here  # the same seed, the same rows, on every system
    for words, expected in WORK:
        done = system.testbed(*words)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), (words, done.stderr)
        assert expected in done.stdout, (words, done.stdout)
    for words in NEED_LINUX:
        done = system.testbed(*words)
        assert done.returncode == 3, (words, done)
        assert "needs Linux" in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr
    done = system.testbed("doctor")
    assert done.returncode == 3
    assert "MISSING  Linux" in done.stdout
    assert "apt-get" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "lacks",
    [
        *(without(module) for module in ("fcntl", "resource", "pwd", "grp", "termios", "pyroute2")),
        *(
            without(name=(owner, name))
            for owner, names in {
                "os": ("sched_getaffinity", "geteuid", "getuid", "O_CLOEXEC", "O_NONBLOCK", "nice"),
                "select": ("epoll", "poll"),
                "socket": ("AF_UNIX", "AF_PACKET"),
                "signal": ("SIGHUP", "pthread_sigmask"),
            }.items()
            for name in names
        ),
    ],
    ids=lambda lacks: "-".join(
        [*lacks["modules"], *(name for names in lacks["names"].values() for name in names)]
    ),
)
def test_the_simulator_needs_no_single_one_of_them(
    lacks: dict[str, object], here: bytes, tmp_path: Path
) -> None:
    """The property behind the systems above: each part of Linux or Unix may be missing by itself."""
    done = System(tmp_path, lacks).testbed("run", EXPERIMENT, "--out", "out", *SMALL, "connections=5")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert rows(tmp_path / "out") == here


def test_linux_without_pyroute2_names_the_command_that_installs_it(tmp_path: Path) -> None:
    system = System(tmp_path, without("pyroute2"))
    for words in (["run", EXPERIMENT], ["client", "10.0.0.1:80"]):
        done = system.testbed(*words)
        assert done.returncode == 3
        assert "needs Linux; the Python package pyroute2 is missing: pip install pyroute2" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
@pytest.mark.parametrize(
    "words",
    [["topo", "show", "n_paths"], ["topo", "list"], ["explain", "dss"], ["--help"], ["explain", "no_such_§"]],
    ids=lambda words: "-".join(words[:2]),
)
def test_every_terminal_can_show_it(words: list[str], encoding: str) -> None:
    """Drawings and section signs are not in every character set; that is no reason to fail."""
    done = subprocess.run(
        [sys.executable, "-m", "testbed.cli", *words],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == (2 if "no_such" in words[-1] else 0), done.stderr
    assert b"Traceback" not in done.stderr
    assert (done.stdout or done.stderr).decode(encoding)


def test_topology_files_are_read_as_python_reads_them(tmp_path: Path) -> None:
    """Whatever the locale: UTF-8, or what the file declares."""
    text = (ROOT / "topologies" / "two_path.py").read_text(encoding="utf-8")
    for name, coding in (("utf", "utf-8"), ("latin", "latin-1")):
        plain = text.encode("ascii", "replace").decode()
        source = f"# -*- coding: {coding} -*-\n# Zürich\n{text if name == 'utf' else plain}"
        (tmp_path / f"{name}.py").write_bytes(source.encode(coding))
        done = subprocess.run(
            [
                sys.executable,
                "-X",
                "utf8=0",
                "-m",
                "testbed.cli",
                "topo",
                "show",
                str(tmp_path / f"{name}.py"),
            ],
            env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
