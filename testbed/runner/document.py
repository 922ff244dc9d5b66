"""A YAML file as plain values that remember where each one stood.

Decides how YAML is read: duplicate keys are errors, and `off`, `on`, `yes`, `no` are words and not truth
values (YAML 1.2), since `syn_cookies: off` means the word. Decides how a dotted key addresses a value:
`client.profile` descends, while everything behind `vary.`, and every key that begins with `paths.` or
`links.`, is one key; below a list a word is the item whose `from` it is. Decides how large a document may be
(`Limits`), and looks before the cost arises: a small file can stand for very much by aliases, by nesting, or
by a number of many digits. Must not know what any key means.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from testbed.errors import UserError
from testbed.shipped import experiment_names
from testbed.terminal import shorten, shown, unsafe_character

Path_ = tuple[str | int, ...]
ONE_KEY = ("paths.", "links.")
_PLAIN = "plain value and has no keys below it"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may hold. `values` counts keys, items and values with every alias written out."""

    characters: int = 1 << 20
    depth: int = 32
    values: int = 50_000
    text: int = 10_000  # characters of one value
    number: int = 40  # characters of one number


FOR_USERS = Limits()
FOR_OWN_FILES = Limits(characters=1 << 26, values=10_000_000)  # defaults spelled out, aliases written out
MOST_INTEGER = (1 << 63) - 1

_TAG = "tag:yaml.org,2002:"


class _Yaml12(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema, within limits."""

    def __init__(self, text: str, name: str, limits: Limits) -> None:
        self.document_name, self.limits = name, limits
        self._depth = self._nodes = 0
        super().__init__(text)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
        self._depth += 1
        self._nodes += 1
        check_depth(self._depth - 1, f"{self.document_name}:{line}", self.limits)
        check_values(self._nodes, f"{self.document_name}:{line}", self.limits)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def check_depth(depth: int, where: str, limits: Limits) -> None:
    if depth > limits.depth:
        raise UserError(
            f"{where}: nested more than {limits.depth} deep; expected keys and lists of a few levels"
        )


def check_values(count: int, where: str, limits: Limits) -> None:
    if count > limits.values:
        raise UserError(
            f"{where}: more than {limits.values:,} values, each alias (*name) counted as what it stands for"
        )


_Yaml12.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
):
    _Yaml12.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), _first)


@dataclass(slots=True)
class Document:
    """`data` as read; `origins` maps the path of every key and list item to "FILE:LINE" or "--set ..."."""

    name: str
    data: dict[str, Any]
    origins: dict[Path_, str] = field(default_factory=dict)
    numbered: bool = True  # a file, whose lines are worth naming

    def line(self, number: int) -> str:
        return f"{self.name}:{number}" if self.numbered else self.name

    def origin(self, path: Path_) -> str:
        """Where `path` stood, or the nearest thing around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return self.name

    def copy(self) -> Document:
        return Document(self.name, copy.deepcopy(self.data), dict(self.origins), self.numbered)

    def set(self, dotted: str, value: Any, origin: str) -> None:
        """Puts `value` under a dotted key, making the mappings on the way."""
        path = path_of(self.data, dotted)
        here: Any = self.data
        for depth, key in enumerate(path[:-1]):
            if isinstance(here, dict) and here.get(key) is None:
                here[key] = {}
            here = here[key]
            below = path[depth + 1]
            if not isinstance(here, dict) and not (isinstance(here, list) and isinstance(below, int)):
                above = ".".join(split_key(dotted)[: depth + 1])
                kind = f"list and has no item from {below}" if isinstance(here, list) else _PLAIN
                raise UserError(f"{origin}: {dotted}: {above} is a {kind}")
        here[path[-1]] = value
        self.origins = {known: at for known, at in self.origins.items() if known[: len(path)] != path}
        self.origins[path] = origin

    def remove(self, dotted: str) -> bool:
        """Takes a dotted key out; whether it was there."""
        *above, last = path_of(self.data, dotted)
        here = value_at(self.data, above)
        if not isinstance(here, dict) or last not in here:
            return False
        del here[last]
        return True


def split_key(dotted: str) -> tuple[str, ...]:
    """'client.tcp.mss' -> three parts; 'vary.paths.*.loss.up' -> two; 'paths.*.loss.up' -> one."""
    if dotted.startswith("vary."):
        return ("vary", dotted.removeprefix("vary."))
    if dotted.startswith(ONE_KEY):
        return (dotted,)
    return tuple(dotted.split("."))


def path_of(data: Mapping[str, Any], dotted: str) -> Path_:
    """A dotted key's place in `data`: 'traffic.attacker.start' -> ('traffic', 0, 'start')."""
    path: list[str | int] = []
    here: Any = data
    for word in split_key(dotted):
        found: str | int = word
        if isinstance(here, list):
            ours = (index for index, item in enumerate(here) if value_at(item, ("from",)) == word)
            found = next(ours, word)
        path.append(found)
        here = value_at(here, (found,))
    return tuple(path)


def value_at(data: Any, path: Sequence[str | int]) -> Any:
    """None where there is nothing."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        else:
            data = data[part] if isinstance(data, list) and isinstance(part, int) else None
    return data


def read(path: Path) -> Document:
    """The YAML file at `path`, whose top level must be a mapping."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(FOR_USERS.characters + 1)
    except FileNotFoundError:
        near = ", ".join(str(other) for other in sorted(path.parent.glob("*.yaml"))[:20]) or "none"
        names = ", ".join(experiment_names())
        raise UserError(
            f"{path}: no such file; experiments in that directory: {near}; by name from anywhere: {names}"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str, limits: Limits = FOR_USERS) -> Document:
    document = Document(name, {}, {(): f"{name}:1"})
    value = _values(text, document, limits)
    if not isinstance(value, dict):
        raise UserError(f"{name}:1: expected keys and values at the top level, such as 'connections: 300'")
    document.data = value
    return document


def parse_set(assignment: str) -> tuple[str, Any]:
    """'KEY=VALUE' -> dotted key and the value read as YAML."""
    key, equals, text = assignment.partition("=")
    where = f"--set {shorten(assignment)}"
    if not equals or not key.strip():
        raise UserError(f"{where}: expected KEY=VALUE, such as --set connections=2000")
    if unsafe := unsafe_character(key):
        raise UserError(f"{where}: the key holds the control character U+{ord(unsafe):04X}")
    return key.strip(), _values(text, Document(where, {}, numbered=False), FOR_USERS)


def _values(text: str, document: Document, limits: Limits) -> Any:
    """The value of a whole text; the origin of every part goes into the document."""
    name = document.name
    if len(text) > limits.characters:
        raise UserError(f"{name}: more than {limits.characters:,} characters; expected a smaller file")
    loader = None
    try:
        loader = _Yaml12(text, name, limits)
        node = loader.get_single_node()
        return None if node is None else _Expansion(document, limits).plain(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.context_mark or error.problem_mark  # where the bracket opened, else where it went wrong
        where = document.line(mark.line + 1) if mark else name
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise UserError(f"{where}: not YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        where = document.line(line)
        raise UserError(f"{where}: not YAML: the control character U+{code:04X} is not allowed") from None
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not YAML: {error}") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Expansion:
    """Nodes as plain values, aliases written out: what they cost is counted, and cycles end."""

    def __init__(self, document: Document, limits: Limits) -> None:
        self._document, self._limits = document, limits
        self._count = 0
        self._above: list[yaml.Node] = []

    def plain(self, node: yaml.Node, path: Path_) -> Any:
        where = self._document.line(node.start_mark.line + 1)
        self._count += 1
        check_values(self._count, where, self._limits)
        check_depth(len(path), where, self._limits)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, f"{where}: {_dotted(path)}")
        expected = "map" if isinstance(node, yaml.MappingNode) else "seq"
        if node.tag not in (_TAG + expected, "!"):
            raise UserError(
                f"{where}: {_dotted(path)}the tag {shown(node.tag)} is not supported; leave it out"
            )
        if any(node is one for one in self._above):
            raise UserError(f"{where}: {_dotted(path)}contains itself by an alias (*name)")
        self._above.append(node)
        found = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._items(node, path)
        self._above.pop()
        return found

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        origins = self._document.origins
        for key_node, value_node in node.value:
            where = self._document.line(key_node.start_mark.line + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise UserError(f"{where}: {_dotted(path)}expected a word as key, not a list or a mapping")
            key = self._scalar(key_node, f"{where}: {_dotted(path)}")
            if not isinstance(key, str):
                raise UserError(f"{where}: {shown(key)}: expected a word as key")
            if "\n" in key or "\t" in key:
                raise UserError(f"{where}: {shown(key)}: expected a key on one line, without tabs")
            if key in mapping:
                earlier = origins[(*path, key)].rpartition(":")[2]
                raise UserError(f"{where}: {shorten(key)}: stands here twice; the first is at line {earlier}")
            origins[(*path, key)] = where
            mapping[key] = self.plain(value_node, (*path, key))
        return mapping

    def _items(self, node: yaml.Node, path: Path_) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self._document.origins[(*path, index)] = self._document.line(item.start_mark.line + 1)
            items.append(self.plain(item, (*path, index)))
        return items

    def _scalar(self, node: yaml.ScalarNode, where: str) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind in ("str", "!"):
            if len(text) > self._limits.text:
                most = f"{self._limits.text:,}"
                raise UserError(f"{where}a text of {len(text):,} characters; expected at most {most}")
            if unsafe := unsafe_character(text):
                raise UserError(f"{where}the control character U+{ord(unsafe):04X}; expected printable text")
            return text
        if kind in ("int", "float") and len(text) > self._limits.number:
            most = f"{self._limits.number}"
            raise UserError(f"{where}a number of {len(text):,} characters; expected at most {most}")
        if kind not in _SCALARS:
            raise UserError(f"{where}the tag {shown(node.tag)} is not supported; leave it out")
        try:
            value = _SCALARS[kind](text)
        except (ValueError, KeyError):
            raise UserError(f"{where}{shown(text)} does not suit the tag !!{kind}") from None
        if isinstance(value, int) and abs(value) > MOST_INTEGER:
            raise UserError(f"{where}{text}: expected a whole number of at most {MOST_INTEGER}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{where}{text} is infinite or not a number; expected a finite number")
        return value


def _integer(text: str) -> int:
    """YAML 1.2: a leading zero is decimal, 0o is octal."""
    base = {"0o": 8, "0x": 16}.get(text[:2])
    return int(text[2:], base) if base else int(text)


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda text: {"": None, "~": None, "null": None}[text.lower()],
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _integer,
    "float": float,
}


def _dotted(path: Path_) -> str:
    return f"{shorten('.'.join(map(str, path)))}: " if path else ""


def dump(values: Mapping[str, Any]) -> str:
    """Plain values as YAML that `parse` reads back the same."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Lists of plain values stand on one line."""


def _short_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flow = not any(isinstance(item, dict | list) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


_Dumper.add_representer(list, _short_list)
