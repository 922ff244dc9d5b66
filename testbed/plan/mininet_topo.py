"""Mininet's Topo class, also on systems where the rest of Mininet cannot be imported.

Decides how `mininet.topo` is imported. It needs three small functions of `mininet.util`, whose first lines
import Unix modules (fcntl, resource, select.poll) that only a running network uses. Where one is missing,
Windows for example, an empty stand-in is there during the import and gone afterwards, so that topologies and
the simulator work. Topology files that say `from mininet.topo import Topo` get the same module.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_ABSENT = object()
_NAMES = {
    "fcntl": ("fcntl", "F_GETFL", "F_SETFL"),
    "resource": ("getrlimit", "setrlimit", "RLIMIT_NPROC", "RLIMIT_NOFILE"),
}
_ATTRIBUTES: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (select, ("poll", "POLLIN", "POLLHUP")),
    (os, ("O_NONBLOCK",)),
)


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    before: dict[str, Any] = {}
    changed: list[tuple[Any, str]] = []
    for name, members in _NAMES.items():
        try:
            importlib.import_module(name)
        except ImportError:
            module = ModuleType(name)
            for member in members:
                setattr(module, member, None)
            before[name] = sys.modules.get(name, _ABSENT)
            sys.modules[name] = module
    for owner, members in _ATTRIBUTES:
        for member in members:
            if not hasattr(owner, member):
                setattr(owner, member, None)
                changed.append((owner, member))
    try:
        yield
    finally:
        for name, module in before.items():
            del sys.modules[name]
            if module is not _ABSENT:
                sys.modules[name] = module
        for owner, member in changed:
            delattr(owner, member)


with _stand_ins():
    from mininet.topo import MultiGraph, Topo

__all__ = ["MultiGraph", "Topo"]
