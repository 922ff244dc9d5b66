"""Exact drops: the words in which a user says which packet is to be lost.

Decides what a rule's text means; matching packets against rules is in exact.py. A rule acts in the
direction in which it stands, and counts for each connection on its own (`packet` counts all packets):

    syn  syn:2  syn:1-3  syn x3    the n-th SYN of a connection (a plain word is :1)
    synack  synack:N               the n-th SYN/ACK
    third_ack                      the first segment behind the SYN, if it is a bare ACK
    data:1  data:N                 the n-th segment with payload, when it is sent for the first time
    packet:N                       the n-th packet of this direction, whatever it is

A combination is a tuple of rules: ("third_ack", "data:1").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from testbed.errors import UserError

WORDS = {
    "syn": "the n-th SYN of a connection",
    "synack": "the n-th SYN/ACK of a connection",
    "third_ack": "the bare ACK that ends a connection's handshake",
    "data": "the n-th segment with payload of a connection, when it is sent for the first time",
    "packet": "the n-th packet of the direction",
}

_FORM = re.compile(r"([a-z_]+)(?::(\d+)(?:-(\d+))?|\s*x\s*(\d+))?")
_ADVICE = (
    f"a rule is one of {', '.join(WORDS)}, with :N for the n-th, :N-M for a range or xK for the first K: "
    "third_ack, data:1, syn:2, syn:1-3, synack x2, packet:7"
)


@dataclass(frozen=True, slots=True)
class DropRule:
    """Drop the `first`-th to `last`-th `word` packet, counted from 1. `text` is what the user wrote."""

    text: str
    word: str
    first: int
    last: int

    def covers(self, n: int) -> bool:
        return self.first <= n <= self.last


def parse_rule(text: str) -> DropRule:
    """UserError, with the words there are, for anything else."""
    found = _FORM.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    if found is None or found[1] not in WORDS:
        raise UserError(f"drop: {text!r} is not a rule; {_ADVICE}")
    word, first, last, times = found.groups()
    rule = DropRule(
        text=text.strip().lower(),
        word=word,
        first=int(first or 1),
        last=int(last or first or times or 1),
    )
    if rule.first < 1 or rule.last < rule.first:
        raise UserError(f"drop: {text!r} covers nothing; counting starts at 1 and a range runs upwards")
    if word == "third_ack" and rule.last > 1:
        raise UserError(f"drop: {text!r}: a connection has one third ACK; write third_ack")
    return rule


def parse_drops(text: str) -> tuple[str, ...]:
    """Rules joined by + or commas, as a link parameter or a command line holds them, checked one by one."""
    drops = tuple(part.strip() for part in re.split(r"[+,]", text) if part.strip())
    for drop in drops:
        parse_rule(drop)
    return drops
