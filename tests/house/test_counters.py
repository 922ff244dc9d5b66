"""Every name that an endpoint counts under is in the one table, and the table has no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from testbed.mptcp.counters import COUNTERS

PACKAGE = Path(__file__).parents[2] / "testbed" / "mptcp"


def texts(node: ast.AST) -> Iterator[str]:
    """Constants that may be the value of an expression: both arms of a condition, not the condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)


def counted(tree: ast.Module) -> Iterator[str]:
    assigned = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for word in node.keywords:
            if word.arg == "counter":
                yield from texts(word.value)
        owner = node.func
        counts = isinstance(owner, ast.Attribute) and owner.attr == "count"
        if counts and "context" in ast.unparse(owner):
            (name, *_) = node.args
            yield from texts(assigned.get(name.id, name) if isinstance(name, ast.Name) else name)
        elif isinstance(owner, ast.Name) and owner.id == "_signal":
            for name in texts(node.args[-1]):
                yield from (name, f"{name}Drop")


def test_the_table_holds_what_is_counted() -> None:
    found = {name for file in PACKAGE.rglob("*.py") for name in counted(ast.parse(file.read_text()))}
    assert len(found) > 60
    assert sorted(found) == sorted(COUNTERS)
