"""The words behind `middlebox:`: which boxes there are, and what may be said of each.

Decides how a box is written, 'strip dss on=later from=3', and the words in which an error says what was
expected: a word, its first value without a name, then KEY=VALUE. What the boxes do stands in their files.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

from testbed.errors import UserError
from testbed.link.boxes.box import Box, Way
from testbed.link.boxes.idle import Idle
from testbed.link.boxes.isn import Isn
from testbed.link.boxes.nat import Nat
from testbed.link.boxes.options import Replace, Strip
from testbed.link.boxes.order import InOrder
from testbed.link.boxes.payload import Rewrite
from testbed.link.boxes.proxy import ProactiveAck
from testbed.link.boxes.sizes import Coalesce, Split

BOXES: dict[str, type[Box]] = {
    "strip": Strip,
    "replace": Replace,
    "nat": Nat,
    "isn": Isn,
    "split": Split,
    "coalesce": Coalesce,
    "rewrite": Rewrite,
    "proactive_ack": ProactiveAck,
    "in_order": InOrder,
    "idle": Idle,
}


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """A box as the user wrote it."""

    text: str
    word: str
    values: tuple[tuple[str, Any], ...] = ()

    def make(self, way: Way, rng: random.Random) -> Box:
        """The box for the direction in which the word stands."""
        return BOXES[self.word](way, rng, **dict(self.values))


def parse_box(text: str) -> BoxSpec:
    """UserError, with the words there are, for anything else."""
    name, *rest = text.split() or [""]
    kind = BOXES.get(name)
    if kind is None:
        raise UserError(f"middlebox: {text!r}: {name or 'nothing'} is unknown; there are {', '.join(BOXES)}")
    values: dict[str, Any] = {}
    for number, part in enumerate(rest):
        key, equals, value = part.partition("=")
        if not equals and not number and kind.keys:
            key, value = next(iter(kind.keys)), part
        elif key not in kind.keys or not equals:
            known = ", ".join(f"{name}=" for name in kind.keys) or "none"
            raise UserError(f"middlebox: {text!r}: {part} is no word of {name}; it has {known}")
        if key in values:
            raise UserError(f"middlebox: {text!r}: {key} is said twice")
        try:
            values[key] = kind.keys[key].parse(value)
        except UserError as error:
            raise UserError(f"middlebox: {text!r}: {key}: {error}") from None
    full = {key: values.get(key, one.default) for key, one in kind.keys.items()}
    return BoxSpec(" ".join(text.split()), name, tuple(full.items()))


def parse_boxes(value: object) -> tuple[BoxSpec, ...]:
    """One box, several joined by + or commas, or a list of them."""
    if isinstance(value, str):
        return tuple(parse_box(part) for part in re.split(r"[+,]", value) if part.strip())
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return tuple(box for one in value for box in parse_boxes(one))
    raise UserError(f"{value!r} is no middlebox; expected as in ['strip dss', nat]")
