"""A topology file, run: its text is executed as `mn --custom` does, and a Topo is made from its `topos`.

Decides what is said of a file that does not load, and what of a topology leaves it: nodes and links with
their options as plain values. The file runs in a child process (confined.py), so that one which ends Python,
never ends or prints to standard output harms no command. Knows nothing of where files are looked for.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.errors import UserError
from testbed.plan.confined import Ended, TookTooLong, confined
from testbed.plan.mininet_topo import MultiGraph, Topo

MOST_NODES = MOST_LINKS = 1000
_MOST_DEPTH = 20  # of an option's value
_MOST_TEXT = 10_000  # characters of an option's value

Maker = Callable[..., object]


def run_topology_file(file: Path, name: str, params: Mapping[str, object], said: str) -> Topo:
    """A topology of the file, '' for its only one. `said`: as the user wrote it.

    UserError names the file and the line, and what was expected there.
    """
    try:
        answer = confined(lambda: _answer(file, name, params, said))
    except Ended as error:
        raise UserError(f"topology file {file}: {error}") from None
    if "error" in answer:
        raise UserError(answer["error"])
    return _topo(answer)


def _answer(file: Path, name: str, params: Mapping[str, object], said: str) -> dict[str, Any]:
    """In the child: the topology as JSON, or the error. Nothing that the file does leaves this function."""
    try:
        return _described(file, name, params, said)
    except UserError as error:
        return {"error": str(error)}
    except BaseException as error:  # any error of the file's own code
        return {"error": f"topology file {_place(error, file)}"}


def _described(file: Path, name: str, params: Mapping[str, object], said: str) -> dict[str, Any]:
    topos = _topos(file)
    if not name and len(topos) == 1:
        name = next(iter(topos))
    if name not in topos:
        wanted = f"no topology {name!r}" if name else "several topologies; write FILE.py:NAME"
        raise UserError(f"topology {said}: {file} holds {wanted}; there are {', '.join(topos)}")
    accepted = _parameters(topos[name])
    for key in params:
        if accepted is not None and key not in accepted:
            raise UserError(
                f"topology {name}: unknown parameter {key!r}; {file} has {', '.join(accepted) or 'none'}"
            )
    try:
        with _counted(name):
            topo = topos[name](**params)
        if not isinstance(topo, Topo):
            raise UserError(f"topology {name}: {file} makes a {type(topo).__name__}, not a mininet.topo.Topo")
        return _values(name, topo)
    except (UserError, TookTooLong):
        raise
    except BaseException as error:  # the user's own code: any error in it is the user's input
        raise UserError(f"topology {name}: {_place(error, file)}") from None


def _topos(file: Path) -> dict[str, Maker]:
    space: dict[str, object] = {"__name__": file.stem}
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), space)
    except TookTooLong:
        raise
    except BaseException as error:  # the user's own code, and it may call sys.exit
        raise UserError(f"topology file {_place(error, file)}") from None
    topos = space.get("topos")
    if not isinstance(topos, dict) or not topos or not all(callable(maker) for maker in topos.values()):
        raise UserError(
            f"topology file {file}: expected a dictionary `topos = {{'name': Class}}`, as for mn --custom"
        )
    return {str(name): maker for name, maker in topos.items()}


def _parameters(maker: Maker) -> list[str] | None:
    """The keyword parameters of a topology's build(); None: it takes any."""
    build = getattr(maker, "build", maker) if inspect.isclass(maker) else maker
    try:
        parameters = list(inspect.signature(build).parameters.values())
    except (TypeError, ValueError):  # something written in C
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters if parameter.name != "self"]


def _place(error: BaseException, file: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"{file}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    at = f", line {lines[-1]}" if lines else ""
    try:
        words = str(error)
    except BaseException:  # an error of the user's whose text raises as well
        words = ""
    said = f"{type(error).__name__}: {words}" if words else type(error).__name__
    if isinstance(error, TookTooLong):
        said = words
    if isinstance(error, SystemExit):
        said = f"ends Python (SystemExit: {words or 0}); expected nothing but classes and `topos`"
    if isinstance(error, KeyError) and frames and Path(frames[-1].filename).name == "topo.py":  # Mininet's
        said = f"no addHost made {error}"
    return f"{file}{at}: {said}"


@contextmanager
def _counted(name: str) -> Iterator[None]:
    """UserError at the first node or link too many, since a loop may go on to a billion."""
    whole = MultiGraph.add_node, MultiGraph.add_edge
    counts = {"nodes": 0, "links": 0}

    def counting(kind: str, most: int, add: Callable[..., Any]) -> Callable[..., Any]:
        def add_one(*args: Any, **kwargs: Any) -> Any:
            counts[kind] += 1
            if counts[kind] > most:
                raise UserError(f"topology {name}: more than {most:,} {kind} are not supported")
            return add(*args, **kwargs)

        return add_one

    MultiGraph.add_node = counting("nodes", MOST_NODES, whole[0])
    MultiGraph.add_edge = counting("links", MOST_LINKS, whole[1])
    try:
        yield
    finally:
        MultiGraph.add_node, MultiGraph.add_edge = whole


def _values(name: str, topo: Topo) -> dict[str, Any]:
    """Nodes and links in their order, with their options as JSON."""
    nodes = list(topo.g.nodes(data=True))
    links = list(topo.g.edges_iter(data=True, keys=True))
    return {
        "name": name,
        "nodes": [[_packed(node), _packed(dict(info))] for node, info in nodes],
        "links": [[_packed(one), _packed(other), _packed(dict(info))] for one, other, _, info in links],
    }


def _packed(value: object, depth: int = 0) -> Any:
    """As JSON. Lists and mappings say which they are; anything else than plain values becomes its text."""
    if depth > _MOST_DEPTH:
        raise UserError(f"an option is nested more than {_MOST_DEPTH} deep")
    if isinstance(value, str):
        if len(value) > _MOST_TEXT:
            raise UserError(f"an option has {len(value):,} characters; at most {_MOST_TEXT:,} are supported")
        return str(value)
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return f"{hex(value)[:20]}..."  # no option is that large, and its error shows this
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {"m": [[_packed(key, depth + 1), _packed(one, depth + 1)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        return {
            type(value).__name__ if type(value) is list else "tuple": [_packed(v, depth + 1) for v in value]
        }
    return str(value)[:_MOST_TEXT]


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, items),) = value.items()
    if kind == "m":
        return {_unpacked(key): _unpacked(one) for key, one in items}
    found = [_unpacked(one) for one in items]
    return found if kind == "list" else tuple(found)


def _topo(answer: Mapping[str, Any]) -> Topo:
    """A plain Topo with the nodes and links of the user's."""
    topo = Topo()
    for node, info in answer["nodes"]:
        topo.g.add_node(_unpacked(node), attr_dict=_unpacked(info))
    for one, other, info in answer["links"]:
        topo.g.add_edge(_unpacked(one), _unpacked(other), attr_dict=_unpacked(info))
    topo.plan_name = answer["name"]
    return topo
