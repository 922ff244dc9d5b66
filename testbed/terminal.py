"""Text from outside, made safe for a terminal: names, YAML, captures, logs, messages of other programs.

Decides which characters a terminal never gets from the testbed: control characters, which move the cursor,
change colours or answer as if typed, and characters that reverse the direction of text. Each is shown as its
escape, as Python writes it: `\\x1b`. `guard()` does so for everything that is printed; `plain` is for text
that reaches a terminal by another way, such as a progress bar. Knows nothing of what the text says.
Read first: ECMA-48; Unicode Standard Annex #9.
"""

from __future__ import annotations

import io
import re
import sys
from typing import Any, TextIO

MOST_SHOWN = 120  # characters of a value that an error repeats

_C0, _C1 = "\x00-\x08\x0b-\x1f\x7f", "\x80-\x9f"  # without tab and newline
_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINES = "\u2028\u2029"
_UNPAIRED = "\ud800-\udfff"  # what is not text in a file's name
_UNSAFE = re.compile(f"[{_C0}{_C1}{_DIRECTION}{_LINES}{_UNPAIRED}]")
_LONG_WORD = re.compile(rf"\S{{{MOST_SHOWN + 1},}}")
_UNSAFE_WORD = re.compile(f"[\t\n{_C0}{_C1}{_DIRECTION}{_LINES}{_UNPAIRED}]")


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()


def plain(text: str) -> str:
    """The text with escapes in place of control characters, except for newlines and tabs."""
    return _UNSAFE.sub(_escape, text)


def plain_word(text: str) -> str:
    """The text for one line or one cell of a table: newlines and tabs become escapes as well."""
    return _UNSAFE_WORD.sub(_escape, text)


def unsafe_character(text: str) -> str:
    """The first character that `plain` would escape; '' where there is none."""
    found = _UNSAFE.search(text)
    return found[0] if found else ""


def shown(value: object) -> str:
    """A value of the user's for an error message: as Python writes it, on one line, and not too long."""
    try:
        text = plain_word(repr(value))
    except Exception:  # an object of the user's, or a number with too many digits to be written
        return f"a value of the type {type(value).__name__}"
    return shorten(text)


def shorten(text: str) -> str:
    """On one line, and its middle left out where it is long."""
    text = plain_word(text)
    if len(text) <= MOST_SHOWN:
        return text
    return f"{text[: MOST_SHOWN // 2]}... ({len(text):,} characters) ...{text[-MOST_SHOWN // 4 :]}"


def abridged(text: str) -> str:
    """An error's text in which each long word has lost its middle; its lines stay."""
    return _LONG_WORD.sub(lambda found: shorten(found[0]), text)


class _Guarded(io.TextIOWrapper):
    """A text stream that writes `plain` text. What its encoding lacks is written as an escape too."""

    unguarded: TextIO

    def write(self, text: str) -> int:
        super().write(plain(text))
        return len(text)


def guard() -> None:
    """From now on standard output and standard error carry plain text only. Call it once, at the start."""
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def raw(stream: Any) -> Any:
    """A stream for a program that makes its own terminal codes, and cleans what it is given itself."""
    return stream.unguarded if isinstance(stream, _Guarded) else stream


def _guarded(stream: TextIO) -> TextIO:
    buffer = getattr(stream, "buffer", None)
    if buffer is None or isinstance(stream, _Guarded):
        return stream
    stream.flush()
    guarded = _Guarded(
        buffer,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=getattr(stream, "write_through", False),
    )
    guarded.unguarded = stream  # it owns the same buffer, and stays open as long
    return guarded
