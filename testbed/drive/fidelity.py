"""The evidence that a real-time process kept its promises: lateness of timers and reads, CPU time, memory.

Decides how lateness is measured (whole microseconds, one bucket each, so memory is fixed and the
quantiles are exact up to 65 ms) and the names under which the figures go into a record. Whether a
run with such figures counts is decided by the runner.
A frame that has come waits while its reader waits for a CPU. The kernel counts that time for each thread
(the second number of /proc/thread-self/schedstat); a reader asks for it once each time it wakes up.
Read first: getrusage(2); the kernel's Documentation/scheduler/sched-stats.rst.
"""

from __future__ import annotations

import os
import resource
import time

_BUCKETS = 1 << 16


class LatenessMeter:
    """Collects how many nanoseconds after its due time each thing happened."""

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self._most = 0
        self.count = 0

    def add(self, late: int, times: int = 1) -> None:
        """`late` in nanoseconds, of `times` things; early counts as 0."""
        microseconds = late // 1000 if late > 0 else 0
        self._buckets[microseconds if microseconds < _BUCKETS else _BUCKETS - 1] += times
        self._most = max(self._most, microseconds)
        self.count += times

    def quantile(self, share: float) -> float:
        """In microseconds; 0 without samples. Above 65 ms the maximum stands in."""
        if not self.count:
            return 0.0
        rank = max(1, round(share * self.count))
        seen = 0
        for microseconds, number in enumerate(self._buckets[:-1]):
            seen += number
            if seen >= rank:
                return float(microseconds)
        return float(self._most)

    def figures(self, prefix: str) -> dict[str, float]:
        """The names of the record: PREFIX_lateness_p50_us, _p99_us, _max_us."""
        return {
            f"{prefix}_lateness_p50_us": self.quantile(0.50),
            f"{prefix}_lateness_p99_us": self.quantile(0.99),
            f"{prefix}_lateness_max_us": float(self._most),
        }


class ReadMeter:
    """How long frames waited for a CPU to read them. Call `woke` before the first sleep and after each wake,
    then `read` with the number of frames, all in the thread that reads; `close` at its end. Without figures
    where the kernel does not count.
    """

    def __init__(self, path: str = "/proc/thread-self/schedstat") -> None:
        self._lateness = LatenessMeter()
        self._waited = 0
        self._total = 0
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            ran, self._total = self._counted()
        except (OSError, ValueError):
            ran = 0
        self._known = ran > 0  # a kernel without CONFIG_SCHED_INFO shows zeros to a thread that runs
        if not self._known:
            self.close()

    def _counted(self) -> tuple[int, int]:
        """Nanoseconds on a CPU, and waiting for one."""
        ran, waited = os.pread(self._fd, 64, 0).split()[:2]
        return int(ran), int(waited)

    def woke(self) -> None:
        if self._fd >= 0:
            _, total = self._counted()
            self._waited, self._total = total - self._total, total

    def read(self, frames: int) -> None:
        if frames > 0 and self._fd >= 0:
            self._lateness.add(self._waited, frames)

    def figures(self, prefix: str) -> dict[str, float]:
        """PREFIX_read_lateness_p50_us, _p99_us, _max_us; nothing where it is not known."""
        return self._lateness.figures(f"{prefix}_read") if self._known else {}

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ResourceMeter:
    """CPU time since it was made, as a share of one core, and the most memory held."""

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self._cpu = time.process_time_ns()

    def figures(self, prefix: str, packets: int) -> dict[str, float]:
        seconds = max(time.monotonic_ns() - self._began, 1) / 1e9
        cpu = (time.process_time_ns() - self._cpu) / 1e9
        return {
            f"{prefix}_packets": float(packets),
            f"{prefix}_packets_per_second": packets / seconds,
            f"{prefix}_cpu_seconds": cpu,
            f"{prefix}_cpu_share": cpu / seconds,
            f"{prefix}_max_rss_kb": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss),
        }
