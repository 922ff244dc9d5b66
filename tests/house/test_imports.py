"""The rules that keep the rooms apart, read from every import statement in the source.

Nothing is imported here: the files are parsed, so that an import inside a function counts too. What stands
under `if TYPE_CHECKING:` is a matter of types alone and counts for cycles not at all, for rooms all the same.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "testbed"

PURE = ("mptcp", "link", "workloads", "sim")
IMPURE = {"time", "os", "socket", "select", "selectors", "threading", "asyncio", "subprocess", "secrets"}
IMPURE |= {"logging", "multiprocessing", "concurrent", "datetime", "uuid"}

# Heavy dependency -> the rooms that own it.
OWNERS = {
    "mininet": {"net", "plan"},
    "pyroute2": {"net", "drive"},
    "paramiko": {"remote"},
    "distributed": {"remote"},
    "matplotlib": {"figures"},
    "jinja2": {"figures"},
    "yaml": {"runner"},
    "pydantic": {"runner", "net", "drive"},
    "pandas": {"results", "figures"},
    "pyarrow": {"results"},
    "scipy": {"results"},
    "typer": {"cli"},
    "rich": {"cli"},
    "h11": {"workloads"},  # sans I/O
}


@dataclass(frozen=True)
class Import:
    file: Path
    line: int
    module: str  # "testbed.mptcp.wire", "os"
    names: tuple[str, ...]
    at_start: bool  # when the module is loaded: not inside a function, not for types alone

    @property
    def top(self) -> str:
        return self.module.split(".")[0]

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def room_of(file: Path) -> str:
    """'mptcp' for testbed/mptcp/...; 'errors' for testbed/errors.py; '' for testbed/__init__.py."""
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else Path(parts[0]).stem.replace("__init__", "")


def imports_of(file: Path) -> Iterator[Import]:
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    yield from _walk(tree.body, file, at_start=True)


def _walk(body: list[ast.stmt], file: Path, at_start: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, (), at_start)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            yield Import(
                file, node.lineno, node.module or "", tuple(alias.name for alias in node.names), at_start
            )
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _walk(node.body, file, at_start=False)
            yield from _walk(node.orelse, file, at_start)
        else:
            inner = at_start and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody"):
                yield from _walk(getattr(node, field, []), file, inner)
            for handler in getattr(node, "handlers", []):
                yield from _walk(handler.body, file, inner)


FILES = sorted(PACKAGE.rglob("*.py"))
IMPORTS = [found for file in FILES for found in imports_of(file)]


def broken(rule: Iterator[Import]) -> None:
    lines = [str(found) for found in rule]
    assert not lines, "\n".join(lines)


def test_pure_rooms_have_no_clock_no_io_and_no_randomness_of_their_own() -> None:
    broken(found for found in IMPORTS if room_of(found.file) in PURE and found.top in IMPURE)


def test_pure_rooms_call_no_global_randomness() -> None:
    calls = []
    for file in FILES:
        if room_of(file) not in PURE:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "random"
                and node.attr != "Random"
            ):
                calls.append(f"{file.relative_to(ROOT)}:{node.lineno} uses random.{node.attr}")
    assert not calls, "\n".join(calls)


def test_link_and_trace_know_packets_through_the_wire_alone() -> None:
    """`trace` shares the vocabulary of verdicts and reasons besides."""
    allowed = {"link": ("testbed.mptcp.wire",), "trace": ("testbed.mptcp.wire", "testbed.mptcp.reasons")}
    broken(
        found
        for found in IMPORTS
        if room_of(found.file) in allowed
        and found.module.startswith("testbed.mptcp")
        and not found.module.startswith(allowed[room_of(found.file)])
    )


def test_the_runner_never_imports_drive() -> None:
    broken(
        found
        for found in IMPORTS
        if room_of(found.file) == "runner" and found.module.startswith("testbed.drive")
    )


def test_the_command_line_opens_doors_only() -> None:
    """A room's `__init__`, the files beside the rooms, its own files, and the words of configuration."""
    doors = {f"testbed.{room_of(file)}" for file in FILES}
    broken(
        found
        for found in IMPORTS
        if room_of(found.file) == "cli"
        and found.top == "testbed"
        and not found.module.startswith("testbed.cli")
        and found.module not in doors | {"testbed.mptcp.config"}
    )


def test_one_owner_for_each_heavy_dependency() -> None:
    broken(found for found in IMPORTS if found.top in OWNERS and room_of(found.file) not in OWNERS[found.top])


def test_plan_takes_nothing_of_mininet_but_its_topologies() -> None:
    broken(
        found
        for found in IMPORTS
        if room_of(found.file) == "plan" and found.top == "mininet" and found.module != "mininet.topo"
    )


def test_every_third_party_module_has_an_owner() -> None:
    """A new dependency is a decision: it goes into OWNERS."""
    shared = {"numpy"}  # the arrays of pandas and scipy
    known = set(sys.stdlib_module_names) | set(OWNERS) | shared | {"testbed", "pydantic_core"}
    broken(found for found in IMPORTS if found.top not in known)


def test_values_in_values_out() -> None:
    """`cc`, `sched` and `paths` never see a connection."""
    for room in ("cc", "sched", "paths"):
        folder = PACKAGE / "mptcp" / room
        broken(
            found
            for found in IMPORTS
            if folder in found.file.parents
            and found.module.startswith("testbed.mptcp")
            and not found.module.startswith((f"testbed.mptcp.{room}", "testbed.mptcp.config"))
        )


def test_no_import_cycles() -> None:
    names = {_module(file): file for file in FILES}
    edges: dict[str, set[str]] = {name: set() for name in names}
    for found in IMPORTS:
        if not found.at_start or found.top != "testbed":
            continue
        here = _module(found.file)
        for target in [f"{found.module}.{name}" for name in found.names] or [found.module]:
            goal = target if target in names else found.module
            if goal in names and goal != here and not here.startswith(f"{goal}."):
                edges[here].add(goal)
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, "cycle: " + " -> ".join([*above[above.index(name) :], name])
        if name in done:
            return
        for target in sorted(edges[name]):
            visit(target, (*above, name))
        done.add(name)

    for name in sorted(edges):
        visit(name, ())


def _module(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_says_what_it_decides_and_stays_short(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= 600, f"{lines} lines; split it by RFC section"
    if lines > 30:
        assert ast.get_docstring(ast.parse(text)), "a file opens with what it decides"


def test_topologies_need_nothing_but_mininet() -> None:
    for file in sorted((ROOT / "topologies").glob("*.py")):
        for found in imports_of(file):
            fine = found.top in sys.stdlib_module_names or found.module == "mininet.topo"
            assert fine, f"{file.name}:{found.line} imports {found.module}"


def test_the_reader_of_imports_sees_the_hidden_ones(tmp_path: Path) -> None:
    file = tmp_path / "hidden.py"
    file.write_text(
        "import json\n"
        "def f():\n    if True:\n        import time\n"
        "class C:\n    try:\n        from os import path\n    except ImportError:\n        import socket\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\n"
    )
    seen = {found.top: found.at_start for found in imports_of(file)}
    hidden = {"time": False, "os": True, "socket": True, "pandas": False}
    assert seen == {"json": True, "typing": True, **hidden}
    assert len(IMPORTS) > 300


def test_documents_do_not_depend_on_this_checkout() -> None:
    """Nothing that is shipped names the place where it was written."""
    for file in [*ROOT.glob("*.md"), *FILES, *(ROOT / "scripts").glob("*"), ROOT / "Makefile"]:
        assert f"{ROOT}/" not in file.read_text(encoding="utf-8"), file
