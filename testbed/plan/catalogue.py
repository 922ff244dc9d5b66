"""Finds topologies by name or file and makes them with parameters.

Decides where topologies are looked for: a path with a slash or ending in .py is that file (FILE.py:NAME
where it holds several); a name is looked up in `topologies/` of the working directory and beside the
package. A file is read as `mn --custom` reads it: its text is executed and its `topos` dictionary counts.
Knows nothing of what a topology means.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from testbed.errors import UserError
from testbed.plan.mininet_topo import Topo
from testbed.shipped import shipped


def load_topology(name_or_file: str, **params: object) -> Topo:
    """UserError for an unknown name (naming the known), a file that does not load, an unknown parameter."""
    name, maker, where = _find(name_or_file)
    accepted = _parameters(maker)
    for key in params:
        if accepted is not None and key not in accepted:
            raise UserError(
                f"topology {name}: unknown parameter {key!r}; {where} has {', '.join(accepted) or 'none'}"
            )
    try:
        topo = maker(**params)
    except UserError:
        raise
    except Exception as error:  # the user's own code: any error in it is the user's input
        raise UserError(f"topology {name}: {_place(error, where)}") from None
    if not isinstance(topo, Topo):
        raise UserError(f"topology {name}: {where} makes a {type(topo).__name__}, not a mininet.topo.Topo")
    topo.plan_name, topo.plan_parameters = name, dict(params)
    topo.plan_file = where if name_or_file != name else None  # what the user can mend
    return topo


def known_topologies() -> dict[str, str]:
    """Name -> first line of the topology's docstring, for every topology that is found by name."""
    found: dict[str, str] = {}
    for file in _files():
        for name, maker in _topos(file).items():
            found.setdefault(name, (inspect.getdoc(maker) or "").split("\n")[0])
    return found


def topology_file(name_or_file: str) -> Path:
    """The file that a topology comes from."""
    return _find(name_or_file)[2]


def _find(text: str) -> tuple[str, Callable[..., object], Path]:
    if "/" in text or text.endswith(".py") or ".py:" in text:
        path, _, name = text.rpartition(":") if ".py:" in text else (text, "", "")
        file = Path(path).expanduser()
        if not file.is_file():
            raise UserError(f"topology {text}: there is no file {file}")
        topos = _topos(file)
        if not name and len(topos) == 1:
            name = next(iter(topos))
        if name not in topos:
            wanted = f"no topology {name!r}" if name else "several topologies; write FILE.py:NAME"
            raise UserError(f"topology {text}: {file} holds {wanted}; there are {', '.join(topos)}")
        return name, topos[name], file
    files = sorted(_files(), key=lambda file: file.stem != text)  # the likely one first
    known: list[str] = []
    for file in files:
        topos = _topos(file)
        if text in topos:
            return text, topos[text], file
        known.extend(topos)
    names = ", ".join(sorted(set(known))) or "none"
    raise UserError(f"unknown topology {text!r}; there are {names}, or give a file: ./my_network.py")


def _files() -> Iterator[Path]:
    beside = shipped("topologies")
    seen: set[Path] = set()
    for folder in (Path.cwd() / "topologies", beside):
        for file in sorted(folder.glob("*.py")):
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _topos(file: Path) -> dict[str, Callable[..., object]]:
    space: dict[str, object] = {"__name__": file.stem}
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), space)
    except Exception as error:  # the user's own code
        raise UserError(f"topology file {_place(error, file)}") from None
    topos = space.get("topos")
    if not isinstance(topos, dict) or not topos or not all(callable(maker) for maker in topos.values()):
        raise UserError(
            f"topology file {file}: expected a dictionary `topos = {{'name': Class}}`, as for mn --custom"
        )
    return {str(name): maker for name, maker in topos.items()}


def _parameters(maker: Callable[..., object]) -> list[str] | None:
    """The keyword parameters of a topology's build(); None: it takes any."""
    build = getattr(maker, "build", maker) if inspect.isclass(maker) else maker
    try:
        parameters = list(inspect.signature(build).parameters.values())
    except (TypeError, ValueError):  # something written in C
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters if parameter.name != "self"]


def _place(error: Exception, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{file}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    at = f", line {lines[-1]}" if lines else ""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, KeyError) and Path(frames[-1].filename).name == "topo.py":  # Mininet's
        said = f"no addHost made {error}"
    return f"{file}{at}: {said}"
