"""`make fuzz`: starts the command line of tests/fuzz/command.py from any directory.

Python runs it with -P, without the working directory on its path. The root of the project is added instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fuzz.command import main

if __name__ == "__main__":
    sys.exit(main())
