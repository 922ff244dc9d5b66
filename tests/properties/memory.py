"""How much memory an object holds: everything reachable from it that is not shared code."""

from __future__ import annotations

import gc
import sys
import types

_SHARED = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.CodeType,
    types.MethodType,
)


def deep_size(root: object, *, without: tuple[object, ...] = ()) -> int:
    """Bytes of `root` and of all it refers to, modules, classes and functions left out."""
    seen = {id(thing) for thing in without}
    waiting, total = [root], 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, _SHARED):
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        waiting.extend(gc.get_referents(thing))
    return total
