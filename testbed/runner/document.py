"""A YAML file as plain values that remember where each one stood.

Decides how YAML is read: duplicate keys are errors, and `off`, `on`, `yes`, `no` are words and not truth
values (YAML 1.2), since `syn_cookies: off` means the word. Decides how a dotted key addresses a value:
`client.profile` descends, while everything behind `vary.`, and every key that begins with `paths.` or
`links.`, is one key; below a list a word is the item whose `from` it is. Must not know what any key means.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from testbed.errors import UserError
from testbed.shipped import experiment_names

Path_ = tuple[str | int, ...]
ONE_KEY = ("paths.", "links.")
_PLAIN = "plain value and has no keys below it"


class _Yaml12(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema."""


_Yaml12.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
):
    _Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


@dataclass(slots=True)
class Document:
    """`data` as read; `origins` maps the path of every key and list item to "FILE:LINE" or "--set ..."."""

    name: str
    data: dict[str, Any]
    origins: dict[Path_, str] = field(default_factory=dict)

    def origin(self, path: Path_) -> str:
        """Where `path` stood, or the nearest thing around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return self.name

    def copy(self) -> Document:
        return Document(self.name, copy.deepcopy(self.data), dict(self.origins))

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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = ", ".join(str(other) for other in sorted(path.parent.glob("*.yaml"))) or "none"
        names = ", ".join(experiment_names())
        raise UserError(
            f"{path}: no such file; experiments in that directory: {near}; by name from anywhere: {names}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as text: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Document:
    loader = _Yaml12(text)
    try:
        node = loader.get_single_node()
        document = Document(name, {}, {(): f"{name}:1"})
        value = None if node is None else _plain(loader, node, (), document)
    except yaml.MarkedYAMLError as error:
        mark = error.context_mark or error.problem_mark  # where the bracket opened, else where it went wrong
        where = f"{name}:{mark.line + 1}" if mark else name
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise UserError(f"{where}: not YAML: {what}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not YAML: {error}") from None
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise UserError(f"{name}:1: expected keys and values at the top level, such as 'connections: 300'")
    document.data = value
    return document


def parse_set(assignment: str) -> tuple[str, Any]:
    """'KEY=VALUE' -> dotted key and the value read as YAML."""
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {assignment}: expected KEY=VALUE, such as --set connections=2000")
    loader = _Yaml12(text)
    try:
        node = loader.get_single_node()
        value = None if node is None else _plain(loader, node, (), Document("--set", {}))
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        raise UserError(f"--set {assignment}: the value is not YAML: {problem}") from None
    finally:
        loader.dispose()
    return key.strip(), value


def _plain(loader: yaml.SafeLoader, node: yaml.Node, path: Path_, document: Document) -> Any:
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            where = f"{document.name}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                raise UserError(f"{where}: {key!r}: expected a word as key")
            if key in mapping:
                earlier = document.origins[(*path, key)].rpartition(":")[2]
                raise UserError(f"{where}: {key}: stands here twice; the first is at line {earlier}")
            document.origins[(*path, key)] = where
            mapping[key] = _plain(loader, value_node, (*path, key), document)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            document.origins[(*path, index)] = f"{document.name}:{item.start_mark.line + 1}"
            items.append(_plain(loader, item, (*path, index), document))
        return items
    return loader.construct_object(node, deep=True)


def dump(values: Mapping[str, Any]) -> str:
    """Plain values as YAML that `parse` reads back the same."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Lists of plain values stand on one line."""


def _short_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flow = not any(isinstance(item, dict | list) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)


_Dumper.add_representer(list, _short_list)
