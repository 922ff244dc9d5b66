"""`cases:` of an experiment: named rows, each with keys of its own, and what is expected of it.

Decides how a case is written, what may stand in it, and which verdicts an `expect:` means. A case is one more
factor, the first. Must not know how a cell is checked otherwise, or run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from testbed.mptcp.reasons import ENDPOINT_VERDICTS
from testbed.runner.document import Document, Path_
from testbed.terminal import shown

EXPECT = "expect"
ANY = "any"  # every profile that is not named
DAMAGED = "damaged"  # beside a verdict: bytes may be wrong, a middlebox changes them
_WORDS = [*(verdict.value for verdict in ENDPOINT_VERDICTS), DAMAGED]


@dataclass(frozen=True, slots=True)
class Case:
    """`settings`: dotted key, value, origin."""

    name: str
    settings: tuple[tuple[str, Any, str], ...]


def read_cases(
    document: Document, may_vary: Callable[[str], bool], wrong: Callable[[Path_, str], None]
) -> list[Case]:
    """`wrong` is told the path of what is no case, and what was expected there."""
    given = document.data.get("cases") or {}
    if not isinstance(given, dict):
        wrong(("cases",), "expected names with keys below them, such as nat: {paths.1.middlebox.up: nat}")
        return []
    cases = []
    for name, keys in given.items():
        if not isinstance(keys, dict):
            wrong(("cases", name), "expected keys below it, such as {paths.1.middlebox.up: nat}")
            continue
        for key in keys:
            if key != EXPECT and not may_vary(key):
                wrong(("cases", name, key), "cannot stand in a case; what may be varied can, and expect")
        settings = ((key, value, document.origin(("cases", name, key))) for key, value in keys.items())
        cases.append(Case(name, tuple(settings)))
    return cases


def _expected(value: Any) -> Any:
    """'mptcp', [reset, hang] or {v0: fallback, any: mptcp} -> verdicts by client profile."""
    by_profile = value if isinstance(value, Mapping) else {ANY: value}
    found = {}
    for profile, words in by_profile.items():
        verdicts = [words] if isinstance(words, str) else words
        if not isinstance(verdicts, list) or not verdicts or not all(one in _WORDS for one in verdicts):
            said = f"expected one or more of {', '.join(_WORDS)}, not {shown(words)}"
            raise PydanticCustomError("words", "{said}", {"said": said})
        found[str(profile)] = verdicts
    return found


Expect = Annotated[dict[str, list[str]], BeforeValidator(_expected)]
