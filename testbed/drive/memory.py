"""The memory of a real-time process: taken once, then left alone; and how much it was.

Decides that what was loaded is no business of the garbage collector, and that the C library keeps freed
memory: payloads of 64 KB come and go with every frame, and giving their pages back to the kernel each time
costs up to a fifth of a sender's time. Read first: mallopt(3); gc.freeze; proc(5) on VmHWM and clear_refs.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path

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


class MemoryMeter:
    """What this process holds at most from now on. Where the kernel does not forget an earlier peak, that of
    the start-up counts as well."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        self._began = status_bytes("VmRSS")

    def figures(self) -> dict[str, float]:
        """In megabytes."""
        peak = status_bytes("VmHWM")
        return {"memory_mb": peak / 1e6, "memory_growth_mb": max(peak - self._began, 0) / 1e6}


def status_bytes(name: str) -> int:
    """A size of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    words = next(line for line in lines if line.startswith(f"{name}:")).split()
    return int(words[1]) * 1024
