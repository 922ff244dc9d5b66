"""The command as a function: arguments in, exit status and both outputs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from testbed.cli import main


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


@pytest.fixture
def testbed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def call(*arguments: object) -> Done:
        monkeypatch.setattr("sys.argv", ["testbed", *map(str, arguments)])
        status: int | str | None = 0
        try:
            main()
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return Done(int(status or 0), out, err)

    return call
