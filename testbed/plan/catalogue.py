"""Finds topologies by name or file and makes them with parameters.

Decides where topologies are looked for: a path with a slash or ending in .py is that file (FILE.py:NAME
where it holds several); a name is one of those beside the package or, after them, one in `topologies/` of the
working directory. Which names a file has is read from its text: no file runs until it is chosen, and
`topo list` runs none. Root runs a file of the working directory by its name only where the file is root's, or
of the user who called sudo. How a file runs is topology_file.py's. Knows nothing of what a topology means.
"""

from __future__ import annotations

import ast
import os
import tokenize
from collections.abc import Iterator
from pathlib import Path

from testbed.errors import UserError
from testbed.plan.mininet_topo import Topo
from testbed.plan.topology_file import run_topology_file
from testbed.shipped import shipped

_MOST_CHARACTERS = 1 << 20  # of a file whose names are read


def load_topology(name_or_file: str, **params: object) -> Topo:
    """UserError for an unknown name (naming the known), a file that does not load, an unknown parameter."""
    name, file = _find(name_or_file)
    topo = run_topology_file(file, name, params, name_or_file)
    topo.plan_parameters = dict(params)
    topo.plan_file = file if name_or_file != topo.plan_name else None  # where the user can correct it
    return topo


def known_topologies() -> dict[str, str]:
    """Name -> first line of the topology's docstring, for every topology that is found by name."""
    found: dict[str, str] = {}
    for file in _files():
        for name, line in _names(file).items():
            found.setdefault(name, line)
    return found


def topology_file(name_or_file: str) -> Path:
    """The file that a topology comes from."""
    return _find(name_or_file)[1]


def _find(text: str) -> tuple[str, Path]:
    """The name in the file ('': its only one), and the file."""
    if "/" in text or text.endswith(".py") or ".py:" in text:
        path, _, name = text.rpartition(":") if ".py:" in text else (text, "", "")
        try:
            file = Path(path).expanduser()
        except RuntimeError:  # ~ of an unknown user
            file = Path(path)
        if not _is_file(file):
            raise UserError(f"topology {text}: there is no file {file}")
        return name, file
    known: list[str] = []
    unread: list[Path] = []
    for file in _files():
        names = _names(file)
        if text in names:
            _check_owner(text, file)
            return text, file
        known.extend(names)
        unread.extend([] if names else [file])
    names_known = ", ".join(sorted(set(known))) or "none"
    files = "".join(f"; ./topologies/{file.name} is found as a file only" for file in unread)
    raise UserError(
        f"unknown topology {text!r}; there are {names_known}, or give a file: ./my_network.py{files}"
    )


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False


def _files() -> Iterator[Path]:
    """Those beside the package first: a working directory does not change what their names mean."""
    seen: set[Path] = set()
    for folder in (shipped("topologies"), Path.cwd() / "topologies"):
        for file in sorted(folder.glob("*.py")):
            if file.resolve() not in seen and _is_file(file):
                seen.add(file.resolve())
                yield file


def _check_owner(name: str, file: Path) -> None:
    """UserError where root would run, by a mere name, a file that another user has laid there."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or file.parent == shipped("topologies"):
        return
    trusted = {0, int(os.environ["SUDO_UID"])} if os.environ.get("SUDO_UID", "").isdecimal() else {0}
    for place in (file, file.parent):
        status = place.stat()
        if status.st_uid not in trusted or status.st_mode & 0o002:
            raise UserError(
                f"topology {name}: {place} can be written by user {status.st_uid} or others, and you are "
                f"root; if you trust it, name it as a file: ./topologies/{file.name}"
            )


def _names(file: Path) -> dict[str, str]:
    """Name -> first line of the docstring, read from `topos = {'name': Class}` without running the file.
    Empty where `topos` is made in another way, or the file is not Python."""
    try:
        with tokenize.open(file) as source:  # in the encoding that the file declares, as Python reads it
            text = source.read(_MOST_CHARACTERS + 1)
        if len(text) > _MOST_CHARACTERS:
            return {}
        body = ast.parse(text).body
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    makers = {
        node.name: (ast.get_docstring(node) or "").split("\n")[0]
        for node in body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
    found: dict[str, str] = {}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and any(
            isinstance(target, ast.Name) and target.id == "topos" for target in targets
        ):
            found = {}
            if isinstance(node.value, ast.Dict):
                for key, maker in zip(node.value.keys, node.value.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found[key.value] = makers.get(getattr(maker, "id", ""), "")
    return found
