"""'p=1% r=25%' -> values by name: how a setting of several numbers is written in one line.

Decides the form and what its errors say. Knows nothing of what the numbers mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from testbed.errors import UserError


def parse_pairs(text: str, known: Mapping[str, Callable[[str], Any]], example: str) -> dict[str, Any]:
    """The names that stand there, each value read by its own function. UserError names the pair."""
    values: dict[str, Any] = {}
    for pair in re.split(r"[\s,]+", text.strip()):
        name, equals, value = pair.partition("=")
        if name not in known or not equals:
            names = ", ".join(known)
            raise UserError(f"{pair!r} is not understood; expected {names} as in {example!r}")
        if name in values:
            raise UserError(f"{name} stands there twice in {text!r}")
        try:
            values[name] = known[name](value)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
    return values
