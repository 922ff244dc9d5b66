"""How much a command imports before it does anything: users feel it each time."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = "import sys; sys.argv = ['testbed', *{words!r}]\n"
LIST += "from testbed.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
LIST += "print(*sorted({{name.split('.')[0] for name in sys.modules}} | set(sys.modules)), file=sys.stderr)"
HEAVY = {"scipy", "scipy.stats", "matplotlib", "pyarrow.parquet", "jinja2"}


@pytest.fixture(scope="module")
def one_row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("start") / "out"
    sets = [word for text in ("vary={}", "connections=5", "figures=[]") for word in ("--set", text)]
    experiment = ROOT / "experiments" / "fallback.yaml"
    command = ["run", str(experiment), "--net", "sim", "--out", str(out), *sets]
    subprocess.run([sys.executable, "-m", "testbed.cli", *command], check=True, capture_output=True)
    return out


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["results", "DIR"], HEAVY),
        (["--help"], HEAVY | {"pandas", "numpy", "testbed.workloads", "pydantic"}),
        (["topo", "list"], HEAVY | {"pandas", "numpy"}),
        (["explain", "dss"], HEAVY | {"pandas", "numpy"}),
        (["model", "fallback", "--profile", "v0", "--loss", "5"], HEAVY | {"pandas", "numpy"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_only_what_it_needs(words: list[str], heavy: set[str], one_row: Path) -> None:
    chosen = [str(one_row) if word == "DIR" else word for word in words]
    done = subprocess.run(
        [sys.executable, "-c", LIST.format(words=chosen)], capture_output=True, text=True, check=True
    )
    assert done.stdout
    assert heavy & set(done.stderr.split()) == set()


def cpu(*command: str) -> float:
    """Seconds of CPU, the best of three."""
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


@pytest.mark.slow
def test_one_row_of_results_costs_little_more_than_pandas(one_row: Path) -> None:
    """0.7 s of CPU where `import pandas` alone takes 0.44 s; it was 1.5 s with scipy.stats."""
    assert cpu("-m", "testbed.cli", "results", str(one_row)) < 2 * cpu("-c", "import pandas")
