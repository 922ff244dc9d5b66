"""Exact drops: the words in which a user says which packet is to be lost.

Decides what a rule's text means; matching packets against rules is in exact.py. A rule acts in the direction
in which it stands, and counts for each TCP connection (each subflow) on its own:

    syn  syn:2  syn:1-3  syn x3    the n-th SYN of a connection (a plain word is :1)
    data:1+3+4  data:1-3+7         several of them
    third_ack                      the first segment behind the SYN, if it is a bare ACK
    packet:N                       the n-th packet of this direction, whatever it is
    dss                            the first segment with a DSS; WORDS below has them all
    syn:1@2  packet:3@2            of the second connection that this direction sees
    data@10.0.2.1  data@10.0.2.1:80  data@[fd00::1]:80    of connections from or to this address (and port)
    third_ack:5@all                the fifth of all connections together

Several rules are a tuple: ("third_ack", "data:1"); joined in one text: "third_ack + data:1".
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from testbed.errors import UserError
from testbed.terminal import shown

WORDS = {
    "syn": "the n-th SYN of a connection",
    "synack": "the n-th SYN/ACK of a connection",
    "third_ack": "the bare ACK that ends a connection's handshake",
    "data": "the n-th segment with payload of a connection, when it is sent for the first time",
    "retransmission": "the n-th segment with payload that has passed before",
    "ack": "the n-th segment that is nothing but an acknowledgement, the third ACK included",
    "fin": "the n-th segment with FIN",
    "rst": "the n-th segment with RST",
    "mp_capable": "the n-th segment with MP_CAPABLE",
    "mp_join": "the n-th segment with MP_JOIN",
    "dss": "the n-th segment with a DSS, be it a mapping, a DATA_ACK or both",
    "mapping": "the n-th segment whose DSS maps data",
    "data_fin": "the n-th segment whose DSS carries the DATA_FIN",
    "add_addr": "the n-th segment with ADD_ADDR",
    "remove_addr": "the n-th segment with REMOVE_ADDR",
    "mp_prio": "the n-th segment with MP_PRIO",
    "mp_fail": "the n-th segment with MP_FAIL",
    "mp_fastclose": "the n-th segment with MP_FASTCLOSE",
    "packet": "the n-th packet of the direction",
}

ALL = "all"
_NUMBERS = r"\d{1,9}(?:-\d{1,9})?"
_FORM = re.compile(rf"([a-z_]+)(?::({_NUMBERS}(?:\+{_NUMBERS})*)|\s*x\s*(\d{{1,9}}))?(?:@(\S+))?")
_MORE = re.compile(rf"{_NUMBERS}(?:@\S+)?")  # behind a +, one more number of the rule before
_PORT = re.compile(r"(?:\[(?P<six>.+)\]|(?P<four>[\d.]+)):(?P<port>\d{1,5})")
_ADVICE = (
    f"a rule is one of {', '.join(WORDS)}, with :N for the n-th, :N-M for a range, :N+M for several, xK for "
    "the first K, and @ for certain connections (the n-th, an address, all together): "
    "third_ack, data:1, syn:1-3, synack x2, packet:1+3+4, data:1@2, dss@10.0.2.1, third_ack:5@all"
)


@dataclass(frozen=True, slots=True)
class DropRule:
    """Drop `word` packets whose count lies in one of `ranges`, from 1, ends included. `text`: as written.

    `connection`: only the n-th. `address`, `port`: only connections with such an end. `together`: counted
    over all connections, not for each.
    """

    text: str
    word: str
    ranges: tuple[tuple[int, int], ...]
    connection: int | None = None
    address: bytes | None = None
    port: int | None = None
    together: bool = False

    def covers(self, n: int) -> bool:
        return any(first <= n <= last for first, last in self.ranges)


def parse_rule(text: str) -> DropRule:
    """UserError, with the words there are, for anything else."""
    written = text.strip().lower() if isinstance(text, str) else ""
    found = _FORM.fullmatch(written)
    if found is None or found[1] not in WORDS:
        raise UserError(f"drop: {shown(text)} is not a rule; {_ADVICE}")
    word, numbers, times, scope = found.groups()
    ranges = tuple(map(_range, numbers.split("+"))) if numbers else ((1, int(times or 1)),)
    if any(first < 1 or last < first for first, last in ranges):
        raise UserError(f"drop: {shown(text)} covers nothing; counting starts at 1 and a range runs upwards")
    together = scope == ALL or (scope is None and word == "packet")
    if word == "third_ack" and not together and ranges != ((1, 1),):
        raise UserError(
            f"drop: {shown(text)}: a connection has one third ACK; write third_ack, or third_ack:N@all"
        )
    if scope is None or scope == ALL:
        return DropRule(written, word, ranges, together=together)
    if scope.isdecimal() and len(scope) < 10:
        if int(scope) < 1:
            raise UserError(f"drop: {shown(text)} covers nothing; the first connection is @1")
        return DropRule(written, word, ranges, connection=int(scope))
    end = _PORT.fullmatch(scope)
    try:
        address = ipaddress.ip_address((end["six"] or end["four"]) if end else scope).packed
    except ValueError:
        raise UserError(
            f"drop: {shown(text)}: {shown(scope)} is no connection; expected @N for the n-th, @ADDRESS, "
            "@ADDRESS:PORT or @all"
        ) from None
    return DropRule(written, word, ranges, address=address, port=int(end["port"]) if end else None)


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def parse_drops(text: str) -> tuple[str, ...]:
    """Rules joined by + or commas, as a link parameter or a command line holds them, checked one by one.

    A bare number belongs to the rule before it: "packet:1+3+4 + syn" are two rules.
    """
    drops: list[str] = []
    for part in filter(None, map(str.strip, re.split(r"[+,]", text))):
        if drops and ":" in drops[-1] and "@" not in drops[-1] and _MORE.fullmatch(part):
            drops[-1] += f"+{part}"
        else:
            drops.append(part)
    for drop in drops:
        parse_rule(drop)
    return tuple(drops)
