"""`-h`, `--version` and completion: every command has them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from testbed.cli.app import app
from testbed.version import version
from tests.cli.conftest import Done

Testbed = Callable[..., Done]
ROOT = Path(__file__).parents[2]


def commands(group: typer.Typer, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield above
    for one in group.registered_commands:
        assert one.callback is not None
        yield (*above, one.name or one.callback.__name__.strip("_"))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, (*above, str(inner.name)))


COMMANDS = list(commands(app))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: "-".join(words) or "testbed")
def test_every_command_has_h_and_help(testbed: Testbed, command: tuple[str, ...]) -> None:
    short, long = (testbed(*command, flag) for flag in ("-h", "--help"))
    assert (short.status, short.err) == (0, "")
    assert short.out == long.out
    assert short.out.startswith(f"Usage: {' '.join(('testbed', *command))}")


def test_version(testbed: Testbed) -> None:
    done = testbed("--version")
    assert (done.status, done.out) == (0, f"testbed {version()} ({ROOT})\n")
    assert testbed("--version", "nonsense").out == done.out


def complete(*words: str) -> list[str]:
    """What bash would offer after the last word."""
    environment = {
        **os.environ,
        "_TESTBED_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("testbed", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from testbed.cli import main; main()"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_completion_offers_commands_options_and_names(testbed: Testbed) -> None:
    assert complete("re") == ["reproduce", "results", "report"]
    assert "--congestion" in complete("client", "10.0.0.1:80", "--con")
    assert complete("topo", "show", "w") == ["wifi_lte"]
    assert complete("explain", "MPCapableF") == ["MPCapableFallbackACK", "MPCapableFallbackSYNACK"]
    assert complete("reproduce", "f") == ["features", "fast_open"]
    script = testbed("--show-completion", "bash")
    assert script.status == 0
    assert "_TESTBED_COMPLETE" in script.out


def test_completion_executes_nothing_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "trap.py").write_text("open('sprung', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    assert "two_path" in complete("topo", "show", "t")
    assert not (tmp_path / "sprung").exists()
