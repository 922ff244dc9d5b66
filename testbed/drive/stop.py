"""How a real-time process is asked to end: SIGTERM, SIGINT, SIGHUP, or end of file on a pipe.

Decides that a signal only leaves a note, which wakes the loop: no exception ever interrupts setting up
or taking down, so what was changed in a namespace is always undone. Read first: eventfd(2), signal(7).
"""

from __future__ import annotations

import os
import signal


class Stop:
    """Register `fileno()` with epoll; `requested` is the truth. `signal`: the one that came, if one did."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.requested = False
        self.signal: int | None = None

    def fileno(self) -> int:
        return self._fd

    def request(self) -> None:
        self.requested = True
        os.eventfd_write(self._fd, 1)

    def on_signals(self) -> None:
        """From now on the signals that ask a process to end make it stop in good order. Main thread only."""

        def note(number: int, _frame: object) -> None:
            self.signal = number
            self.request()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, note)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
