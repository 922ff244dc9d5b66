"""The memory of a real-time process: taken once, then left alone.

Decides that what was loaded is no business of the garbage collector, and that the C library keeps freed
memory: payloads of 64 KB come and go with every frame, and giving their pages back to the kernel each time
costs up to a fifth of a sender's time. Read first: mallopt(3); gc.freeze.
"""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT = 32 << 20  # bytes of freed memory that stay with the process; the most that mallopt takes
_STEP = 1 << 20  # bytes taken at a time


def settle() -> None:
    """Once everything is loaded and set up. A C library without these settings is no error."""
    gc.collect()
    gc.freeze()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for setting, value in ((_M_TRIM_THRESHOLD, _KEPT), (_M_TOP_PAD, _STEP), (_M_MMAP_THRESHOLD, _KEPT)):
            mallopt(setting, value)
