"""The wheel: installed elsewhere, the commands work from any directory, with topologies and experiments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Installed:
    """The unpacked wheel beside this environment's dependencies, and an unrelated directory to work in."""

    def __init__(self, place: Path, directory: Path) -> None:
        self.place, self.directory = place, directory

    def testbed(self, *words: object) -> subprocess.CompletedProcess[str]:
        # -S: without site-packages' .pth files, one of which leads to this checkout.
        path = os.pathsep.join(
            [str(self.place), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        )
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, "-S", "-c", "from testbed.cli import main; main()", *map(str, words)],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in ("testbed", "topologies", "experiments"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        "..",
    ]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = place.glob("*.whl")
    return found


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Installed:
    place, directory = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    directory.mkdir()
    return Installed(place, directory)


@pytest.mark.slow
def test_topologies_and_experiments_are_found_from_any_directory(installed: Installed) -> None:
    listed = installed.testbed("topo", "list")
    assert listed.returncode == 0, listed.stderr
    for file in (ROOT / "topologies").glob("*.py"):
        assert file.stem in listed.stdout
    assert "10.1.2.1" in installed.testbed("topo", "show", "two_path").stdout
    sets = [word for text in ("connections=20", "vary.paths.*.loss.up=[0, 20]") for word in ("--set", text)]
    ran = installed.testbed("run", "fallback", "--net", "sim", *sets)
    assert ran.returncode == 0, ran.stderr
    assert "results  results/fallback-sim" in ran.stdout
    assert (installed.directory / "results" / "fallback-sim" / "fallback_by_loss.png").stat().st_size > 0
    record = next(
        (installed.directory / "results" / "fallback-sim" / "runs").glob("*/record.json")
    ).read_text()
    assert '"commit": "version ' in record  # not that of a repository around the installation
    for words in (["experiments/fallback.yaml"], ["seed/options"], ["experiments/seed/options.yaml"]):
        done = installed.testbed("run", *words, "--net", "sim", "--set", "conections=1")
        assert "conections: unknown key" in done.stderr, (words, done.stderr)
    missing = installed.testbed("run", "falback")
    assert missing.returncode == 2
    assert "falback: no such file" in missing.stderr
    assert "seed/options" in missing.stderr
    assert installed.testbed("explain", "cookie_without_key").returncode == 0
    assert installed.testbed("reproduce", "--list").returncode == 0


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """The property: what is in the three folders of a checkout is in the wheel, and nothing else is."""
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = [
        file.relative_to(ROOT).as_posix()
        for name in ("testbed", "topologies", "experiments")
        for file in (ROOT / name).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    ]
    expected = {name if name.startswith("testbed/") else f"testbed/{name}" for name in tracked}
    assert expected - there == set()
    assert not any("__pycache__" in name or name.startswith("tests/") for name in there)
