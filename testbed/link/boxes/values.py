"""Values of the words of middleboxes: one of a few words, counts, times, addresses, options."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from testbed.errors import UserError


def one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in words:
            raise UserError(f"{value!r} is unknown; there are {', '.join(words)}")
        return value

    return parse


def count(least: int, most: int, of: str) -> Callable[[str], int]:
    """A whole number of something."""

    def parse(value: str) -> int:
        if not value.isdecimal() or len(value) > 18 or not least <= int(value) <= most:
            raise UserError(f"{value!r} is no number of {of}; expected {least} to {most}")
        return int(value)

    return parse


def address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise UserError(f"{value!r} is no address; expected as in 10.0.1.99") from None
