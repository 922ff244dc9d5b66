"""No child of the testbed takes code from the working directory: a trap lies there, and stays unsprung.

The trap is what a stranger could leave in a directory in which root starts `testbed`: packages with names
that the testbed and its libraries import, and programs with names that it starts. Each writes its name to a
file.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.interpreter import bare_script, child_environment, module, script, search_path, secure
from tests.namespaces import why_no_lab

ROOT = Path(__file__).parents[2]
TESTBED = str(Path(sys.executable).with_name("testbed"))
MODULES = ("json", "yaml", "typing", "sitecustomize", "usercustomize", "ctypes", "heapq", "evil")
PACKAGES = ("testbed", "mininet", "pydantic", "pandas", "numpy", "pyroute2", "matplotlib", "typer", "tests")
PROGRAMS = ("ip", "sysctl", "sh", "bash", "mnexec", "git", "unshare", "ifconfig", "tc", "python3", "stty")

SPRUNG = """
import os
with open({marks!r}, "a") as file:
    file.write({name!r} + " in " + open("/proc/self/cmdline").read().replace(chr(0), " ") + chr(10))
"""

STARTERS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}

EXPERIMENT = """
question: Does a child take code from here?
topology: {name: two_path, delay: 2ms}
vary: {client.profile: [v0], paths.*.loss.up: [0, 5]}
client: {paths: {endpoints: []}}
server: {syn_cookies: always, paths: {endpoints: []}}
workload: {type: request, request: 300B, response: 1KB, arrivals: 40/s}
connections: 5
figures: [fallback_by_loss]
"""


class Trap:
    def __init__(self, place: Path) -> None:
        self.place, self.marks = place, place / "sprung.txt"
        for name in (*MODULES, *PACKAGES):
            file = place / name / "__init__.py" if name in PACKAGES else place / f"{name}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(SPRUNG.format(marks=str(self.marks), name=name))
        (place / "testbed" / "cli").mkdir()
        (place / "testbed" / "cli" / "__init__.py").write_text("def main(): pass\n")
        (place / "topologies").mkdir()
        for name in ("two_path", "another"):
            (place / "topologies" / f"{name}.py").write_text(
                SPRUNG.format(marks=str(self.marks), name=f"topologies/{name}.py")
            )
        (place / "startup.py").write_text(SPRUNG.format(marks=str(self.marks), name="startup.py"))
        (place / "matplotlibrc").write_text("figure.figsize: nonsense\nbackend: module://evil\n")
        for name in PROGRAMS:
            program = place / name
            program.write_text(f"#!/bin/sh\necho {name} >> {self.marks}\nexit 1\n")
            program.chmod(0o755)
        (place / "experiment.yaml").write_text(EXPERIMENT)

    def testbed(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """The command as a user starts it, in the place of the trap, and with a careless environment."""
        environment = {
            **os.environ,
            "PATH": os.pathsep.join(["", ".", os.environ["PATH"]]),
            "PYTHONSTARTUP": str(self.place / "startup.py"),
        }
        done = subprocess.run(
            [TESTBED, *words],
            cwd=self.place,
            env=environment,
            input="exit\n",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not self.marks.exists(), self.marks.read_text()
        assert "matplotlibrc" not in done.stderr, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path)


def test_the_trap_works(trap: Trap) -> None:
    """Python's own habit, and a PATH with an empty entry, do spring it."""
    subprocess.run([sys.executable, "-m", "testbed.cli"], cwd=trap.place, check=False, capture_output=True)
    assert "testbed in" in trap.marks.read_text()
    trap.marks.unlink()
    environment = {"PATH": os.pathsep + os.environ["PATH"]}
    subprocess.run(["git", "--version"], cwd=trap.place, check=False, capture_output=True, env=environment)
    assert "git" in trap.marks.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("run", "experiment.yaml", "--net", "sim"),  # pool, workers, figures
        ("bench", "half-open", "--syns", "10"),
        ("reproduce", "syn_cookies", "--quick", "--net", "sim"),  # measurements of their own process
        ("topo", "list"),
        ("topo", "show", "two_path"),
        ("model", "fallback", "--profile", "v0", "--loss", "5"),
        ("explain", "COOKIE_WITHOUT_KEY"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_commands_without_a_lab(trap: Trap, words: tuple[str, ...]) -> None:
    done = trap.testbed(*words)
    assert done.returncode == 0, done.stderr


@pytest.mark.lab
@pytest.mark.skipif(why_no_lab() is not None, reason=str(why_no_lab()))
@pytest.mark.parametrize(
    ("words", "statuses"),
    [
        # calibration with its probes, labs, wires, hosts
        (("run", "experiment.yaml", "--net", "mininet", "--set", "fidelity.rtt_error=1s"), (0, 1)),
        (("run", "experiment.yaml", "--set", "client.profile=kernel", "--set", "vary={}"), (0, 1, 2, 3)),
        (("topo", "shell", "two_path"), (0,)),
        (("doctor",), (0, 3)),
        (("interop", "ours-linux/ipv4/1-path", "--quick"), (0, 1, 3)),
        (("interop", "linux-ours/ipv4/1-path", "--quick"), (0, 1, 3)),
        (("bench", "datapath", "--rounds", "1", "--size", "1MB", "--linux-size", "1MB"), (0, 1, 3)),
        (("bench", "labs", "--rounds", "1", "--hosts", "2"), (0, 3)),
    ],
    ids=lambda words: "-".join(words[:2]).replace("/", "_") if isinstance(words[0], str) else "",
)
def test_commands_with_a_lab(trap: Trap, words: tuple[str, ...], statuses: tuple[int, ...]) -> None:
    done = trap.testbed(*words)
    assert done.returncode in statuses, done.stderr


@pytest.mark.parametrize(
    "file", sorted((ROOT / "testbed").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT))
)
def test_children_start_through_one_module(file: Path) -> None:
    """`sys.executable` stands in testbed/interpreter.py alone; elsewhere only its folder is asked for."""
    if file == ROOT / "testbed" / "interpreter.py":
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    folders = {
        id(node.value.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "parent"
        and isinstance(node.value, ast.Call)
        and node.value.args
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable":
            assert id(node) in folders, f"{file}:{node.lineno}: start it with testbed.interpreter"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in STARTERS:
            environment = {keyword.arg for keyword in node.keywords} & {"env", None}
            assert environment, f"{file}:{node.lineno}: give it env=child_environment()"


@pytest.mark.parametrize("file", sorted((ROOT / "scripts").glob("*.sh")), ids=lambda file: file.name)
def test_scripts_start_python_without_the_working_directory(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        for found in re.finditer(r"(?:\bpython3?|\"\$python\"|\"\$name\")\s+(-\S+|\S+\.py)", line):
            if found[1] not in ("-P", "-I"):
                assert "apt" in line or line.lstrip().startswith(("#", "for ")), line


def test_commands_of_the_interpreter() -> None:
    assert module("testbed.cli", "doctor") == [sys.executable, "-P", "-m", "testbed.cli", "doctor"]
    assert script("a.py", "b")[1:] == ["-P", "a.py", "b"]
    assert bare_script("a.py", "b")[1:] == ["-I", "-S", "a.py", "b"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", []),
        (":", []),
        (".:/usr/bin:", ["/usr/bin"]),
        ("bin:./bin:../bin:~/bin:/bin", ["/bin"]),
        ("/bin::/usr/bin:/bin", ["/bin", "/usr/bin"]),
    ],
)
def test_no_program_is_looked_for_in_the_working_directory(given: str, kept: list[str]) -> None:
    assert search_path({"PATH": given}).split(":") == [*kept, "/usr/sbin", "/sbin"]


def test_environment_of_a_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"PYTHONPATH": ":lib:/opt/x:", "PYTHONSTARTUP": "x", "PYTHONINSPECT": "1"}.items():
        monkeypatch.setenv(name, value)
    child = child_environment()
    assert child["PYTHONPATH"] == f"{tmp_path}/lib:/opt/x"
    assert not {"PYTHONSTARTUP", "PYTHONINSPECT"} & child.keys()
    assert os.environ["PYTHONSTARTUP"] == "x"
    empty = {"PYTHONPATH": ":"}
    secure(empty)
    assert not empty["PYTHONPATH"]
