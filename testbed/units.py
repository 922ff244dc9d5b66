"""Text and numbers with units -> integers and fractions: times, rates, percentages, sizes, packet counts.

Decides which spellings are understood, and the words in which an error says what was expected. Knows
nothing of the thing that is measured: callers put the name of the key in front.
"""

from __future__ import annotations

import math
import re

from testbed.errors import UserError
from testbed.terminal import shown

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z/]*)\s*")
_TIMES = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
_SIZES = {"b": 1, "kb": 10**3, "mb": 10**6, "kib": 2**10, "mib": 2**20}
SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_RATES = {"bit": 1, "kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}


MOST_TIME = 86_400 * 10**9  # nanoseconds: a day
MOST_RATE = 10**12  # bit/s
MOST_COUNT = 10**9  # packets, or bytes, that may wait
_MOST_LETTERS = 40  # of a number with its unit


def _match(text: str) -> re.Match[str] | None:
    """A number and its unit. A longer text is not one, and its number could overflow."""
    return _NUMBER.fullmatch(text) if len(text) <= _MOST_LETTERS else None


def parse_time(value: object) -> int:
    """'20ms' -> nanoseconds. Plain 0 needs no unit; any other number does."""
    if isinstance(value, str) and (match := _match(value)):
        number, unit = float(match[1]), match[2]
        if unit in _TIMES and number * _TIMES[unit] <= MOST_TIME:
            return round(number * _TIMES[unit])
        if unit in _TIMES:
            raise UserError(f"{shown(value)} is too long; expected at most {show_time(MOST_TIME)}")
        if not unit and number == 0:
            return 0
    if value == 0 and not isinstance(value, bool):
        return 0
    raise UserError(
        f"{shown(value)} is no time; expected a number and a unit (ns, us, ms, s, min) as in '10ms'"
    )


def parse_rate(value: object) -> int | None:
    """10 or '10Mbit' -> bit/s; a bare number is Mbit/s, as in Mininet's `bw`. None stays None: no limit."""
    if value is None:
        return None
    rate = 0.0
    if isinstance(value, int | float) and not isinstance(value, bool) and -MOST_RATE < value < MOST_RATE:
        rate = value * 1e6
    elif isinstance(value, str) and (match := _match(value)):
        unit = match[2].lower().removesuffix("/s").removesuffix("ps")
        rate = float(match[1]) * (_RATES.get(unit, 0) if unit else 1e6)
    if not 1 <= rate <= MOST_RATE:
        raise UserError(
            f"{shown(value)} is no rate; expected Mbit/s above 0 as in 10, or with a unit as in '500kbit'"
        )
    return round(rate)


def parse_percent(value: object) -> float:
    """5 or '5%' -> 0.05."""
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100:
        number = float(value)
    elif isinstance(value, str) and (match := _match(value.replace("%", " "))) and not match[2]:
        number = float(match[1])
    if not 0 <= number <= 100:
        given = f"{shown(value)} %" if isinstance(value, int | float) else shown(value)
        raise UserError(f"{given} is no share of packets; expected a percentage from 0 to 100")
    return number / 100


def parse_count(value: object) -> int:
    """A whole number of packets, at least 1."""
    if isinstance(value, str) and len(value) <= _MOST_LETTERS and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_COUNT:
        raise UserError(
            f"{shown(value)} is no number of packets; "
            f"expected a whole number of at least 1 and at most {MOST_COUNT:,}"
        )
    return value


def parse_queue(value: object) -> tuple[int, bool]:
    """100 -> 100 packets; '64kB' -> 64,000 and that it is bytes."""
    if isinstance(value, str) and (match := _match(value)) and match[2].lower() in _SIZES:
        size = round(float(match[1]) * _SIZES[match[2].lower()])
        if 0 < size <= MOST_COUNT:
            return size, True
    try:
        return parse_count(value), False
    except UserError:
        expected = "expected a whole number of packets of at least 1, or bytes as in '64kB'"
        raise UserError(f"{shown(value)} is no length of a queue; {expected}") from None


def show_size(size: int) -> str:
    """64000 -> '64 kB'."""
    for unit, scale in (("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:g} {unit}"
    return f"{size} B"


def show_time(nanoseconds: int) -> str:
    """10000000 -> '10 ms'; seconds at most."""
    for unit, size in reversed(_TIMES.items()):
        if unit != "min" and nanoseconds >= size:
            return f"{nanoseconds / size:g} {unit}"
    return "0 ms"


def show_rate(rate: int | None) -> str:
    """10000000 -> '10 Mbit/s'."""
    if rate is None:
        return "no limit"
    for unit, size in (("Gbit/s", 10**9), ("Mbit/s", 10**6), ("kbit/s", 10**3)):
        if rate >= size:
            return f"{rate / size:g} {unit}"
    return f"{rate} bit/s"
