"""Endpoints and limits as text: the words of `ip mptcp endpoint add` and `ip mptcp limits set`.

Decides which words there are, in any order behind the address, and what is said of a wrong one. What an
endpoint may be is decided in endpoints.py.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Mapping

from testbed.errors import UserError
from testbed.mptcp.paths.endpoints import LAST_ID, MOST, Flag, Limits, LocalEndpoint

FLAGS = {
    "subflow": Flag.SUBFLOW,
    "signal": Flag.SIGNAL,
    "backup": Flag.BACKUP,
    "fullmesh": Flag.FULLMESH,
    "pair": Flag.PAIR,
}
VALUES = {"id": "a number, 1 to 255", "port": "a number, 1 to 65535", "dev": "the name of an interface"}
LIMITS = {"subflow": "subflows", "subflows": "subflows", "add_addr_accepted": "add_addr_accepted"}

EXAMPLE = "10.0.2.1 id 3 subflow backup"
LIMITS_EXAMPLE = "subflow 4 add_addr_accepted 2"


def parse_endpoint(text: str) -> LocalEndpoint:
    """'10.0.2.1 dev eth1 id 3 subflow backup'. `dev` routes nothing: the source address does."""
    fail = _refusal(f"endpoint {text!r}", EXAMPLE)
    words = text.split()
    if not words:
        raise fail("expected an address first")
    address = _address(words[0], fail)
    flags = Flag.NONE
    numbers = {"id": 0, "port": 0}
    dev = ""
    seen: set[str] = set()
    rest = iter(words[1:])
    for word in rest:
        if word in seen:
            raise fail(f"{word}: stands here twice")
        seen.add(word)
        if word in FLAGS:
            flags |= FLAGS[word]
        elif word in VALUES:
            value = next(rest, None)
            if value is None:
                raise fail(f"{word}: expected {VALUES[word]} behind it")
            if word == "dev":
                dev = value
            else:
                numbers[word] = _number(word, value, 1, LAST_ID if word == "id" else 0xFFFF, fail)
        else:
            raise fail(f"{word}: {_known(word, [*FLAGS, *(f'{name} VALUE' for name in VALUES)])}")
    try:
        return LocalEndpoint(address, numbers["id"], flags, numbers["port"], dev)
    except UserError as error:
        raise UserError(f"endpoint {text!r}: {error}") from None


def parse_limits(text: str | Mapping[str, object]) -> Limits:
    """'subflow 4 add_addr_accepted 2', or the same as a mapping; what is not named keeps its default."""
    fail = _refusal(f"limits {text!r}", LIMITS_EXAMPLE)
    if isinstance(text, str):
        words = text.split()
        if len(words) % 2:
            raise fail(f"{words[-1]}: {_known(words[-1], [*LIMITS]) if words[-1] not in LIMITS else _more}")
        pairs = list(zip(words[::2], words[1::2], strict=True))
    else:
        pairs = [(str(word), str(value)) for word, value in text.items()]
    values: dict[str, int] = {}
    for word, value in pairs:
        if word not in LIMITS:
            raise fail(f"{word}: {_known(word, [*LIMITS])}")
        if LIMITS[word] in values:
            raise fail(f"{word}: stands here twice")
        values[LIMITS[word]] = _number(word, value, 0, MOST, fail)
    return Limits(**values)


def describe(endpoint: LocalEndpoint) -> str:
    """The line that parse_endpoint reads back."""
    words = [endpoint.text]
    if endpoint.dev:
        words.append(f"dev {endpoint.dev}")
    if endpoint.id:
        words.append(f"id {endpoint.id}")
    words.extend(word for word, flag in FLAGS.items() if flag in endpoint.flags)
    if endpoint.port:
        words.append(f"port {endpoint.port}")
    return " ".join(words)


def describe_limits(limits: Limits) -> str:
    """The line that parse_limits reads back."""
    return f"subflow {limits.subflows} add_addr_accepted {limits.add_addr_accepted}"


_more = f"expected a number behind it, 0 to {MOST}"
_Fail = Callable[[str], UserError]


def _refusal(place: str, example: str) -> _Fail:
    return lambda problem: UserError(f"{place}: {problem} (example: {example})")


def _address(word: str, fail: _Fail) -> bytes:
    try:
        return ipaddress.ip_address(word).packed
    except ValueError:
        raise fail(f"{word}: expected an IPv4 or IPv6 address first") from None


def _number(word: str, text: str, least: int, most: int, fail: _Fail) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 18) or not least <= int(text) <= most:
        raise fail(f"{word} {text}: expected a number, {least} to {most}")
    return int(text)


def _known(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, [one.split()[0] for one in known], n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"expected one of {', '.join(known)}{hint}"
