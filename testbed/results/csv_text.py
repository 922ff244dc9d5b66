"""Tables as CSV that a spreadsheet takes for data and never for formulas.

Decides that a text which a spreadsheet would run gets an apostrophe in front: one that begins with = + - @, a
tab or a line break, or with such a character in its wide form. That is the spreadsheets' own sign for text.
`read_csv` takes it away again, so that names come back as they were. Numbers stay numbers.
Read first: OWASP, "CSV injection".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from testbed.terminal import plain

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def cell(value: Any) -> Any:
    """A value as it stands in CSV. Lists and mappings count by their text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = plain(str(value))
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def value_of(text: Any) -> Any:
    """What `cell` was given."""
    if isinstance(text, str) and text.startswith("'") and _FORMULA.match(text):
        return text[1:]
    return text


def to_csv(frame: pd.DataFrame, **options: Any) -> str:
    """All rows of a table, and a line of names."""
    safe = frame.copy()
    for name in frame.columns:
        if frame[name].dtype.kind not in "iufb":
            safe[name] = frame[name].map(cell, na_action="ignore")
    safe.columns = pd.Index([cell(str(name)) for name in frame.columns])
    text: str = safe.to_csv(index=False, **options)
    return text


def read_csv(path: Path) -> pd.DataFrame:
    """A table that `to_csv` wrote."""
    frame = pd.read_csv(path)
    for name in frame.columns:
        if frame[name].dtype.kind not in "iufb":
            frame[name] = frame[name].map(value_of, na_action="ignore")
    frame.columns = pd.Index([value_of(name) for name in frame.columns])
    return frame
