"""The evidence that a real-time process kept its promises: lateness, CPU time, memory.

Decides how lateness is measured (whole microseconds, one bucket each, so memory is fixed and the
quantiles are exact up to 65 ms) and the names under which the figures go into a record. Whether a
run with such figures counts is decided by the runner.
Read first: getrusage(2).
"""

from __future__ import annotations

import resource
import time

_BUCKETS = 1 << 16


class LatenessMeter:
    """Collects how many nanoseconds after its due time each thing happened."""

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self._most = 0
        self.count = 0

    def add(self, late: int) -> None:
        """`late` in nanoseconds; early counts as 0."""
        microseconds = late // 1000 if late > 0 else 0
        self._buckets[microseconds if microseconds < _BUCKETS else _BUCKETS - 1] += 1
        self._most = max(self._most, microseconds)
        self.count += 1

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
