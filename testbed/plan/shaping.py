"""The words of link parameters -> LinkParams: Mininet's vocabulary in topologies, the same in experiment
overrides.

Decides the words, their units and what each changes, and when a link needs more than a plain cable. Knows
nothing of where a parameter came from: callers put the place in front of the error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields

from testbed.errors import UserError
from testbed.link import LinkParams, parse_boxes, parse_drops
from testbed.units import parse_count, parse_percent, parse_rate, parse_time

_PLAIN = LinkParams()


def _drops(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return parse_drops(value)
    if isinstance(value, list | tuple) and all(isinstance(rule, str) for rule in value):
        return tuple(drop for rule in value for drop in parse_drops(rule))
    raise UserError(f"{value!r} is no list of exact drops; expected as in [third_ack, 'data:1']")


# word -> (field of LinkParams, value as written -> value of the field)
WORDS: dict[str, tuple[str, Callable[[object], object]]] = {
    "bw": ("rate", parse_rate),
    "rate": ("rate", parse_rate),
    "delay": ("delay", parse_time),
    "jitter": ("jitter", parse_time),
    "loss": ("loss", parse_percent),
    "max_queue_size": ("queue", parse_count),
    "queue": ("queue", parse_count),
    "reorder": ("reorder", parse_percent),
    "hold": ("hold", parse_time),
    "duplicate": ("duplicate", parse_percent),
    "drop": ("drops", _drops),
    "middlebox": ("boxes", parse_boxes),
}

# Mininet's own words that say how an interface is made, not what the wire does
_STRUCTURE = frozenset(
    {"node1", "node2", "port1", "port2", "intfName1", "intfName2", "addr1", "addr2", "params1", "params2"}
    | {"intf", "cls", "cls1", "cls2", "fast", "port", "ip", "ip6", "mac", "up", "ifconfig", "path"}
    | {"use_htb", "use_hfsc", "use_tbf", "txo", "rxo", "gro", "speedup", "latency_ms"}
)


def parse_word(word: str, value: object) -> tuple[str, object]:
    """A word and its value as written -> the field of LinkParams and its value. None means the default."""
    if word not in WORDS:
        raise UserError(f"unknown link parameter {word!r}; there are {', '.join(WORDS)}")
    name, parse = WORDS[word]
    return name, getattr(_PLAIN, name) if value is None else parse(value)


def params_from(words: Mapping[str, object]) -> LinkParams:
    """A link's options in a topology. UserError names the word."""
    values: dict[str, object] = {}
    for word, value in words.items():
        if word not in _STRUCTURE:
            try:
                name, parsed = parse_word(word, value)
            except UserError as error:
                raise UserError(f"{word}: {error}") from None
            values[name] = parsed
    return LinkParams(**values)  # type: ignore[arg-type]


def is_shaped(params: LinkParams) -> bool:
    """A queue alone does nothing: without a rate there is never anything in it."""
    inert = {"queue", "hold"}
    return any(
        getattr(params, field.name) != getattr(_PLAIN, field.name)
        for field in fields(LinkParams)
        if field.name not in inert
    )
