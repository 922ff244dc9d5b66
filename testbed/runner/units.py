"""Values as people write them in `client:`, `server:` and `workload:`: '300B', '40/s', '10.0.2.1 subflow'.

Decides which spellings are accepted, what the error says, and how a value is written back so that it
reads the same. Inside: bytes, nanoseconds, per second. KB is 1,000 bytes and KiB 1,024. The units of
links and paths are testbed/plan's.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from testbed.errors import UserError
from testbed.mptcp.paths import (
    Limits,
    LocalEndpoint,
    PathsConfig,
    describe,
    describe_limits,
    parse_endpoint,
    parse_limits,
)
from testbed.units import SIZES
from testbed.workloads.spec import MOST_SYN_RATE

_NUMBER = re.compile(r"\s*([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(.*?)\s*$")

DURATIONS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}


MOST_SIZE = 10**12  # bytes
MOST_TIME = 86_400 * 10**9  # nanoseconds: a day
LEAST_RATE, MOST_RATE = 1e-6, 1e6  # per second
MOST_PERCENT = 10_000
_MOST = 1e300
_MOST_LETTERS = 40  # of a number with its unit


def _split(value: Any, expected: str) -> tuple[float, str]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected {expected}")
    if not isinstance(value, str):
        number, unit = value if abs(value) < _MOST else math.inf, ""
    else:
        match = _NUMBER.match(value) if len(value) <= _MOST_LETTERS else None
        if match is None:
            raise ValueError(f"expected {expected}")
        number, unit = float(match[1]), match[2]
    if not math.isfinite(number):
        raise ValueError(f"expected {expected}, and a finite number")
    return float(number), unit


def _scaled(value: Any, units: dict[str, int], expected: str, most: int) -> int:
    number, unit = _split(value, expected)
    if unit not in units:
        known = {name.lower(): name for name in units}
        hint = f"; did you mean {known[unit.lower()]}?" if unit.lower() in known else ""
        raise ValueError(f"expected {expected}{hint}")
    exact = number * units[unit]
    if not 0 <= exact <= most or exact != round(exact):
        raise ValueError(f"expected {expected}, whole, not negative, and at most {_written(most, units)}")
    return round(exact)


def size(value: Any) -> int:
    """Bytes; a bare number is bytes."""
    return _scaled(value, {**SIZES, "": 1}, "a size such as 300B, 10KB or 1MiB", MOST_SIZE)


def duration(value: Any) -> int:
    """Nanoseconds; a bare number is an error, except 0."""
    zero = {"": 1} if value in (0, "0") and not isinstance(value, bool) else {}
    return _scaled(value, {**DURATIONS, **zero}, "a time with its unit, such as 10ms, 250us or 2s", MOST_TIME)


def per_second(value: Any) -> float:
    expected = "a frequency such as 40/s"
    number, unit = _split(value, expected)
    if unit not in ("", "/s") or not LEAST_RATE <= number <= MOST_RATE:
        raise ValueError(f"expected {expected}, from {LEAST_RATE:g}/s to {MOST_RATE:g}/s")
    return number


def syn_rate(value: Any) -> float:
    """SYNs per second; 0 is a flood of none, to compare with."""
    expected = f"SYNs per second such as 1000/s, up to {MOST_SYN_RATE}/s"
    number, unit = _split(value, expected)
    if unit not in ("", "/s") or not 0 <= number <= MOST_SYN_RATE:
        raise ValueError(f"expected {expected}")
    return number


def percent(value: Any) -> float:
    """A share 0..1 of '90%' or 90."""
    number, unit = _split(value, expected := "a percentage such as 90%")
    if unit not in ("", "%") or not 0 <= number <= MOST_PERCENT:
        raise ValueError(f"expected {expected}, from 0% to {MOST_PERCENT}%")
    return number / 100


def _written(value: int, units: dict[str, int]) -> str:
    """The largest unit that leaves a whole number."""
    best = max(
        (scale, name) for name, scale in units.items() if value % scale == 0 and name not in ("µs", "")
    )
    return f"{value // best[0]}{best[1]}" if value else "0"


def written_size(value: int) -> str:
    return _written(value, SIZES)


def written_time(value: int) -> str:
    return _written(value, DURATIONS)


def plain_number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": pattern}]})


Size = Annotated[int, BeforeValidator(size), _text(r"^[0-9.]+ *([KMG]i?)?B$")]
Duration = Annotated[
    int,
    BeforeValidator(duration),
    PlainSerializer(lambda value: _written(value, DURATIONS), return_type=str),
    _text(r"^[0-9.]+ *(ns|us|µs|ms|s|min)$"),
]
PerSecond = Annotated[
    float,
    BeforeValidator(per_second),
    PlainSerializer(lambda value: f"{plain_number(value)}/s", return_type=str),
    _text(r"^[0-9.]+ */s$"),
]
SynRate = Annotated[  # written as a number, so that it can stand on an axis
    float,
    BeforeValidator(syn_rate),
    PlainSerializer(plain_number),
    _text(r"^[0-9.]+ */s$"),
]
Percent = Annotated[
    float,
    BeforeValidator(percent),
    PlainSerializer(lambda value: f"{plain_number(round(100 * value, 6))}%", return_type=str),
    _text(r"^[0-9.]+ *%$"),
]


def endpoints(value: Any) -> tuple[LocalEndpoint, ...] | None:
    """A list of lines as of `ip mptcp endpoint add`; ids are given here, so that they are written back."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError("expected a list of endpoints such as ['10.0.2.1 subflow backup']")
    try:
        return PathsConfig(tuple(parse_endpoint(one) for one in value)).endpoints
    except UserError as error:
        raise PydanticCustomError("words", "{said}", {"said": str(error)}) from None


def limits(value: Any) -> Limits:
    """'subflow 4 add_addr_accepted 2', or a mapping with these words."""
    if isinstance(value, Limits):
        return value
    if not isinstance(value, str | dict):
        raise ValueError("expected limits such as 'subflow 4 add_addr_accepted 2'")
    try:
        return parse_limits(value)
    except UserError as error:
        raise PydanticCustomError("words", "{said}", {"said": str(error)}) from None


Endpoints = Annotated[
    tuple[LocalEndpoint, ...],
    BeforeValidator(endpoints),
    PlainSerializer(lambda value: [describe(one) for one in value], return_type=list[str]),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
]
PathLimits = Annotated[
    Limits,
    BeforeValidator(limits),
    PlainSerializer(describe_limits, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]


def bind(value: Any) -> tuple[str, ...]:
    """Names of paths or addresses: a list, or a text with commas; a name may be a number."""
    words: Any = value.split(",") if isinstance(value, str) else value
    if isinstance(words, int) and not isinstance(words, bool):
        words = [words]
    fine = isinstance(words, list | tuple)
    if not fine or not all(isinstance(one, str | int) and not isinstance(one, bool) for one in words):
        raise ValueError("expected paths or addresses such as [lte] or [10.0.2.1, 10.0.1.1]")
    return tuple(text for one in words if (text := str(one).strip()))


Bind = Annotated[  # written as text, so that it can stand in a table
    tuple[str, ...],
    BeforeValidator(bind),
    PlainSerializer(", ".join, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]
