"""The words of link parameters -> LinkParams: Mininet's vocabulary in topologies, the same in experiment
overrides.

Decides the words, their units and what each changes, and when a link needs more than a plain cable. Knows
nothing of where a parameter came from: callers put the place in front of the error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from testbed.errors import UserError
from testbed.link import Change, LinkParams, parse_boxes, parse_drops
from testbed.link.losses import parse_blackout, parse_burst
from testbed.link.params import ORDERS
from testbed.link.queue import parse_red
from testbed.units import parse_percent, parse_queue, parse_rate, parse_time

_PLAIN = LinkParams()


Fields = dict[str, Any]  # of LinkParams: name -> value
Parse = Callable[[object], Fields]


def _to(field: str, parse: Callable[[object], object]) -> Parse:
    return lambda value: {field: parse(value)}


def _queue(value: object) -> Fields:
    length, in_bytes = parse_queue(value)
    return {"queue": length, "queue_in_bytes": in_bytes}


def _order(value: object) -> str:
    if value not in ORDERS:
        raise UserError(f"{value!r} is no order; expected {' or '.join(ORDERS)}")
    return str(value)


def _texts(what: str, example: str, read: Callable[[str], tuple[str, ...]]) -> Callable[[object], Any]:
    """A text, or a list of them."""

    def parse(value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            return read(value)
        if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
            return tuple(found for one in value for found in read(one))
        raise UserError(f"{value!r} is no list of {what}; expected as in {example}")

    return parse


def _blackouts(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in found:
        parse_blackout(part)
    return found


def _pairs(check: Callable[[str], object], *also: object) -> Callable[[object], str | None]:
    """{p: 1%, r: 25%} or 'p=1% r=25%', as the text; `also` are values that mean auto."""

    def parse(value: object) -> str | None:
        if value is False:
            return None
        if isinstance(value, Mapping):
            value = " ".join(f"{name}={number}" for name, number in value.items())
        text = "auto" if any(value is one or value == one for one in also) else value
        if not isinstance(text, str):
            raise UserError(f"{value!r} is not understood; expected names and values as in 'p=1% r=25%'")
        check(text)
        return text

    return parse


def _changes(value: object) -> tuple[Change, ...]:
    """{3s: {loss: 100}, 5s: {loss: 0}}"""
    if not isinstance(value, Mapping):
        raise UserError(f"{value!r} is no schedule; expected times and words as in {{3s: {{loss: 100}}}}")
    changes = []
    for when, words in value.items():
        at = parse_time(when)
        if not isinstance(words, Mapping) or not words:
            raise UserError(f"{when}: {words!r}; expected words as in {{loss: 100}}")
        fields: Fields = {}
        for word, given in words.items():
            if word in _NOT_IN_A_CHANGE:
                raise UserError(f"{when}: {word}: stands for the whole run and cannot be changed at a time")
            try:
                fields |= parse_word(word, given)
            except UserError as error:
                raise UserError(f"{when}: {word}: {error}") from None
        changes.append(Change(at, tuple(fields.items())))
    return tuple(changes)


_SOME_RATE = 10_000_000  # RED's words are looked at before the rate is known, and once more with it
_NOT_IN_A_CHANGE = ("at", "middlebox", "blackout")
_EXACT_DROPS = _texts("exact drops", "[third_ack, 'data:1']", parse_drops)

WORDS: dict[str, Parse] = {
    "bw": _to("rate", parse_rate),
    "rate": _to("rate", parse_rate),
    "delay": _to("delay", parse_time),
    "jitter": _to("jitter", parse_time),
    "jitter_order": _to("jitter_order", _order),
    "loss": _to("loss", parse_percent),
    "burst": _to("burst", _pairs(parse_burst)),
    "blackout": _to("blackouts", _texts("intervals", "['2s-3s', 5s-6s]", _blackouts)),
    "max_queue_size": _queue,
    "queue": _queue,
    "red": _to("red", _pairs(lambda text: parse_red(text, _SOME_RATE), True, "auto")),
    "reorder": _to("reorder", parse_percent),
    "hold": _to("hold", parse_time),
    "duplicate": _to("duplicate", parse_percent),
    "corrupt": _to("corrupt", parse_percent),
    "drop": _to("drops", _EXACT_DROPS),
    "middlebox": _to("boxes", parse_boxes),
    "at": _to("changes", _changes),
}

# The fields of each word, and with them what null means.
_FIELDS = {
    "bw": ("rate",),
    "blackout": ("blackouts",),
    "max_queue_size": ("queue", "queue_in_bytes"),
    "queue": ("queue", "queue_in_bytes"),
    "drop": ("drops",),
    "middlebox": ("boxes",),
    "at": ("changes",),
}

# Mininet's own words that say how an interface is made, not what the wire does
_STRUCTURE = frozenset(
    {"node1", "node2", "port1", "port2", "intfName1", "intfName2", "addr1", "addr2", "params1", "params2"}
    | {"intf", "cls", "cls1", "cls2", "fast", "port", "ip", "ip6", "mac", "up", "ifconfig", "path"}
    | {"use_htb", "use_hfsc", "use_tbf", "txo", "rxo", "gro", "speedup", "latency_ms"}
)


def parse_word(word: str, value: object) -> Fields:
    """A word and its value as written -> fields of LinkParams and their values. None means the default."""
    if word not in WORDS:
        raise UserError(f"unknown link parameter {word!r}; there are {', '.join(WORDS)}")
    if value is None:
        return {name: getattr(_PLAIN, name) for name in _FIELDS.get(word, (word,))}
    return WORDS[word](value)


def params_from(words: Mapping[str, object]) -> LinkParams:
    """A link's options in a topology. UserError names the word."""
    values: Fields = {}
    for word, value in words.items():
        if word not in _STRUCTURE:
            try:
                values |= parse_word(word, value)
            except UserError as error:
                raise UserError(f"{word}: {error}") from None
    return LinkParams(**values)


def is_shaped(params: LinkParams) -> bool:
    """A queue alone does nothing: without a rate there is never anything in it."""
    inert = {"queue", "queue_in_bytes", "hold", "jitter_order"}
    return any(
        getattr(params, field.name) != getattr(_PLAIN, field.name)
        for field in fields(LinkParams)
        if field.name not in inert
    )
