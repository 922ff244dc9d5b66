"""The command line: arguments in, one door called, text out.

Decides exit statuses (0 done, 1 a run failed, 2 the user's input, 3 the machine, 130 interrupted) and that
none of these shows a traceback. Holds no logic.
"""

from __future__ import annotations

import sys

from testbed.errors import TestbedError


def main() -> None:
    """The `testbed` command."""
    from testbed.cli.app import app

    try:
        app(prog_name="testbed")
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


__all__ = ["main"]
