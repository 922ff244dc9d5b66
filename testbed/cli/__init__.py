"""The command line: arguments in, one door called, text out.

Decides exit statuses (0 done, 1 a run failed, 2 the user's input, 3 the machine, 130 interrupted) and that
none of these shows a traceback. Holds no logic.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

from testbed.errors import TestbedError
from testbed.interpreter import secure
from testbed.terminal import guard


def main() -> None:
    """The `testbed` command."""
    guard()
    secure(os.environ)
    from testbed.cli.app import app

    _print_on_any_terminal()
    try:
        try:
            app(prog_name="testbed")
        finally:
            sys.stdout.flush()  # here, where a full device can still be said
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        sys.exit(error.status)
    except SystemExit as end:
        if end.code == 130 and _unsaid(end):
            print("testbed: interrupted", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"testbed: {where}{error.strerror or error}", file=sys.stderr)
        with contextlib.suppress(OSError):
            sys.stdout.close()  # or Python tries once more, and complains
        sys.exit(1)


def _print_on_any_terminal() -> None:
    """A character that the terminal does not have becomes "?": drawings suffer, the command does not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not (stream.encoding or "").lower().startswith("utf"):
            stream.reconfigure(errors="replace")


def _unsaid(end: SystemExit) -> bool:
    """Whether it was Ctrl-C itself that ended the command, with no word of the command's own."""
    cause = end.__context__.__cause__ if end.__context__ is not None else None
    return isinstance(cause, KeyboardInterrupt)


__all__ = ["main"]
