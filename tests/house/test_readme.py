"""The README is true: its commands run as they stand, its files exist, its example is a real experiment."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.runner import load_experiment
from testbed.runner.document import parse

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.slow
def test_commands_run_in_their_order(tmp_path: Path) -> None:
    """Every `testbed` command of the sh blocks, one behind the other, in one directory."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = 0
    for words in commands():
        if words[0] != "testbed":
            continue
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        allowed = (0, 3) if words[1] == "doctor" else (0,)
        assert done.returncode in allowed, (words, done.stderr)
        assert done.stdout.strip(), words
        ran += 1
    assert ran >= 8


def test_every_command_is_of_a_known_kind() -> None:
    for words in commands():
        assert words[0] in ("testbed", "make"), words


def test_make_targets_exist() -> None:
    targets = {words[1] for words in commands() if words[0] == "make"}
    assert {"run", "test"} <= targets
    for target in {*targets, "setup", "test-fast", "lint", "bench"}:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "scripts/setup.sh" in done.stdout


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_example_is_the_experiment_itself() -> None:
    (example,) = blocks("yaml")
    ours = (ROOT / "experiments" / "fallback.yaml").read_text(encoding="utf-8")
    assert parse(example, "README.md").data == parse(ours, "fallback.yaml").data


@pytest.mark.parametrize("file", sorted((ROOT / "experiments").rglob("*.yaml")), ids=lambda file: file.name)
def test_every_experiment_is_sound(file: Path) -> None:
    assert load_experiment(file).cells


def test_the_picture_is_the_topologys() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "testbed.cli", "topo", "show", "two_path"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\n".join(done.stdout.splitlines()[:3]) in README
