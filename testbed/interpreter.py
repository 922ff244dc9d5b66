"""How child processes start: which Python, which import path, and where programs are looked for.

Decides that no child imports from the working directory, which may belong to someone else while the testbed
runs as root. `python -m MODULE` puts that directory in front of `sys.path`; `python -P -m MODULE` does not.
All children start through `module`, `script` or `bare_script`; tests/house/test_children.py holds every file
to that. Decides as well what a child takes from the environment:

- PATH: relative entries are dropped, and an empty entry is one. They mean the working directory.
- PYTHONPATH: absolute entries stay, so that a child imports what its parent imports. An empty entry is
  dropped, as it is an accident of `PYTHONPATH=$PYTHONPATH:/opt/x`. A relative entry was asked for and becomes
  absolute.
- PYTHONSTARTUP and PYTHONINSPECT are dropped. They are for a Python prompt, and no child is one.

Root who sets PYTHONPATH is obeyed as by every Python program. `sudo` removes it. Knows nothing of labs.
Read first: the Python manual, "Command line and environment", -P and -I.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_SYSTEM = ("/usr/sbin", "/sbin")  # ip, tc and ifconfig, which the PATH of a plain user lacks
_PROMPT = ("PYTHONSTARTUP", "PYTHONINSPECT")


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of an installed package: module("testbed.cli", "doctor")."""
    return [sys.executable, "-P", "-m", name, *arguments]


def script(file: Path | str, *arguments: str) -> list[str]:
    """The command that runs a file which imports installed packages."""
    return [sys.executable, "-P", str(file), *arguments]


def bare_script(file: Path | str, *arguments: str) -> list[str]:
    """The command that runs a file which imports the standard library alone. It starts ten times faster."""
    return [sys.executable, "-I", "-S", str(file), *arguments]


def search_path(environ: Mapping[str, str] | None = None) -> str:
    """PATH without relative entries, and with the folders of system programs at its end."""
    given = (os.environ if environ is None else environ).get("PATH", os.defpath)
    folders = [folder for folder in given.split(os.pathsep) if Path(folder).is_absolute()]
    return os.pathsep.join(dict.fromkeys([*folders, *_SYSTEM]))


def child_environment() -> dict[str, str]:
    """This process's environment, secured, for a child."""
    environ = dict(os.environ)
    secure(environ)
    return environ


def secure(environ: MutableMapping[str, str]) -> None:
    """Changes an environment so that no child takes a program or a module from the working directory."""
    environ["PATH"] = search_path(environ)
    for name in _PROMPT:
        environ.pop(name, None)
    if "PYTHONPATH" in environ:
        folders = [str(Path(one).absolute()) for one in environ["PYTHONPATH"].split(os.pathsep) if one]
        environ["PYTHONPATH"] = os.pathsep.join(folders)
